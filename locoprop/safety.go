package locoprop

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Safety guards each unit's update; where f couples a row (softmax under LocoProp-M)
// the layer is one unit. Nothing is on by default, and what is off costs nothing. In a
// batch the guards act in this order: Armijo and Tolerance at each iteration, then Cap,
// then Reject. w̃ is the unit's weights at the batch's start, ℓ_u its local loss relative
// to that. What a rule keeps as a function of the weights (p and q of egu-gd) is made anew
// where a guard changes them.
type Safety struct {
	// Armijo shortens every proposal p of the optimiser to s·p, s = 1, ½, …, 2⁻²⁰, the
	// first with
	//
	//	ℓ_u(s) ≤ ℓ_u(0) + 1e-4·s·min(⟨g, p⟩, 0)
	//
	// and else s = 0, so that the local loss doesn't rise. A buffer of displacements
	// (RMSProp's tf1, momentum with its rate in the buffer) is shortened alike. Direct
	// form.
	// Armijo, "Minimization of functions having Lipschitz continuous first partial
	// derivatives", Pacific J. Math. 16 (1966).
	Armijo bool
	// Tolerance, below 1: a unit's iterations end, and its optimiser's state freezes, once
	// ‖g_t‖ ≤ Tolerance·‖g_0‖, which is looked at from the second iteration on. Direct
	// form.
	Tolerance float64
	// Cap κ bounds the update: Δ ← Δ·min(1, κ·max(‖w̃‖, 1e-3·√(n+1))/‖Δ‖).
	Cap float64
	// Reject undoes an update whose ℓ_u ends above 0 or as NaN: Δ = 0, and the velocity
	// of the optimiser with it; its second moments stay.
	Reject bool
}

func (s Safety) check() error {
	var errs []error
	if !(s.Tolerance >= 0 && s.Tolerance < 1) {
		errs = append(errs, fmt.Errorf("locoprop: tolerance is %v; must be above 0 and below 1, or 0 for none", s.Tolerance))
	}
	if s.Cap != 0 && !positive(s.Cap) {
		errs = append(errs, fmt.Errorf("locoprop: cap of the update is %v; must be a positive finite number, or 0 for none", s.Cap))
	}
	return errors.Join(errs...)
}

// guard is one of the options that only some forms can honour.
type guard struct {
	name  string
	on    bool
	forms []Form
}

// guards is the table of what is valid where. Cap and rejection look at nothing but
// the weights before and after, so that only the metric form, whose velocity moves
// them too, is left out.
func (o Options) guards() []guard {
	single := []Form{FormDirect}
	whole := []Form{FormDirect, FormGram, FormKernel, FormImplicit, FormMajorised, FormExact, FormSpectral, FormStatistics}
	fixed := []Form{FormDirect, FormGram, FormKernel, FormImplicit, FormMajorised}
	return []guard{
		{"Armijo backtracking", o.Safety.Armijo, single},
		{"tolerance", o.Safety.Tolerance > 0, single},
		{"cap of the update", o.Safety.Cap > 0, whole},
		{"rejection", o.Safety.Reject, whole},
		{"target clipping", o.Clip, fixed},
	}
}

func formNames(forms []Form) string {
	names := make([]string, len(forms))
	for i, f := range forms {
		names[i] = f.String()
	}
	return strings.Join(names, ", or ")
}

// groups cuts a block of units into what the guards decide on: single units, or all.
func (l *layer) groups(units int) [][2]int {
	if l.f.RowCoupled() {
		return [][2]int{{0, units}}
	}
	groups := make([][2]int, units)
	for u := range groups {
		groups[u] = [2]int{u, u + 1}
	}
	return groups
}

// velocitySlot is the place of the slot in which a rule carries a direction from step
// to step; −1 where it has none.
func velocitySlot(r optimizer.Rule) int {
	at := -1
	for i, slot := range r.Slots() {
		switch slot.Name {
		case "m": // beside it, v is a second moment
			return i
		case "v":
			at = i
		}
	}
	return at
}

// carrier is a solver whose optimiser carries a velocity.
type carrier interface{ carriedSlots() *plan.Slots }

func (s *direct) carriedSlots() *plan.Slots   { return s.slots }
func (s *iterated) carriedSlots() *plan.Slots { return s.slots }

