package nn_test

import (
	"math"
	"testing"
	"unsafe"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func arch() nn.Arch {
	return nn.Arch{
		Widths:   []int{784, 1000, 30, 784},
		Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Sigmoid},
	}
}

func TestArch(t *testing.T) {
	a := arch()
	require.NoError(t, a.Check())
	assert.Equal(t, "784,1000:tanh,30:identity,784", a.String())
	assert.Equal(t, 785*1000+1001*30+31*784, a.Params())
	one := nn.Arch{Widths: []int{3, 4}, Transfer: []transfer.Func{transfer.LeakyReLU(0.5)}}
	assert.Equal(t, "3,4", one.String())
	one.Widths, one.Transfer = append(one.Widths, 5), append(one.Transfer, transfer.Softmax)
	assert.Equal(t, "3,4:leaky-relu(0.5),5", one.String())

	// METHOD's reference network has 2,837,314 parameters.
	widths := []int{784, 1000, 500, 250, 30, 250, 500, 1000, 784}
	assert.Equal(t, 2837314, nn.Arch{Widths: widths}.Params())
}

func TestArchCheck(t *testing.T) {
	for _, c := range []struct {
		change func(*nn.Arch)
		want   string
	}{
		{func(a *nn.Arch) { a.Widths = a.Widths[:1] }, "architecture has 1 widths; it needs at least 2 (input and output)"},
		{func(a *nn.Arch) { a.Widths = nil }, "architecture has 0 widths"},
		{func(a *nn.Arch) { a.Transfer = a.Transfer[:2] }, "architecture of 4 widths needs 3 transfer functions, not 2"},
		{func(a *nn.Arch) { a.Widths[0], a.Widths[2] = 0, -5 }, "width 0 is 0; must be 1 to 1048576\narchitecture: width 2 is -5; must be 1 to 1048576"},
		{func(a *nn.Arch) { a.Widths[1] = nn.MaxWidth + 1 }, "width 1 is 1048577"},
		{func(a *nn.Arch) { a.Widths[0], a.Widths[1] = nn.MaxWidth, nn.MaxWidth }, "parameters; the limit is 2147483647"},
		{func(a *nn.Arch) { a.Transfer[1] = transfer.Softmax }, "softmax in hidden layer 1; it can only be the last"},
	} {
		a := arch()
		c.change(&a)
		assert.ErrorContains(t, a.Check(), c.want)
		_, err := nn.New(a)
		assert.ErrorContains(t, err, c.want)
	}
}

func TestNetwork(t *testing.T) {
	n, err := nn.New(arch())
	require.NoError(t, err)
	assert.Equal(t, [2]int{784, 784}, [2]int{n.Inputs(), n.Outputs()})
	assert.Equal(t, arch().Params(), n.Params())
	assert.Same(t, n.Layers[2].(*nn.Dense), n.Last().(*nn.Dense))
	back, dense := n.Arch()
	assert.True(t, dense)
	assert.Equal(t, arch(), back)
	require.Len(t, n.Weights(), 3)
	for ℓ, w := range n.Weights() {
		assert.Equal(t, [3]int{arch().Widths[ℓ+1], arch().Widths[ℓ] + 1, arch().Widths[ℓ] + 1}, [3]int{w.Rows, w.Cols, w.Stride})
		assert.Zero(t, uintptr(unsafe.Pointer(&w.Data[0]))%64)
		assert.Same(t, &w.Data[0], &n.Layers[ℓ].Weights().Data[0], "views of the network's own memory")
		assert.Len(t, w.Data, w.Rows*w.Cols)
		assert.Equal(t, len(w.Data), cap(w.Data), "nothing can be appended into the next layer")
	}
}

// other is a layer of another kind than Dense.
type other struct {
	*nn.Dense
	positions int
}

func (l other) Positions() int { return l.positions }

type gaps struct{ *nn.Dense }

func (gaps) Weights() backend.Mat { return backend.NewPadded(3, 5) }

func TestFromLayers(t *testing.T) {
	n, err := nn.FromLayers(other{nn.NewDense(4, 3, transfer.Tanh), 2}, nn.NewDense(6, 2, transfer.Softmax))
	require.NoError(t, err)
	_, dense := n.Arch()
	assert.False(t, dense)
	assert.Equal(t, [3]int{4, 2, 15 + 14}, [3]int{n.Inputs(), n.Outputs(), n.Params()})

	for _, c := range []struct {
		layers []nn.Layer
		want   string
	}{
		{nil, "network without layers"},
		{[]nn.Layer{nn.NewDense(4, 3, transfer.Tanh), nn.NewDense(4, 2, transfer.Tanh)}, "layer 0 gives 3 values per example, but layer 1 reads 4"},
		{[]nn.Layer{nn.NewDense(4, 3, transfer.Softmax), nn.NewDense(3, 2, transfer.Tanh)}, "layer 0 has softmax; it can only be the last transfer function"},
		{[]nn.Layer{nn.NewDense(0, 3, transfer.Tanh)}, "layer 0 reads 0 values"},
		{[]nn.Layer{nn.NewDense(3, 0, transfer.Tanh)}, "layer 0 reads 3 values and has weights of 0 × 4"},
		{[]nn.Layer{gaps{nn.NewDense(4, 3, transfer.Tanh)}}, "weights of 3 × 5, stride 16; it needs inputs, units and a stride of its columns"},
	} {
		_, err := nn.FromLayers(c.layers...)
		assert.ErrorContains(t, err, c.want)
	}
}

