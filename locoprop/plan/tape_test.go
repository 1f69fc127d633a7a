package plan_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sliding is a layer whose units see a window of its inputs at every position: the
// simplest layer whose design matrix isn't its input.
type sliding struct {
	*nn.Dense
	inputs int
}

func newSliding(inputs, window, units int, f transfer.Func) sliding {
	return sliding{nn.NewDense(window, units, f), inputs}
}

func (l sliding) window() int         { return l.Dense.Inputs() }
func (l sliding) Inputs() int         { return l.inputs }
func (l sliding) Positions() int      { return l.inputs - l.window() + 1 }
func (l sliding) DesignIsInput() bool { return false }

func (l sliding) Design(dst, x backend.Mat) backend.Mat {
	for i := range x.Rows {
		for q := range l.Positions() {
			r := row(dst, i*l.Positions()+q)
			copy(r, row(x, i)[q:q+l.window()])
			r[l.window()] = 1
		}
	}
	return dst
}

func (l sliding) Fold(dx, ddesign backend.Mat) {
	for i := range dx.Rows {
		clear(row(dx, i))
		for q := range l.Positions() {
			for j, v := range row(ddesign, i*l.Positions()+q) {
				row(dx, i)[q+j] += v
			}
		}
	}
}

func row(m backend.Mat, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// reference is a network's forward pass for one example in float64, unit by unit. at
// gives weight (u, j) of a layer.
func reference(n *nn.Network, x []float32, at func(layer, u, j int) float64) []float64 {
	in := make([]float64, len(x))
	for j, v := range x {
		in[j] = float64(v)
	}
	for ℓ, l := range n.Layers {
		w := l.Weights()
		var out []float64
		for q := range l.Positions() {
			a := make([]float64, w.Rows)
			for u := range a {
				a[u] = at(ℓ, u, w.Cols-1)
				for j := range w.Cols - 1 {
					a[u] += at(ℓ, u, j) * in[q+j]
				}
			}
			out = append(out, activate(l.Transfer(), a)...)
		}
		in = out
	}
	return in
}

func activate(f transfer.Func, a []float64) []float64 {
	y := make([]float64, len(a))
	var sum float64
	for u, v := range a {
		sum += math.Exp(v)
		if !f.RowCoupled() {
			y[u] = f.At(v)
		}
	}
	if f.RowCoupled() {
		for u, v := range a {
			y[u] = math.Exp(v) / sum
		}
	}
	return y
}

// networks are the kinds that a tape must get right: dense layers alone; windows first,
// in the middle and last.
func networks(t *testing.T) map[string]struct {
	net  *nn.Network
	loss loss.Loss
} {
	t.Helper()
	chain := func(layers ...nn.Layer) *nn.Network {
		n, err := nn.FromLayers(layers...)
		require.NoError(t, err)
		n.Init(nn.Glorot, 3)
		return n
	}
	type both = struct {
		net  *nn.Network
		loss loss.Loss
	}
	return map[string]both{
		"one layer": {chain(nn.NewDense(6, 5, transfer.Sigmoid)), loss.SigmoidCE},
		"dense":     {chain(nn.NewDense(6, 7, transfer.Tanh), nn.NewDense(7, 3, transfer.LeakyReLU(0.2)), nn.NewDense(3, 5, transfer.Softmax)), loss.SoftmaxCE},
		"windows first and in the middle": {chain(
			newSliding(6, 3, 2, transfer.Tanh),     // 6 values → 4 positions × 2
			newSliding(8, 4, 3, transfer.Sigmoid),  // 8 → 5 × 3
			nn.NewDense(15, 4, transfer.ReLU),      //
			newSliding(4, 2, 2, transfer.Identity), // 4 → 3 × 2
			nn.NewDense(6, 5, transfer.Sigmoid),
		), loss.SigmoidCE},
		"windows last": {chain(
			nn.NewDense(6, 7, transfer.Tanh),
			newSliding(7, 3, 1, transfer.Tanh), // 7 → 5 × 1
		), loss.Squared},
	}
}

// batchFor draws inputs, and targets that every loss takes.
func batchFor(n *nn.Network, examples int) (x, target backend.Mat) {
	x, target = backend.NewPadded(examples, n.Inputs()), backend.NewPadded(examples, n.Outputs())
	s := philox.New(1, philox.Order, 0)
	word := uint64(0)
	draw := func() float32 { word++; return float32(s.Uniform(word)) }
	for i := range examples {
		for j := range x.Cols {
			row(x, i)[j] = 2*draw() - 1
		}
		sum := float32(0)
		for j := range target.Cols {
			row(target, i)[j] = draw()
			sum += row(target, i)[j]
		}
		for j := range target.Cols {
			row(target, i)[j] /= sum
		}
	}
	return x, target
}

// meanLoss is the loss of a batch in float64, by the formulas.
func meanLoss(n *nn.Network, l loss.Loss, x, target backend.Mat, at func(layer, u, j int) float64) float64 {
	var sum float64
	for i := range x.Rows {
		for j, y := range reference(n, row(x, i), at) {
			tj := float64(row(target, i)[j])
			switch l {
			case loss.SigmoidCE:
				sum -= tj*math.Log(y) + (1-tj)*math.Log(1-y)
			case loss.SoftmaxCE:
				sum -= tj * math.Log(y)
			default:
				sum += (y - tj) * (y - tj) / 2
			}
		}
	}
	return sum / float64(x.Rows)
}

// D of every layer, multiplied into its design matrix, is the gradient of the mean loss:
// against central differences of a float64 forward pass.
func TestTapeGradient(t *testing.T) {
	const examples = 70 // two tasks
	k := gonum.New()
	for name, c := range networks(t) {
		for _, workers := range []int{3} {
			pool := plan.NewPool(workers)
			x, target := batchFor(c.net, examples)
			tape, err := plan.NewTape(c.net, c.loss, examples, k)
			require.NoError(t, err)
			mean, err := tape.Run(pool, x, target)
			require.NoError(t, err)
			weight := func(ℓ, u, j int) float64 { return float64(row(c.net.Weights()[ℓ], u)[j]) }
			// Forward and loss: float32 arithmetic over up to 16 terms.
			assert.InEpsilon(t, meanLoss(c.net, c.loss, x, target, weight), mean, 1e-6, name)

			for ℓ, w := range c.net.Weights() {
				g := backend.NewMat(w.Rows, w.Cols)
				k.Grad(g, tape.D[ℓ], tape.Design[ℓ])
				for u := range w.Rows {
					for j := range w.Cols {
						const h = 1e-5
						shifted := func(by float64) float64 {
							return meanLoss(c.net, c.loss, x, target, func(layer, unit, col int) float64 {
								v := weight(layer, unit, col)
								if layer == ℓ && unit == u && col == j {
									v += by
								}
								return v
							})
						}
						want := (shifted(h) - shifted(-h)) / (2 * h)
						// 2e-6: float32 sums of 70 terms below 0.1; ReLU's kink isn't met by this batch.
						assert.InDelta(t, want, float64(row(g, u)[j]), 2e-6, "%s: layer %d, weight (%d, %d)", name, ℓ, u, j)
					}
				}
			}
			pool.Close()
		}
	}
}

// The outputs are those of a simple loop, for a part of the batch too.
func TestForward(t *testing.T) {
	k := gonum.New()
	for name, c := range networks(t) {
		x, _ := batchFor(c.net, 5)
		act := nn.NewActivations(c.net, 5)
		backend.Copy(backend.WithoutBias(act.Input[0]), x)
		act.Forward(k, c.net.Weights(), 1, 4)
		_, y := act.Output(1, 4)
		require.Equal(t, [2]int{3, c.net.Outputs()}, [2]int{y.Rows, y.Cols})
		for i := range 3 {
			want := reference(c.net, row(x, i+1), func(ℓ, u, j int) float64 { return float64(row(c.net.Weights()[ℓ], u)[j]) })
			for j, v := range row(y, i) {
				assert.InDelta(t, want[j], float64(v), 1e-6, "%s: example %d, output %d", name, i+1, j)
			}
		}
		_, rest := act.Output(4, 5)
		for _, v := range row(rest, 0) {
			assert.Zero(t, v, "%s: examples outside the range aren't touched", name)
		}
		assert.Zero(t, testing.AllocsPerRun(5, func() { act.Forward(k, c.net.Weights(), 0, 5) }), name)
	}
}

func TestTapeRefuses(t *testing.T) {
	dense := nn.NewDense(4, 3, transfer.Softmax)
	n, err := nn.FromLayers(dense)
	require.NoError(t, err)
	k := gonum.New()
	_, err = plan.NewTape(n, loss.SoftmaxCE, 0, k)
	assert.EqualError(t, err, "batch of 0 examples; must be 1 or more")
	_, err = plan.NewTape(n, loss.SigmoidCE, 1, k)
	assert.ErrorContains(t, err, "loss sigmoid-ce needs sigmoid as the last transfer function, not softmax")
	windows, err := nn.FromLayers(newSliding(4, 2, 3, transfer.Softmax))
	require.NoError(t, err)
	_, err = plan.NewTape(windows, loss.SoftmaxCE, 1, k)
	assert.EqualError(t, err, "softmax needs a last layer with one position, not 3")

	tape, err := plan.NewTape(n, loss.SoftmaxCE, 2, k)
	require.NoError(t, err)
	pool := plan.NewPool(1)
	defer pool.Close()
	_, err = tape.Run(pool, backend.NewMat(2, 3), backend.NewMat(2, 3))
	assert.EqualError(t, err, "batch of another shape than planned: got x 2 × 3 and targets 2 × 3, want 2 × 4 and 2 × 3")
}

// A value that isn't finite is found where it arises.
func TestTapeDiverged(t *testing.T) {
	c := networks(t)["windows first and in the middle"]
	tape, err := plan.NewTape(c.net, c.loss, 3, gonum.New())
	require.NoError(t, err)
	pool := plan.NewPool(2)
	defer pool.Close()
	find := func(spoil func(x, target backend.Mat)) *plan.DivergedError {
		t.Helper()
		x, target := batchFor(c.net, 3)
		spoil(x, target)
		_, err := tape.Run(pool, x, target)
		var d *plan.DivergedError
		require.ErrorAs(t, err, &d)
		return d
	}
	nan := float32(math.NaN())
	d := find(func(x, _ backend.Mat) { row(x, 1)[2] = nan })
	assert.Equal(t, [2]any{-1, "input"}, [2]any{d.Layer, d.What})
	d = find(func(_, target backend.Mat) { row(target, 2)[0] = nan })
	assert.Equal(t, [2]any{-1, "target"}, [2]any{d.Layer, d.What})
	c.net.Weights()[2].Data[5] = nan
	d = find(func(_, _ backend.Mat) {})
	assert.Equal(t, [2]any{2, "pre-activations"}, [2]any{d.Layer, d.What})
	assert.True(t, math.IsNaN(d.Value))
}
