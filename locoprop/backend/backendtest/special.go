package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

var (
	inf32    = float32(math.Inf(1))
	nan32    = float32(math.NaN())
	denormal = float32(1e-40)
)

// testSpecialValues checks that NaN and infinity go through every kernel as IEEE
// arithmetic has them, that they stay in their own row, column or element, and that
// denormals aren't flushed.
func testSpecialValues(t *testing.T, k backend.Kernels) {
	linear := []float32{nan32, inf32, -inf32, 0, float32(math.Copysign(0, -1)), denormal, -denormal}
	far := append([]float32{math.MaxFloat32, -math.MaxFloat32, 88.8, -88.8, 104, -104, 1e5, -1e5, 9.01, -9.01, math.SmallestNonzeroFloat32}, linear...)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			switch family, _, _ := strings.Cut(op.name, "/"); family {
			case "Affine", "Backprop", "Grad", "AddInto", "Scale":
				inject(t, k, op, linear, 0, 1)
			case "Gemm":
				if !strings.Contains(op.name, "alpha=0,") { // α = 0 doesn't read A and B
					inject(t, k, op, linear, 0, 1)
				}
			case "Syrk":
				if !strings.Contains(op.name, "alpha=0,") {
					inject(t, k, op, linear, 0)
				}
			case "Apply":
				inject(t, k, op, far, 0)
			case "Chain":
				inject(t, k, op, []float32{nan32, 0, denormal}, 1) // d; y must stay f(a), and f′ may round to 0
			case "StepSM3", "ScaledStep", "SquareSums", "ScaledSquares", "ColumnSums", "Times", "RankTwo":
				inject(t, k, op, linear, 0)
			case "Residual":
				inject(t, k, op, far, 0)
				inject(t, k, op, linear, 1)
			}
		})
	}
	t.Run("Update", func(t *testing.T) { specialUpdates(t, k) })
	t.Run("Loss", func(t *testing.T) { specialLosses(t, k) })
	t.Run("Denormals", func(t *testing.T) { denormals(t, k) })
}

// inject runs an operation with special values scattered over one of its matrices at a
// time, by their number in the order in which the call makes them.
func inject(t testing.TB, k backend.Kernels, op operation, values []float32, matrices ...int) {
	t.Helper()
	for _, n := range matrices {
		for i, v := range values {
			a := newArena(uint64(30+i), layouts[i%len(layouts)])
			c := op.prep(a, Shape{9, 12, 19})
			if n >= len(a.blocks) {
				continue // an operation in place has one matrix less
			}
			b := &a.blocks[n]
			for range 3 {
				b.mat.Data[a.rng.IntN(b.mat.Rows)*b.mat.Stride+a.rng.IntN(b.mat.Cols)] = v
			}
			b.before = bits(b.whole)
			want := c.want()
			c.run(k)
			a.check(t)
			compareSpecial(t, fmt.Sprintf("%v in matrix %d", v, n), c, want)
		}
	}
}

// compareSpecial is compare where NaN must meet NaN and infinity infinity.
func compareSpecial(t testing.TB, what string, c call, want expected) {
	t.Helper()
	for n, m := range c.outs {
		got := oracle.From32(m)
		for i, v := range got.Data {
			w, bound := float64(float32(want.outs[n].Data[i])), want.bounds[n].Data[i]
			if math.IsNaN(bound) {
				bound = tiny // an infinity next to a finite result, as in softmax
			}
			ok := math.Abs(v-w) <= bound
			if math.IsNaN(w) || math.IsInf(w, 0) {
				ok = v == w || math.IsNaN(v) && math.IsNaN(w)
			}
			if !ok {
				t.Fatalf("%s: output %d, element (%d, %d): got %v, want %v ± %.2g", what, n, i/m.Cols, i%m.Cols, v, w, bound)
			}
		}
	}
}

// specialUpdates compares with optimizer.Update.Apply: where squares overflow or
// vanish in float32, float64 is no guide.
func specialUpdates(t testing.TB, k backend.Kernels) {
	g := []float32{nan32, inf32, -inf32, 0, denormal, -1e-25, 1e-12, 1e20, -math.MaxFloat32, 1, -2, 3, 0, 0, 0.5, 1e-3, -1e-3}
	cols := len(g)
	for _, r := range Rules() {
		for _, slot := range []float32{0, 0.5, nan32} {
			noEpsilon := r
			noEpsilon.Epsilon = 0
			for _, rule := range []optimizer.Rule{r, noEpsilon} {
				u := rule.At(testRate, testFirst)
				specialUpdate(t, k, fmt.Sprintf("%s, ε = %v, slots %v", ruleName(r), rule.Epsilon, slot), u, g, slot, cols)
			}
		}
	}
}

