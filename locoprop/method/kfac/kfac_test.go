package kfac_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o kfac.Options) *kfac.Method {
	t.Helper()
	m, err := kfac.New(o)
	require.NoError(t, err)
	return m
}

// formulas is K-FAC in float64, as its documentation has it.
type formulas struct {
	kfac.Options
	net                    *oracle.Network
	k                      int
	c, g, cInv, gInv, last []oracle.Mat
	mean                   []oracle.Mat
}

func newFormulas(o kfac.Options, net *oracle.Network) *formulas {
	f := &formulas{Options: o, net: net}
	for _, l := range net.Layers {
		m, n := l.W.Rows, l.W.Cols
		f.c, f.g = append(f.c, oracle.New(n, n)), append(f.g, oracle.New(m, m))
		f.cInv, f.gInv = append(f.cInv, oracle.New(n, n)), append(f.gInv, oracle.New(m, m))
		f.last, f.mean = append(f.last, oracle.New(m, n)), append(f.mean, oracle.New(m, n))
	}
	return f
}

// sampledD is B·D of every layer, for targets drawn from the model.
func (f *formulas) sampledD(passes []oracle.Pass) []oracle.Mat {
	u := philox.New(f.Seed, philox.Targets, uint64(f.k))
	last := len(passes) - 1
	y := passes[last].Y
	d := y.Clone()
	for i := range d.Rows {
		at := uint64(i * 2 * d.Cols)
		sum, drawn := 0.0, false
		for j := range d.Cols {
			p := y.At(i, j)
			switch f.net.Loss {
			case loss.SigmoidCE:
				if u.Uniform(at+uint64(j)) < p {
					d.Set(i, j, p-1)
				}
			case loss.SoftmaxCE:
				sum += p
				if !drawn && u.Uniform(at) < sum {
					d.Set(i, j, p-1)
					drawn = true
				}
			default:
				r := math.Sqrt(-2 * math.Log(u.Uniform(at+uint64(2*j))))
				d.Set(i, j, r*math.Cos(2*math.Pi*u.Uniform(at+uint64(2*j)+1)))
			}
		}
	}
	if f.net.Loss == loss.Squared {
		d = oracle.Chain(f.net.Layers[last].F, d, passes[last].A)
	}
	all := make([]oracle.Mat, last+1)
	for ℓ := last; ℓ >= 0; ℓ-- {
		all[ℓ] = d
		if ℓ > 0 {
			w := f.net.Layers[ℓ].W
			d = oracle.Chain(f.net.Layers[ℓ-1].F, oracle.Mul(d, w.Columns(0, w.Cols-1)), passes[ℓ-1].A)
		}
	}
	return all
}

// derivative is Ȧ of the last layer along a direction, scaled so that its square is ȦHȦ
// (softmax: by diag √y (I − 1yᵀ)).
func (f *formulas) derivative(passes []oracle.Pass, along []oracle.Mat) oracle.Mat {
	var dx oracle.Mat
	last := len(passes) - 1
	for ℓ, p := range passes {
		da := oracle.Mul(p.X, along[ℓ].T())
		if ℓ > 0 {
			w := f.net.Layers[ℓ].W
			da = oracle.Plus(da, 1, oracle.Mul(dx, w.Columns(0, w.Cols-1).T()))
		}
		if ℓ < last || f.net.Loss == loss.Squared {
			da = oracle.Chain(f.net.Layers[ℓ].F, da, p.A)
		}
		dx = da
	}
	y := passes[last].Y
	for i := range y.Rows {
		mean := 0.0
		for j, p := range y.Row(i) {
			mean += p * dx.At(i, j)
		}
		for j, p := range y.Row(i) {
			switch f.net.Loss {
			case loss.SigmoidCE:
				dx.Set(i, j, math.Sqrt(p*(1-p))*dx.At(i, j))
			case loss.SoftmaxCE:
				dx.Set(i, j, math.Sqrt(p)*(dx.At(i, j)-mean))
			}
		}
	}
	return dx
}

func scaled(m oracle.Mat, s float64) oracle.Mat {
	return m.Map(func(v float64) float64 { return s * v })
}

func average(old oracle.Mat, β float64, now oracle.Mat) oracle.Mat {
	return oracle.Plus(scaled(old, β), 1-β, now)
}

