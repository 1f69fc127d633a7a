package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// ImplicitSolver is how the implicit form finds its stationary point.
type ImplicitSolver uint8

// The solvers.
const (
	// SolverAnderson is the fixed point iteration with Anderson acceleration (Anderson
	// 1965; Walker & Ni 2011), each unit by itself.
	SolverAnderson ImplicitSolver = iota
	// SolverNewton is Newton's method with a line search, each unit by itself and in
	// float64. Its cost grows with the cube of min(n+1, batch), which may be at most
	// NewtonLimit. Not for a row-coupled transfer function.
	SolverNewton
	// SolverFixed is the fixed point iteration: gradient steps of constant size.
	SolverFixed
)

// ImplicitSolvers are the names of the solvers, in the order of their constants.
var ImplicitSolvers = []string{"anderson", "newton", "fixed"}

// String gives the name that the command line uses.
func (s ImplicitSolver) String() string {
	if int(s) < len(ImplicitSolvers) {
		return ImplicitSolvers[s]
	}
	return fmt.Sprintf("locoprop.ImplicitSolver(%d)", uint8(s))
}

// Limits of [Implicit].
const (
	NewtonLimit = 512 // largest order of SolverNewton's matrices
	MaxMemory   = 20
)

// Implicit holds the settings of the implicit form: LocoProp-M with a proximal term,
// solved to the stationary point of its local loss, which is its one minimum:
//
//	W̃ = W̃ₖ − λ(f(X̃W̃ᵀ) − Y*)ᵀX̃
//
// Steps, Eta and Floor matter only through λ = Σηₜ under ProxAuto, the optimiser not at
// all. Every zero value means the default.
//
// A unit stops where its residual r = W̃ₖ − λ(…)ᵀX̃ − W̃ has fallen to Tolerance times
// what it was at W̃ₖ, or after Iterations, and takes the iterate with the least residual.
// float32 can't always reach the tolerance: M's residual carries the rounding of f, about
// 1e-7·|Ŷ|/γ|D|. So a unit also stops where its residual is below a hundredth of the first
// and falls by less than 1 % in 20 iterations. SolverNewton, in float64, has no such floor.
type Implicit struct {
	Solver     ImplicitSolver // SolverAnderson
	Tolerance  float64        // in (0, 1); default 1e-4
	Iterations int            // at most this many, 1 to 10000; default 20 for SolverNewton, else 200
	Memory     int            // iterates that SolverAnderson combines, 1 to 20; default 5
	// Relax is α in (0, 2), the part of r that SolverFixed and SolverAnderson add: the step
	// of SolverFixed is that of SGD at rate αλ. It converges where
	// α < 2/(1 + λ·sup f′·‖C‖₂). The default is 1/(1 + λ·sup f′·‖C‖₂), with an estimate
	// of ‖C‖₂ from below and, where f′ is unbounded, 1 for its bound. Whichever it was, a
	// unit whose residual such a step raises goes back and halves its α.
	Relax float64
}

func (m Implicit) withDefaults() Implicit {
	iterations := 200
	if m.Solver == SolverNewton {
		iterations = 20
	}
	setDefault(&m.Tolerance, 1e-4)
	setDefault(&m.Iterations, iterations)
	setDefault(&m.Memory, 5)
	return m
}

func (m Implicit) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("locoprop: implicit: "+format, args...))
	}
	if int(m.Solver) >= len(ImplicitSolvers) {
		bad("unknown solver %d", m.Solver)
	}
	if !(m.Tolerance > 0 && m.Tolerance < 1) {
		bad("tolerance is %v; must be above 0 and below 1", m.Tolerance)
	}
	if m.Iterations < 1 || m.Iterations > MaxSteps {
		bad("%d iterations; must be 1 to %d", m.Iterations, MaxSteps)
	}
	if m.Memory < 1 || m.Memory > MaxMemory {
		bad("memory of %d iterates; must be 1 to %d", m.Memory, MaxMemory)
	}
	if !(m.Relax >= 0 && m.Relax < 2) {
		bad("relax is %v; must be above 0 and below 2, or 0 for the default", m.Relax)
	}
	return errors.Join(errs...)
}

// implicit is the implicit form of one layer; see Implicit.
type implicit struct {
	*layer
	lambda float64 // λ; 0: no step
	work   [][]plan.Job

	relax float64     // α of SolverFixed and SolverAnderson
	power backend.Mat // a vector of n+1 elements, for the estimate of ‖C‖₂
	image backend.Mat // X̃ times it, rows × 1

	tallies []tally   // of the last step, per task
	dual    bool      // SolverNewton works with K = X̃X̃ᵀ
	gram    []float64 // K, rows × rows
}