func specialUpdate(t testing.TB, k backend.Kernels, name string, u optimizer.Update, g []float32, slot float32, cols int) {
	t.Helper()
	grad, delta, ref := newMat(1, cols), newMat(1, cols), newMat(1, cols)
	copy(grad.Data, g)
	var slots, refSlots []backend.Mat
	var rows [][]float32
	for range u.Kind.NumSlots() {
		s, q := newMat(1, cols), newMat(1, cols)
		for i := range s.Data {
			s.Data[i], q.Data[i] = slot, slot
		}
		slots, refSlots, rows = append(slots, s), append(refSlots, q), append(rows, q.Data)
	}
	for i := range delta.Data {
		delta.Data[i], ref.Data[i] = 0.25, 0.25
	}
	k.Update(u, delta, backend.Mat{}, grad, slots)
	u.Apply(ref.Data, nil, grad.Data, rows)
	got, want := snapshot(append(slots, delta)), snapshot(append(refSlots, ref))
	for i, v := range got {
		w := want[i]
		switch {
		case v != v && w != w, v == w:
		case math.Abs(float64(v)-float64(w)) <= 16*epsilon*(math.Abs(float64(w))+0.25):
		case u.Kind == optimizer.EGU && math.Abs(float64(v)-float64(w)) <= 1024*epsilon: // cosh 4 and sinh 4 cancel
		default:
			t.Errorf("%s: gradient %v: got %v, want %v", name, g[i%cols], v, w)
		}
	}
}

// specialLosses: a NaN anywhere makes the sum NaN and its own D NaN, and the whole row's where
// D comes from all of it; huge values don't overflow the float64 sum.
func specialLosses(t testing.TB, k backend.Kernels) {
	for _, l := range []loss.Loss{loss.SigmoidCE, loss.SoftmaxCE, loss.Squared, loss.BiTempered(0.8, 1.2)} {
		f := l.Transfer()
		for _, huge := range []float32{1e30, -1e30, 200, -200} {
			a, y, d, target := newMat(1, 5), newMat(1, 5), newMat(1, 5), newMat(1, 5)
			copy(a.Data, []float32{1, huge, -1, 0.5, 0})
			target.Data[2] = 1
			k.Apply(y, a, f)
			got := k.Loss(d, a, y, target, f, l, 1)
			want := oracle.Loss(l, f, oracle.From32(a), oracle.From32(target))
			if bound := 16 * epsilon * (math.Abs(want) + 8); !(math.Abs(got-want) <= bound) {
				t.Errorf("%v with pre-activation %v: loss %v, want %v ± %.2g", l, huge, got, want, bound)
			}
			a.Data[1], y.Data[1] = nan32, nan32
			if got := k.Loss(d, a, y, target, f, l, 1); !math.IsNaN(got) || d.Data[1] == d.Data[1] {
				t.Errorf("%v with a NaN: loss %v, its D %v; want NaN for both", l, got, d.Data[1])
			}
			whole := l.Kind() == loss.KindBiTempered
			for _, v := range []float32{d.Data[0], d.Data[4]} {
				if (v != v) != whole {
					t.Errorf("%v with a NaN: D of other outputs is NaN: %v, want %v: %v", l, v != v, whole, d.Data)
				}
			}
		}
	}
}

// denormals: results below the smallest normal number are kept. Another library's
// flush-to-zero mode mustn't reach the kernels.
func denormals(t testing.TB, k backend.Kernels) {
	fill := func(v float32) func(*rand.Rand) float32 { return func(*rand.Rand) float32 { return v } }
	a := newArena(40, layouts[0])
	small, ones := a.in(19, 1, fill(denormal)), a.in(17, 1, fill(1))
	out := a.out(19, 17, nan)
	expect := func(what string, m backend.Mat, want float32) {
		t.Helper()
		for i, v := range m.Data {
			if math.Abs(float64(v)-float64(want)) > tiny {
				t.Fatalf("%s: element %d is %g, want %g", what, i, v, want)
			}
		}
	}
	k.Affine(out, small, ones)
	expect("Affine of denormals by ones", out, denormal)
	for _, f := range []transfer.Func{
		transfer.Identity, transfer.Tanh, transfer.ReLU, transfer.Arctan, transfer.Softsign, transfer.ELU(1), transfer.HardTanh,
	} {
		y := newMat(19, 17)
		k.Apply(y, out, f)
		expect(fmt.Sprintf("Apply %v to denormals", f), y, denormal)
	}
	y := newMat(19, 17)
	low := a.in(19, 17, fill(-95))
	k.Apply(y, low, transfer.Sigmoid)
	if want := float32(math.Exp(-95)); math.Abs(float64(y.Data[0])-float64(want)) > tiny {
		t.Errorf("sigmoid(−95) = %g, want %g", y.Data[0], want)
	}
	for f, want := range map[transfer.Func]float64{
		transfer.Exp: math.Exp(-95), transfer.Softplus: math.Exp(-95), transfer.SiLU: -95 * math.Exp(-95),
	} {
		k.Apply(y, low, f)
		if math.Abs(float64(y.Data[0])-want) > tiny {
			t.Errorf("%v(−95) = %g, want %g", f, y.Data[0], want)
		}
	}
	half := a.out(19, 17, fill(3e-38))
	k.Scale(half, half, 0.125)
	expect("Scale to denormals", half, 3e-38/8)
	sum := a.out(19, 17, fill(denormal))
	k.AddInto(sum, out)
	expect("AddInto of denormals", sum, 2*denormal)
	k.Update(optimizer.New(optimizer.SGD).At(1, 1), sum, backend.Mat{}, out, nil)
	expect("Update by denormals", sum, denormal)
}