func (f *formulas) step(x, t oracle.Mat, scale float64) {
	b := float64(x.Rows)
	passes := f.net.Backward(x, t)
	before := f.net.MeanLoss(x, t)
	d := f.sampledD(passes)
	f.k++
	β := math.Min(f.Average, 1-1/float64(f.k))
	var grad, delta []oracle.Mat
	for ℓ, p := range passes {
		if f.Empirical {
			d[ℓ] = scaled(p.D, b)
		}
		f.c[ℓ] = average(f.c[ℓ], β, scaled(oracle.Mul(p.X.T(), p.X), 1/b))
		f.g[ℓ] = average(f.g[ℓ], β, scaled(oracle.Mul(d[ℓ].T(), d[ℓ]), 1/b))
		w := f.net.Layers[ℓ].W
		n, m := w.Cols, w.Rows
		g := oracle.Plus(p.G, f.L2, w)
		κ, π, early := math.Sqrt(f.Damping+f.L2), 1.0, 3
		if f.Plain {
			f.mean[ℓ] = average(f.mean[ℓ], 0.9, g)
			g, κ, early = f.mean[ℓ], math.Sqrt(f.Damping), 20
		} else {
			π = math.Sqrt(oracle.Trace(f.c[ℓ]) / float64(n) / (oracle.Trace(f.g[ℓ]) / float64(m)))
		}
		if f.k <= early || f.k%f.Refresh == 0 {
			f.cInv[ℓ] = oracle.Inverse(oracle.Plus(f.c[ℓ], 1, oracle.Eye(n, π*κ)))
			f.gInv[ℓ] = oracle.Inverse(oracle.Plus(f.g[ℓ], 1, oracle.Eye(m, κ/π)))
		}
		grad = append(grad, g)
		delta = append(delta, scaled(oracle.Mul(oracle.Mul(f.gInv[ℓ], g), f.cInv[ℓ]), -1))
	}
	rate := f.Eta * scale
	if f.Plain {
		for ℓ := range delta {
			f.net.Layers[ℓ].W = oracle.Plus(f.net.Layers[ℓ].W, rate, delta[ℓ])
		}
		return
	}
	dot := func(u, v []oracle.Mat) (sum float64) {
		for ℓ := range u {
			sum += oracle.Dot(u[ℓ], v[ℓ])
		}
		return sum
	}
	fisher := func(u, v []oracle.Mat) float64 {
		return oracle.Dot(f.derivative(passes, u), f.derivative(passes, v))/b + (f.Damping+f.L2)*dot(u, v)
	}
	m11, m12, m22 := fisher(delta, delta), fisher(delta, f.last), fisher(f.last, f.last)
	g1, g2 := dot(grad, delta), dot(grad, f.last)
	a, c := -g1/m11, 0.0
	if f.k > 1 {
		det := m11*m22 - m12*m12
		if det > 1e-8*m11*m22 {
			a, c = -(m22*g1-m12*g2)/det, -(m11*g2-m12*g1)/det
		}
	}
	var weights float64
	for ℓ := range delta {
		f.last[ℓ] = oracle.Plus(scaled(delta[ℓ], rate*a), rate*c, f.last[ℓ])
		w := f.net.Layers[ℓ].W
		f.net.Layers[ℓ].W = oracle.Plus(w, 1, f.last[ℓ])
		weights += oracle.Dot(f.net.Layers[ℓ].W, f.net.Layers[ℓ].W) - oracle.Dot(w, w)
	}
	if f.k%5 == 0 {
		model := dot(grad, f.last) + (f.curvature(passes)/b+(f.Damping+f.L2)*dot(f.last, f.last))/2
		ratio := (f.net.MeanLoss(x, t) - before + f.L2/2*weights) / model
		switch {
		case ratio > 0.75:
			f.Damping *= math.Pow(19.0/20, 5)
		case ratio < 0.25:
			f.Damping /= math.Pow(19.0/20, 5)
		}
	}
}

func (f *formulas) curvature(passes []oracle.Pass) float64 {
	// The passes hold activations and not weights, which moved since: Ȧ needs the old ones.
	moved := f.net.Layers
	f.net.Layers = append([]oracle.Layer(nil), moved...)
	for ℓ := range f.net.Layers {
		f.net.Layers[ℓ].W = oracle.Plus(moved[ℓ].W, -1, f.last[ℓ])
	}
	d := f.derivative(passes, f.last)
	f.net.Layers = moved
	return oracle.Dot(d, d)
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]kfac.Options{
		"default":   {},
		"sampled":   {Damping: 0.5, Refresh: 4, Block: 4},
		"empirical": {Damping: 0.5, Refresh: 2, Empirical: true, Average: 0.5, L2: 1e-2},
		"far":       {Damping: 0.1, Eta: 1.6}, // steps too long to be foretold: the damping grows
		"plain":     {Plain: true, Eta: 0.5, Damping: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			// Float32 sums, and inverses whose relative error is theirs times the condition.
			share := 1e-3
			if o.Eta > 1 { // where steps nearly diverge, so does rounding
				share = 0.05
			}
			methodtest.Against(t, m, 11, share, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				return newFormulas(m.Options(), n).step
			})
		})
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, kfac.Options{Block: 4, Refresh: 4, Damping: 1}), 11)
	methodtest.Promises(t, method(t, kfac.Options{Block: 4, Plain: true, Empirical: true, Eta: 0.1}), 11)
}