// Every weight is a function of (seed, layer, index) alone: weight (u, j) is number
// u·n + j of the layer's stream and the bias of u number m·n + u.
func TestInit(t *testing.T) {
	const seed = 7
	n, err := nn.New(nn.Arch{Widths: []int{5, 4, 6}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
	require.NoError(t, err)
	for _, kind := range []nn.Init{nn.Glorot, nn.He} {
		n.Init(kind, seed)
		for ℓ, w := range n.Weights() {
			inputs, units := float64(w.Cols-1), float64(w.Rows)
			weight, bias := math.Sqrt(6/(inputs+units)), math.Sqrt(6/(2*units))
			if kind == nn.He {
				weight, bias = math.Sqrt(6/inputs), 0
			}
			s := philox.New(seed, philox.Init, uint64(ℓ))
			for u := range w.Rows {
				for j := range w.Cols {
					index, bound := u*(w.Cols-1)+j, weight
					if j == w.Cols-1 {
						index, bound = w.Rows*(w.Cols-1)+u, bias
					}
					want := bound * (2*s.Uniform(uint64(index)) - 1)
					assert.InDelta(t, want, float64(w.Data[u*w.Stride+j]), 1e-7, "%v: layer %d, (%d, %d)", kind, ℓ, u, j)
				}
			}
		}
	}
	first := append([]float32(nil), n.Weights()[0].Data...)
	n.Init(nn.He, seed)
	assert.Equal(t, first, n.Weights()[0].Data, "the same again")
	n.Init(nn.He, seed+1)
	assert.NotEqual(t, first, n.Weights()[0].Data)
}

// The draws fill their range evenly: mean and variance of U(±b) are 0 and b²/3.
func TestInitDistribution(t *testing.T) {
	n, err := nn.New(nn.Arch{Widths: []int{300, 200}, Transfer: []transfer.Func{transfer.Sigmoid}})
	require.NoError(t, err)
	n.Init(nn.Glorot, 1)
	bound := math.Sqrt(6. / 500)
	var sum, squares, largest float64
	w := backend.WithoutBias(n.Weights()[0])
	for i := range w.Rows {
		for _, v := range w.Data[i*w.Stride : i*w.Stride+w.Cols] {
			x := float64(v)
			sum += x
			squares += x * x
			largest = max(largest, math.Abs(x))
		}
	}
	count := 60000.
	// Five standard errors of 60,000 draws: b/√(3·60000) of the mean, 0.9 % of b²/3.
	assert.InDelta(t, 0, sum/count, 5*bound/math.Sqrt(3*count))
	assert.InEpsilon(t, bound*bound/3, squares/count, 5*math.Sqrt(4./5/count))
	assert.LessOrEqual(t, largest, bound)
	assert.Greater(t, largest, 0.999*bound)
}

func TestInitNames(t *testing.T) {
	assert.Equal(t, []string{"glorot", "he"}, nn.InitNames)
	assert.Equal(t, "he", nn.He.String())
	assert.Equal(t, "nn.Init(9)", nn.Init(9).String())
}

// The column of ones stays, and a layer's output is written straight into the next
// layer's input.
func TestActivations(t *testing.T) {
	n, err := nn.New(nn.Arch{Widths: []int{2, 3, 1}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity}})
	require.NoError(t, err)
	n.Init(nn.Glorot, 2)
	act := nn.NewActivations(n, 4)
	for i := range 4 {
		x := act.Input[0].Data[i*act.Input[0].Stride:]
		x[0], x[1] = float32(i), float32(-i)/2
	}
	act.Forward(gonum.New(), n.Weights(), 0, 4)
	for i := range 4 {
		in := []float64{float64(i), -float64(i) / 2}
		for ℓ, l := range n.Layers {
			w, x := l.Weights(), act.Input[ℓ]
			assert.Equal(t, float32(1), x.Data[i*x.Stride+x.Cols-1])
			out := make([]float64, w.Rows)
			for u := range out {
				a := float64(w.Data[u*w.Stride+w.Cols-1])
				for j, v := range in {
					a += float64(w.Data[u*w.Stride+j]) * v
				}
				assert.InDelta(t, a, float64(act.A[ℓ].Data[i*act.A[ℓ].Stride+u]), 1e-6)
				out[u] = l.Transfer().At(a)
				assert.InDelta(t, out[u], float64(act.Y[ℓ].Data[i*act.Y[ℓ].Stride+u]), 1e-6)
			}
			in = out
		}
	}
	assert.Same(t, &act.Y[0].Data[0], &act.Input[1].Data[0])
}
