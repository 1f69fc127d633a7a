package shampoo_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o shampoo.Options) *shampoo.Method {
	t.Helper()
	m, err := shampoo.New(o)
	require.NoError(t, err)
	return m
}

// tensor is one tensor of a layer in float64.
type tensor struct {
	c0, c1    int
	l, r      map[[2]int]oracle.Mat // by tile
	lr, rr    map[[2]int]oracle.Mat // roots
	square, m oracle.Mat
}

func newTensor(rows, c0, c1 int) *tensor {
	none := func() map[[2]int]oracle.Mat { return map[[2]int]oracle.Mat{} }
	return &tensor{c0: c0, c1: c1, l: none(), r: none(), lr: none(), rr: none(), square: oracle.New(rows, c1-c0), m: oracle.New(rows, c1-c0)}
}

func view(m oracle.Mat, r0, r1, c0, c1 int) oracle.Mat {
	v := oracle.New(r1-r0, c1-c0)
	for i := range v.Rows {
		copy(v.Row(i), m.Row(r0 + i)[c0:c1])
	}
	return v
}

func (x *tensor) direction(t *testing.T, o shampoo.Options, g oracle.Mat, k int) oracle.Mat {
	start, size := 5, o.Tile
	if o.Graft == shampoo.GraftNone {
		start = 0
	}
	if o.Original {
		size = 1 << 20
	}
	used := k - start
	due := used > 0 && (used < o.Refresh && used&(used-1) == 0 || k%o.Refresh == 0)
	root := func(a oracle.Mat, e float64) oracle.Mat {
		if !o.Original {
			// The largest eigenvalue, as the limit of a high power's trace.
			top := math.Pow(oracle.Trace(methodtest.Power(t, a, 64)), 1.0/64)
			a = oracle.Plus(a, 1, oracle.Eye(a.Rows, o.Epsilon*top))
		}
		return methodtest.Power(t, a, e)
	}
	share := 1 - o.Beta2
	if o.Beta2 == 1 {
		share = 1
	}
	p := oracle.New(g.Rows, g.Cols)
	for r0 := 0; r0 < g.Rows; r0 += size {
		for c0 := 0; c0 < g.Cols; c0 += size {
			at := [2]int{r0, c0}
			b := view(g, r0, min(r0+size, g.Rows), c0, min(c0+size, g.Cols))
			if _, found := x.l[at]; !found {
				x.l[at], x.r[at] = oracle.Eye(b.Rows, o.Epsilon), oracle.Eye(b.Cols, o.Epsilon)
				x.lr[at], x.rr[at] = oracle.Eye(b.Rows, 1), oracle.Eye(b.Cols, 1)
			}
			scaled := func(m oracle.Mat) oracle.Mat { return oracle.Plus(oracle.New(m.Rows, m.Cols), o.Beta2, m) }
			x.l[at] = oracle.Plus(scaled(x.l[at]), share, oracle.Mul(b, b.T()))
			x.r[at] = oracle.Plus(scaled(x.r[at]), share, oracle.Mul(b.T(), b))
			if due {
				switch {
				case g.Cols == 1:
					x.lr[at] = root(x.l[at], -0.5)
				case g.Rows == 1:
					x.rr[at] = root(x.r[at], -0.5)
				default:
					x.lr[at], x.rr[at] = root(x.l[at], -0.25), root(x.r[at], -0.25)
				}
			}
			b = oracle.Mul(oracle.Mul(x.lr[at], b), x.rr[at])
			for i := range b.Rows {
				copy(p.Row(r0 + i)[c0:], b.Row(i))
			}
		}
	}
	graft := g
	if o.Graft == shampoo.GraftAdaGrad {
		graft = g.Clone()
		for i, v := range g.Data {
			x.square.Data[i] += v * v
			graft.Data[i] = v / (math.Sqrt(x.square.Data[i]) + 1e-10)
		}
	}
	switch {
	case used <= 0:
		p = graft
	case o.Graft != shampoo.GraftNone:
		scale := math.Sqrt(oracle.Dot(graft, graft)) / (math.Sqrt(oracle.Dot(p, p)) + 1e-16)
		p = oracle.Plus(oracle.New(p.Rows, p.Cols), scale, p)
	}
	for i, v := range p.Data {
		x.m.Data[i] = o.Momentum*x.m.Data[i] + v
		p.Data[i] = v + o.Momentum*x.m.Data[i]
	}
	return p
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, c := range map[string]struct {
		o     shampoo.Options
		share float64
	}{
		"default":  {shampoo.Options{Eta: 0.1}, 1e-3},
		"tiles":    {shampoo.Options{Eta: 0.1, Tile: 4, Block: 3, Refresh: 3, Epsilon: 1e-3, Beta2: 0.9, NoMomentum: true}, 1e-3},
		"adagrad":  {shampoo.Options{Eta: 0.1, Tile: 5, Graft: shampoo.GraftAdaGrad, Beta2: 1, Epsilon: 1e-3}, 2e-3},
		"original": {shampoo.Options{Eta: 0.1, Original: true, Refresh: 2, Epsilon: 1e-3, Momentum: 0.5}, 1e-3},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, c.o)
			methodtest.Against(t, m, 9, c.share, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				var tensors [][2]*tensor
				for _, l := range n.Layers {
					w := l.W
					tensors = append(tensors, [2]*tensor{newTensor(w.Rows, 0, w.Cols-1), newTensor(w.Rows, w.Cols-1, w.Cols)})
				}
				k := 0
				return func(x, y oracle.Mat, scale float64) {
					k++
					for ℓ, p := range n.Backward(x, y) {
						w := n.Layers[ℓ].W
						for _, part := range tensors[ℓ] {
							step := part.direction(t, m.Options(), p.G.Columns(part.c0, part.c1), k)
							for i := range w.Rows {
								for j := range step.Cols {
									w.Set(i, part.c0+j, w.At(i, part.c0+j)-m.Rate()*scale*step.At(i, j))
								}
							}
						}
					}
				}
			})
		})
	}
}

