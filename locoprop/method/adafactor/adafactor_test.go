package adafactor_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/method/adafactor"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/methodtest"
	"github.com/stretchr/testify/require"
)

func method(t *testing.T, o adafactor.Options) *adafactor.Method {
	t.Helper()
	m, err := adafactor.New(o)
	require.NoError(t, err)
	return m
}

func rms(m oracle.Mat) float64 { return math.Sqrt(oracle.Dot(m, m) / float64(len(m.Data))) }

// tensor is Adafactor on one tensor in float64.
type tensor struct {
	rows, columns []float64
	v             oracle.Mat // of a vector
}

func (x *tensor) step(w, g oracle.Mat, k int, o adafactor.Options, scale float64) oracle.Mat {
	β := 1 - math.Pow(float64(k), -0.8)
	u := g.Clone()
	if x.rows == nil {
		x.rows, x.columns, x.v = make([]float64, g.Rows), make([]float64, g.Cols), oracle.New(g.Rows, g.Cols)
	}
	rows, columns := make([]float64, g.Rows), make([]float64, g.Cols)
	for i := range g.Rows {
		for j := range g.Cols {
			s := g.At(i, j)*g.At(i, j) + 1e-30
			rows[i] += s / float64(g.Cols)
			columns[j] += s / float64(g.Rows)
			x.v.Set(i, j, β*x.v.At(i, j)+(1-β)*s)
		}
	}
	mean := 0.0
	for i, v := range rows {
		x.rows[i] = β*x.rows[i] + (1-β)*v
		mean += x.rows[i] / float64(g.Rows)
	}
	for j, v := range columns {
		x.columns[j] = β*x.columns[j] + (1-β)*v
	}
	for i := range g.Rows {
		for j := range g.Cols {
			v := x.rows[i] * x.columns[j] / mean
			if g.Cols == 1 { // whole, and the same: c = mean(r)
				v = x.v.At(i, j)
			}
			u.Set(i, j, g.At(i, j)/math.Sqrt(v))
		}
	}
	rate := o.Eta * scale / math.Max(1, rms(u))
	if !o.Fixed {
		rate *= math.Max(1e-3, rms(w)) * math.Min(0.01, 1/math.Sqrt(float64(k)))
	}
	return oracle.Plus(w, -rate, u)
}

func TestStepsAgreeWithFormulas(t *testing.T) {
	for name, o := range map[string]adafactor.Options{
		"default": {}, "blocks": {Eta: 30, Block: 2}, "fixed": {Eta: 0.1, Fixed: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := method(t, o)
			methodtest.Against(t, m, 8, 1e-3, func(n *oracle.Network) func(x, y oracle.Mat, scale float64) {
				tensors := make([][2]tensor, len(n.Layers))
				k := 0
				return func(x, y oracle.Mat, scale float64) {
					k++
					for ℓ, p := range n.Backward(x, y) {
						w := n.Layers[ℓ].W
						last := w.Cols - 1
						a := tensors[ℓ][0].step(w.Columns(0, last), p.G.Columns(0, last), k, m.Options(), scale)
						b := tensors[ℓ][1].step(w.Columns(last, last+1), p.G.Columns(last, last+1), k, m.Options(), scale)
						for i := range w.Rows {
							copy(w.Row(i), append(append([]float64(nil), a.Row(i)...), b.Row(i)...))
						}
					}
				}
			})
		})
	}
}

func TestPromises(t *testing.T) {
	methodtest.Promises(t, method(t, adafactor.Options{Block: 4}), 6)
}

func TestRefuses(t *testing.T) {
	_, err := adafactor.New(adafactor.Options{Fixed: true, Block: -1})
	methodtest.Refuses(t, err, "learning rate is 0", "block is -1")
}
