package backendtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// Rules lists the update rules that the suite tries: every kind with its defaults, and
// settings that reach other branches.
func Rules() []optimizer.Rule {
	var rules []optimizer.Rule
	for k := optimizer.SGD; k < optimizer.NumKinds; k++ {
		rules = append(rules, optimizer.New(k).ForLayer(30, 20))
	}
	rms := optimizer.New(optimizer.RMSPropTorch)
	rms.Momentum = 0.9
	paper := optimizer.New(optimizer.AdamTF1) // the LocoProp authors' Adam
	paper.Beta1, paper.Beta2, paper.Epsilon = 0.999, 0.9, 1e-5
	return append(rules, rms, paper)
}

func ruleName(r optimizer.Rule) string {
	name := r.Name()
	if v := r.Variant(); v != "" {
		name += "-" + v
	}
	if r != optimizer.New(r.Kind) {
		name += "*"
	}
	return name
}

// The learning rate, 1/λ and count of the first of the updates that are tried.
const (
	testRate  = 0.01
	testProx  = 0.5
	testFirst = 3
	testSteps = 3
)

// updates lists Update for every rule, on weights themselves, on a change of weights,
// and with a proximal term.
func updates() []operation {
	var ops []operation
	for _, r := range Rules() {
		for _, mode := range []string{"weights", "delta", "delta,prox"} {
			ops = append(ops, operation{name: fmt.Sprintf("Update/%s,%s", ruleName(r), mode), thin: mode != "delta", prep: func(ar *arena, s Shape) call {
				return updateCall(ar, s, r, mode)
			}})
		}
	}
	return ops
}

// positive fills a slot that holds a running mean of squares.
func positive(r *rand.Rand) float32 { return 0.01 + r.Float32() }

// updateCall takes a few consecutive updates by one gradient.
func updateCall(ar *arena, s Shape, r optimizer.Rule, mode string) call {
	rows, cols := s.M, s.N+1
	var prox float64
	var w0 backend.Mat
	if mode != "weights" {
		w0 = ar.in(rows, cols, symmetric)
	}
	if mode == "delta,prox" {
		prox = testProx
	}
	g := ar.in(rows, cols, symmetric)
	delta := ar.out(rows, cols, symmetric)
	outs := []backend.Mat{delta}
	for _, slot := range r.Slots() {
		f := symmetric
		if slot.Name == "s" || slot.Name == "v_max" || slot.Name == "v" && r.Beta2 > 0 || r.Kind == optimizer.EGUGD {
			f = positive
		}
		outs = append(outs, ar.out(rows, cols, f))
	}
	slots := outs[1:]
	var steps [testSteps]optimizer.Update
	for i := range steps {
		steps[i] = r.At(testRate, int64(testFirst+i))
		steps[i].Prox = float32(prox)
	}
	return call{
		run: func(k backend.Kernels) {
			for _, u := range steps {
				k.Update(u, delta, w0, g, slots)
			}
		},
		outs: outs,
		want: func() expected {
			if r.Kind.WholeRows() {
				return wantPNorm(steps[:], delta, w0, g)
			}
			return wantUpdate(r, prox, delta, w0, g, slots)
		},
		bytes: testSteps * 4 * float64(3+2*len(slots)) * float64(rows*cols),
	}
}

// wantUpdate runs the rule in float64, on weights. The bound comes from the same rule on
// absolute values, which adds up what the true one may cancel: a step rounds fewer than
// 16 times, and its constants were rounded before.
func wantUpdate(r optimizer.Rule, prox float64, delta, w0, g backend.Mat, slots []backend.Mat) expected {
	base := oracle.New(delta.Rows, delta.Cols)
	if w0.Data != nil {
		base = oracle.From32(w0)
	}
	squares := (testFirst - 1) * testRate * testRate
	exact := oracle.Optimizer{Rule: r, K: testFirst - 1, Squares: squares}
	upper := oracle.Optimizer{Rule: r, K: testFirst - 1, Squares: squares}
	for _, s := range slots {
		exact.Slots = append(exact.Slots, oracle.From32(s))
		upper.Slots = append(upper.Slots, absolute(oracle.From32(s)))
	}
	w := oracle.Plus(base, 1, oracle.From32(delta))
	grad := oracle.From32(g)
	size := absolute(oracle.From32(delta)) // Σ |displacements|
	if r.NeedsWeights() {
		size = oracle.Plus(size, 1, scaled(1, base)) // W̃ is read, not Δ
	}
	if r.Kind == optimizer.ScheduleFree || r.Kind == optimizer.EGU || r.Kind == optimizer.EGUGD {
		return wantReplaced(exact, prox, w, base, grad, size)
	}
	for range testSteps {
		now := oracle.Plus(grad, prox, oracle.Plus(w, -1, base))
		largest := combine(absolute(now), size, func(g, d float64) float64 { return g + prox*d })
		before := oracle.New(delta.Rows, delta.Cols)
		upper.Step(before, largest, testRate)
		size = oracle.Plus(size, 1, absolute(before))
		exact.Step(w, now, testRate)
	}
	e := one(oracle.Plus(w, -1, base), updateBound(size))
	for i := range slots {
		e.outs = append(e.outs, exact.Slots[i])
		e.bounds = append(e.bounds, updateBound(combine(absolute(exact.Slots[i]), upper.Slots[i], math.Max)))
	}
	return e
}