// On a deep linear network the gradients behind a layer don't depend on its input, so that
// the Fisher matrix of each layer is the Kronecker product of the factors, exactly: the
// state's factors against the Fisher matrix built by brute force, an entry at a time, from
// derivatives of the outputs.
func TestFactorsAreTheFisherMatrixOfALinearNetwork(t *testing.T) {
	p := methodtest.Problem{
		Arch: nn.Arch{Widths: []int{3, 2, 4, 2}, Transfer: []transfer.Func{transfer.Identity, transfer.Identity, transfer.Identity}},
		Loss: loss.Squared, Batch: 20000,
	}
	n := p.Network(t, 3)
	s, err := method(t, kfac.Options{Eta: 1e-30}).Plan(n, p.Loss, p.Batch, gonum.New())
	require.NoError(t, err)
	p.Run(t, s, 1, 0, 1)
	x, _ := p.Data(0)
	o := p.Oracle(n)
	passes := o.Forward(oracle.From32(x))
	after := oracle.Eye(2, 1) // ∂outputs/∂A of the layer
	for ℓ := 2; ℓ >= 0; ℓ-- {
		in, out := moment(t, s, ℓ, "input"), moment(t, s, ℓ, "output")
		m, cols := out.Rows, in.Rows
		// ∂output o/∂w̃_uj of example i is after(o, u)·x̃_ij.
		top, worst := 0.0, 0.0
		for u := range m {
			for v := range m {
				for j := range cols {
					for k := range cols {
						var sum float64
						for i := range p.Batch {
							var both float64
							for q := range 2 {
								both += after.At(q, u) * after.At(q, v)
							}
							sum += both * passes[ℓ].X.At(i, j) * passes[ℓ].X.At(i, k)
						}
						fisher := sum / float64(p.Batch)
						top = math.Max(top, math.Abs(fisher))
						worst = math.Max(worst, math.Abs(fisher-out.At(u, v)*in.At(j, k)))
					}
				}
			}
		}
		// 20,000 samples: a relative deviation of √(2/20000) = 1 %, three times that.
		assert.Less(t, worst, 0.03*top, "layer %d", ℓ)
		w := o.Layers[ℓ].W
		after = oracle.Mul(after, w.Columns(0, w.Cols-1))
	}
}

func moment(t *testing.T, s plan.Stepper, ℓ int, name string) oracle.Mat {
	t.Helper()
	for _, tensor := range s.State() {
		if tensor.Name == "layers."+string(rune('0'+ℓ))+".kfac."+name {
			m := oracle.New(tensor.Shape[0], tensor.Shape[1])
			for i, v := range tensor.F32 {
				m.Data[i] = float64(v)
			}
			return m
		}
	}
	t.Fatal("no such tensor")
	return oracle.Mat{}
}

func TestRefuses(t *testing.T) {
	_, err := kfac.New(kfac.Options{Eta: -1, Damping: math.NaN(), L2: 1, NoL2: true, Average: 1, Refresh: -1, Block: -2})
	methodtest.Refuses(t, err, "learning rate is -1", "damping is NaN", "give one of both", "average is 1", "refresh is -1", "block is -2")
	n, err := nn.New(nn.Arch{Widths: []int{2, 2}, Transfer: []transfer.Func{transfer.Softmax}})
	require.NoError(t, err)
	_, err = method(t, kfac.Options{}).Plan(n, loss.Squared, 1, gonum.New())
	methodtest.Refuses(t, err, "squared with softmax")
	bi, err := loss.Parse("bi-tempered(0.8,1.2)")
	require.NoError(t, err)
	n, err = nn.New(nn.Arch{Widths: []int{2, 2}, Transfer: []transfer.Func{bi.Transfer()}})
	require.NoError(t, err)
	_, err = method(t, kfac.Options{}).Plan(n, bi, 1, gonum.New())
	methodtest.Refuses(t, err, "no model's likelihood")
}

func TestFails(t *testing.T) {
	m, err := kfac.New(kfac.Options{})
	require.NoError(t, err)
	methodtest.Fails(t, m, "second moment")
}