// tally is what a task of the last step took.
type tally struct {
	used      int     // iterations, of SolverNewton summed over units; −1 before the first step
	most      int     // the most that a unit took
	condition float64 // estimate of the worst Hessian's, of SolverNewton where it is diagnosed; else 0
}

// iterations is the most that a unit took.
func (s *implicit) iterations() int {
	most := 0
	for _, t := range s.tallies {
		most = max(most, t.most)
	}
	return most
}

// condition is an estimate for the worst matrix that was factored.
func (s *implicit) condition() float64 {
	worst := 0.0
	for _, t := range s.tallies {
		worst = math.Max(worst, t.condition)
	}
	return worst
}

func newImplicit(l *layer) (solver, error) {
	s := &implicit{layer: l}
	if l.o.Implicit.Solver == SolverNewton {
		if err := s.planNewton(); err != nil {
			return nil, err
		}
		return s, nil
	}
	s.planFixed()
	return s, nil
}

func (s *implicit) stages() [][]plan.Job { return s.work }
func (s *implicit) state() []plan.Tensor { return nil }

func (s *implicit) begin() {
	s.lambda = 0
	if positive(s.prox) {
		s.lambda = 1 / s.prox
	}
}

// explain counts the flops of the iterations that the last step took, before the first
// step those that it may take at most.
func (s *implicit) explain(p *plan.LayerPlan) {
	blocks := s.work[len(s.work)-1]
	p.Form, p.Tasks = FormImplicit.String(), len(blocks)
	b, n, m := float64(s.x.Rows), float64(s.x.Cols), float64(s.w.Rows)
	p.LocalFlops = 2 * b * n * m // the first gradient, or in the dual Δ from Z
	if s.dual {
		p.LocalFlops += 2 * b * b * n
	}
	for i, w := range blocks {
		units := float64(w.Hi - w.Lo)
		switch {
		case s.tallies[i].used < 0:
			p.LocalFlops += float64(s.o.Implicit.Iterations) * units * s.flops()
		case s.o.Implicit.Solver == SolverNewton:
			p.LocalFlops += float64(s.tallies[i].used) * s.flops()
		default:
			p.LocalFlops += float64(s.tallies[i].used) * units * s.flops()
		}
	}
	p.MemoryBytes = 8*float64(len(s.gram)) + 4*float64(len(s.power.Data)+len(s.image.Data))
	s.tell(s.predict(), p)
}

// flops counts those of an iteration of one unit.
func (s *implicit) flops() float64 {
	b, n := float64(s.x.Rows), float64(s.x.Cols)
	switch {
	case s.o.Implicit.Solver != SolverNewton:
		return 4 * b * n
	case s.dual:
		return b*b*b/3 + 5*b*b
	}
	return b*n*n + n*n*n/3 + 4*b*n
}

// blocks makes a task for each block of units; solve is what makes one's solver.
func (s *implicit) blocks(solve func(lo, hi int, took *tally) (scratch int, do func([]float32) error)) {
	tasks := s.units(float64(s.o.Implicit.Iterations) * s.flops())
	s.tallies = make([]tally, len(tasks))
	var blocks []plan.Job
	for i, t := range tasks {
		s.tallies[i].used = -1
		scratch, do := solve(t.Lo, t.Hi, &s.tallies[i])
		blocks = append(blocks, plan.Job{Task: t, Scratch: scratch, What: madeSolution, Do: do})
	}
	s.work = append(s.work, blocks)
}

// normProducts are the products with C that estimate its norm. From a start with a part
// 1/√n in the leading direction they find all but n^(−1/40) of it, 0.84 at n = 1000;
// half would do for the iteration to converge.
const normProducts = 20

// setRelax chooses α, by a power iteration on C = X̃ᵀX̃ where it isn't given.
func (s *implicit) setRelax([]float32) error {
	if s.relax = s.o.Implicit.Relax; s.relax != 0 || s.lambda == 0 {
		return nil
	}
	// Steps of the golden ratio: no symmetry of the input is orthogonal to them.
	for j := range s.power.Data {
		_, fraction := math.Modf(float64(j+1) * math.Phi)
		s.power.Data[j] = float32(0.5 + fraction)
	}
	norm := 0.0
	for range normProducts {
		scale := 1 / math.Sqrt(sumSquares(s.power))
		for j := range s.power.Data {
			s.power.Data[j] = float32(float64(s.power.Data[j]) * scale)
		}
		s.kernels.Affine(s.image, s.x, s.power)
		s.kernels.Grad(s.power, s.image, s.x)
		norm = math.Sqrt(sumSquares(s.power))
	}
	slope, ok := s.f.MaxSlope()
	if !ok {
		slope = 1
	}
	s.relax = 1 / (1 + s.lambda*slope*norm)
	if !positive(s.relax) {
		return errGradient
	}
	return nil
}