// wantReplaced is wantUpdate for rules whose result isn't a sum of displacements: all that
// enters is of the size of the weights, of their changes, or of slots on the same scale.
func wantReplaced(exact oracle.Optimizer, prox float64, w, base, grad, size oracle.Mat) expected {
	for i, s := range exact.Slots {
		if exact.Rule.Slots()[i].FromWeights {
			squares := absolute(s)
			if exact.Rule.Kind == optimizer.EGUGD {
				squares = combine(squares, squares, func(x, y float64) float64 { return x * y })
			}
			size = oracle.Plus(size, 1, squares)
		}
	}
	for range testSteps {
		before := w.Clone()
		exact.Step(w, oracle.Plus(grad, prox, oracle.Plus(w, -1, base)), testRate)
		size = oracle.Plus(size, 2, absolute(oracle.Plus(w, -1, before)))
	}
	e := one(oracle.Plus(w, -1, base), updateBound(size))
	for i, s := range exact.Slots {
		bound := size
		if !exact.Rule.Slots()[i].FromWeights {
			bound = absolute(s)
		}
		e.outs = append(e.outs, s)
		e.bounds = append(e.bounds, updateBound(bound))
	}
	return e
}

// wantPNorm takes a row at a time through the rule in float64, and with it a bound of each
// weight's error: where θ is near 0 a weight changes faster than θ, so the bound is what the
// error of θ may make of the weight there.
func wantPNorm(steps []optimizer.Update, delta, w0, g backend.Mat) expected {
	e := one(oracle.New(delta.Rows, delta.Cols), oracle.New(delta.Rows, delta.Cols))
	for i := range delta.Rows {
		base := make([]float64, delta.Cols)
		if w0.Data != nil {
			copy(base, oracle.From32(w0).Row(i))
		}
		w, err, grad := make([]float64, delta.Cols), make([]float64, delta.Cols), oracle.From32(g).Row(i)
		for j, d := range oracle.From32(delta).Row(i) {
			w[j] = base[j] + d
		}
		for _, u := range steps {
			eta, p, prox := float64(u.C[0]), float64(u.C[1]), float64(u.Prox)
			theta, off := linked(w, err, p)
			for j := range theta {
				theta[j] -= eta * (grad[j] + prox*(w[j]-base[j]))
				off[j] += eta * (prox*err[j] + 2*epsilon*prox*math.Abs(grad[j]) + 2*epsilon*prox*math.Abs(w[j]-base[j]))
			}
			w, err = linked(theta, off, p/(p-1))
			for j := range w {
				err[j] += epsilon * math.Abs(w[j]-base[j])
			}
		}
		for j := range w {
			e.outs[0].Set(i, j, w[j]-base[j])
			e.bounds[0].Set(i, j, 2*err[j])
		}
	}
	return e
}

// linked is ∇½‖x‖ᵣ², and how far it may be off where x is by err.
func linked(x, err []float64, r float64) (link, off []float64) {
	norm := func(v []float64) (sum float64) {
		for _, e := range v {
			sum += math.Pow(math.Abs(e), r)
		}
		return math.Pow(sum, 1/r)
	}
	size := norm(x)
	at := func(v float64) float64 {
		if v == 0 || r == 2 {
			return v
		}
		return math.Copysign(size*math.Pow(math.Abs(v)/size, r-1), v)
	}
	share := 0.0 // how much of the norm may be off
	if size > 0 {
		share = norm(err) / size
	}
	for i, v := range x {
		l := at(v)
		link = append(link, l)
		off = append(off, math.Max(math.Abs(at(v+err[i])-l), math.Abs(at(v-err[i])-l))+math.Abs(l)*(math.Abs(r-2)*share+1e-12))
	}
	return link, off
}

func updateBound(size oracle.Mat) oracle.Mat { return scaled(testSteps*16*epsilon, size) }