// On a vector, without averages and grafts, it is full-matrix AdaGrad:
// w ← w − η(εI + Σggᵀ)^(−1/2)g. A layer of one unit has a vector for its weights.
func TestVectorIsFullMatrixAdaGrad(t *testing.T) {
	p := methodtest.Problem{
		Arch: nn.Arch{Widths: []int{6, 1}, Transfer: []transfer.Func{transfer.Sigmoid}}, Loss: loss.SigmoidCE, Batch: 12,
	}
	s, n := p.Stepper(t, method(t, shampoo.Options{Eta: 0.3, Original: true, Refresh: 1}))
	o := p.Oracle(n)
	before := methodtest.Weights(n)
	w, b := oracle.Eye(6, 1e-4), 1e-4
	for k := range 8 {
		p.Run(t, s, 1, k, k+1)
		x, y := p.Data(uint32(k))
		rate := 0.3 * (1 - float64(k)/100)
		g := o.Backward(oracle.From32(x), oracle.From32(y))[0].G
		gw, gb := g.Columns(0, 6), g.At(0, 6)
		w = oracle.Plus(w, 1, oracle.Mul(gw.T(), gw))
		b += gb * gb
		step := oracle.Mul(gw, methodtest.Power(t, w, -0.5))
		for j, v := range step.Data {
			o.Layers[0].W.Data[j] -= rate * v
		}
		o.Layers[0].W.Data[6] -= rate * gb / math.Sqrt(b)
	}
	methodtest.Agrees(t, n, o, before, 1e-3)
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, shampoo.Options{Eta: 0.1, Tile: 4, Block: 4, Refresh: 3}), 12)
	methodtest.Promises(t, method(t, shampoo.Options{Eta: 0.1, Tile: 3, Graft: shampoo.GraftAdaGrad}), 12)
	methodtest.Promises(t, method(t, shampoo.Options{Eta: 0.1, Original: true, Block: 5}), 9)
}

func TestRefuses(t *testing.T) {
	_, err := shampoo.New(shampoo.Options{Momentum: 1, Beta2: 2, Epsilon: -1, Tile: 5000, Refresh: -1, Block: -1, Graft: 9})
	methodtest.Refuses(t, err, "learning rate is 0", "momentum is 1", "beta2 is 2", "epsilon is -1", "tile is 5000", "refresh is -1", "block is -1", "unknown graft")
	_, err = shampoo.New(shampoo.Options{Eta: 1, Original: true, Beta2: 0.9})
	methodtest.Refuses(t, err, "the original has no graft")
	_, err = shampoo.New(shampoo.Options{Eta: 1, Momentum: 0.5, NoMomentum: true})
	methodtest.Refuses(t, err, "give one of both")
}