// safetyWork makes the tasks that cap and reject what a solver did.
func (l *layer) safetyWork(s solver) []plan.Job {
	if l.o.Safety.Cap == 0 && !l.o.Safety.Reject {
		return nil
	}
	var tasks []plan.Job
	rows, cols := l.x.Rows, l.x.Cols
	for _, t := range l.units(2 * float64(rows) * float64(cols)) {
		var velocity backend.Mat
		follow := func(int, int) {}
		if c, ok := s.(carrier); ok {
			slots := c.carriedSlots()
			if i := velocitySlot(slots.Rule); i >= 0 && i < len(slots.Mats) {
				velocity = backend.Rows(slots.Mats[i], t.Lo, t.Hi)
			}
			if slots.Rule.Kind.FollowsWeights() {
				follow = func(lo, hi int) { slots.ResetRows(t.Lo+lo, t.Lo+hi) }
			}
		}
		units, groups := t.Hi-t.Lo, l.groups(t.Hi-t.Lo)
		b := l.block(t.Lo, t.Hi, nil)
		before := backend.Rows(l.before, t.Lo, t.Hi)
		tasks = append(tasks, plan.Job{
			Task: t, Scratch: roundLine(units*cols) + 2*roundLine(rows*units) + roundLine(units),
			Do: func(scratch []float32) error {
				l.guard(&b, before, velocity, follow, groups, scratch)
				return nil
			},
		})
	}
	return tasks
}

// guard caps and then rejects the updates of a block of units. It tells follow which of
// them it has changed.
func (l *layer) guard(b *backend.Block, before, velocity backend.Mat, follow func(lo, hi int), groups [][2]int, scratch []float32) {
	delta, scratch := carve(scratch, b.W.Rows, b.W.Cols)
	if l.o.Safety.Cap > 0 {
		for _, g := range groups {
			now, was, change := backend.Rows(b.W, g[0], g[1]), backend.Rows(before, g[0], g[1]), backend.Rows(delta, g[0], g[1])
			subtract(change, now, was)
			least := 1e-3 * math.Sqrt(float64(was.Rows*was.Cols))
			bound := l.o.Safety.Cap * math.Max(math.Sqrt(sumSquares(was)), least)
			if norm := math.Sqrt(sumSquares(change)); norm > bound {
				addScaled(now, was, change, float32(bound/norm))
				follow(g[0], g[1])
			}
		}
	}
	if !l.o.Safety.Reject {
		return
	}
	subtract(delta, b.W, before)
	da, scratch := carve(scratch, b.D.Rows, b.D.Cols)
	e, scratch := carve(scratch, b.D.Rows, b.D.Cols)
	l.kernels.Affine(da, b.X, delta)
	l.kernels.Scale(e, b.D, b.Gamma)
	loss := localLoss{f: b.F, ahat: b.Ahat, e: e, da: da, row: scratch[:b.D.Cols]}
	for _, g := range groups {
		change := backend.Rows(delta, g[0], g[1])
		value, _ := loss.at(g[0], g[1], 0)
		if value += l.prox / 2 * sumSquares(change); value <= 0 {
			continue
		}
		backend.Copy(backend.Rows(b.W, g[0], g[1]), backend.Rows(before, g[0], g[1]))
		if velocity.Data != nil {
			clear(backend.Rows(velocity, g[0], g[1]).Data)
		}
		follow(g[0], g[1])
	}
}

// subtract computes dst = a − b, dst without gaps.
func subtract(dst, a, b backend.Mat) {
	for i := range dst.Rows {
		x, y, z := dst.Data[i*dst.Stride:][:dst.Cols], a.Data[i*a.Stride:][:dst.Cols], b.Data[i*b.Stride:][:dst.Cols]
		for j := range x {
			x[j] = y[j] - z[j]
		}
	}
}

// addScaled computes dst = a + s·b. dst may be a.
func addScaled(dst, a, b backend.Mat, s float32) {
	for i := range dst.Rows {
		x, y, z := dst.Data[i*dst.Stride:][:dst.Cols], a.Data[i*a.Stride:][:dst.Cols], b.Data[i*b.Stride:][:dst.Cols]
		for j := range x {
			x[j] = y[j] + float32(s*z[j])
		}
	}
}
