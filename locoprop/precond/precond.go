package precond

import "fmt"

// Preconditioner is one layer's running statistics with the memory to turn its
// gradients into updates. At every batch call Observe or ObserveMoment, then Update or
// Steps. Not for use by two goroutines at once.
type Preconditioner struct {
	m         *Moment
	units     int
	scratch64 []float64
	scratch32 []float32
}

// New allocates a preconditioner for a layer of units m and cols = n+1 columns of X̃ (or
// n, for a layer without bias). The error lists all that is wrong.
func New(ops Ops, units, cols int, o Options) (*Preconditioner, error) {
	m, err := NewMoment(ops, cols, o)
	if err != nil {
		return nil, err
	}
	if units < 1 {
		return nil, fmt.Errorf("precond: layer of %d units; must be 1 or more", units)
	}
	return &Preconditioner{
		m: m, units: units,
		scratch64: make([]float64, max(m.RefactorScratch(), m.ConvergedScratch(units))),
		scratch32: make([]float32, m.StepsScratch(units)),
	}, nil
}

// Moment is the running second moment, for its damping and options.
func (p *Preconditioner) Moment() *Moment { return p.m }

// State is all that is carried from batch to batch; see [State].
func (p *Preconditioner) State() State { return p.m.State() }

// Observe begins a batch and takes its input into the statistics. x is X̃ = [X 1],
// B × (n+1), a row per example (for a convolution, per example and position: B is then
// the number of rows in γ̄, η̄ and ρ too).
func (p *Preconditioner) Observe(x Mat) {
	p.m.Begin()
	p.m.Accumulate(x, 0, p.m.cols)
}

// ObserveMoment is Observe for callers that have a batch's c = X̃ᵀX̃/B, (n+1) × (n+1) and
// symmetric, and not its X̃.
func (p *Preconditioner) ObserveMoment(c Mat) {
	p.m.Begin()
	p.m.AccumulateMoment(c, 0, p.m.cols)
}

// Update computes the converged update of the batch that was observed last:
//
//	Δ = −γ̄ G (C̄ + ρI)⁻¹
//
// to be added to the weights. delta, g: m × (n+1), which may be the same; g is the
// gradient of the mean loss, gamma is γ̄, the learning rate (γ/B in LocoProp's terms). C̄
// is factored every r-th batch. The error is a *[FactorError] or [ErrNotFinite]; delta
// is of no use then.
func (p *Preconditioner) Update(delta, g Mat, gamma float64) error {
	must(p.m.batches[0] > 0, "precond: Update before Observe")
	p.check(g)
	for i := range p.m.blocks {
		if err := p.m.Refactor(i, p.scratch64); err != nil {
			return err
		}
	}
	return p.m.Converged(delta, g, gamma, p.scratch64)
}

// Steps computes the update by len(rates) steps of gradient descent instead, see
// [Moment.Steps]. delta, g: m × (n+1), apart from each other; gamma is γ̄, rates are η̄ₜ
// (Bηₜ in LocoProp's terms), rho is ρ ≥ 0, 0 for no proximal term.
func (p *Preconditioner) Steps(delta, g Mat, gamma, rho float64, rates []float64) error {
	p.check(g)
	return p.m.Steps(delta, g, gamma, rho, rates, p.scratch32)
}

func (p *Preconditioner) check(g Mat) {
	must(g.Rows == p.units, "precond: gradient of another number of units than New was told")
}
