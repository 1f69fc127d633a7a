package locoprop

import (
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Defaults of [Options].
const (
	DefaultGamma = 10
	DefaultSteps = 10
	DefaultFloor = 0.25
	MaxSteps     = 10000
)

// LocalLoss is what a layer's local problem minimises.
type LocalLoss uint8

// The local losses.
const (
	Matching LocalLoss = iota // LocoProp-M: Σ F(A) − Y*∘A, the Bregman loss of the transfer function
	Squared                   // LocoProp-S: ½‖A − A*‖²
)

// Form is how a layer's local problem is solved.
type Form uint8

// The forms.
const (
	FormDirect Form = iota // T iterations of the optimiser on W̃, each with two products over the batch
	FormMetric             // T iterations in the metric of running statistics; see Metric
)

// Forms are the names of the forms, in the order of their constants.
var Forms = []string{"direct", "metric"}

// String gives the name that the command line uses.
func (f Form) String() string {
	if int(f) < len(Forms) {
		return Forms[f]
	}
	return fmt.Sprintf("locoprop.Form(%d)", uint8(f))
}

// Options are the settings of LocoProp. Zero values are the defaults, but for Eta,
// which must be given in the direct form.
type Options struct {
	Loss      LocalLoss      // Matching
	Eta       float64        // local learning rate η > 0, for gradients summed over the batch; in the metric form a factor of Δ, 0 means 1
	Gamma     float64        // activation learning rate γ > 0; 0 means 10
	Steps     int            // local iterations T, 1 to 10000; 0 means 10
	Floor     float64        // φ in [0, 1]: least factor of the local rate's decay; 0 means 0.25; see NoFloor
	NoFloor   bool           // φ = 0
	Optimizer optimizer.Rule // the zero rule is plain SGD
	Form      Form           // FormDirect
	Metric    Metric         // constants of FormMetric, unused by the others
	Block     int            // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

// Method is LocoProp with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	if o.Gamma == 0 {
		o.Gamma = DefaultGamma
	}
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	if o.Floor == 0 && !o.NoFloor {
		o.Floor = DefaultFloor
	}
	if o.Block == 0 {
		o.Block = plan.DefaultBlock
	}
	if o.Form == FormMetric {
		o.Metric = o.Metric.withDefaults()
		if o.Eta == 0 {
			o.Eta = 1
		}
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("locoprop: "+format, args...)) }
	if o.Loss > Squared {
		bad("unknown local loss %d", o.Loss)
	}
	if !positive(o.Eta) {
		bad("learning rate is %v; must be a positive finite number", o.Eta)
	}
	if !positive(o.Gamma) {
		bad("gamma is %v; must be a positive finite number", o.Gamma)
	}
	if o.Steps < 1 || o.Steps > MaxSteps {
		bad("%d local steps; must be 1 to %d", o.Steps, MaxSteps)
	}
	if !(o.Floor >= 0 && o.Floor <= 1) {
		bad("floor of the local rate is %v; must be 0 to 1", o.Floor)
	}
	if o.Block < 1 {
		bad("block of %d units; must be 1 or more", o.Block)
	}
	if err := o.Optimizer.Check(); err != nil {
		errs = append(errs, err)
	}
	if o.Form == FormMetric {
		if err := o.Metric.check(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Method{o}, nil
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is locoprop-m or locoprop-s.
func (m *Method) Name() string {
	if m.o.Loss == Squared {
		return "locoprop-s"
	}
	return "locoprop-m"
}

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n. Under Matching it refuses a transfer function that isn't
// the gradient of a convex function.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	for ℓ, layer := range n.Layers {
		if m.o.Loss == Matching && !layer.Transfer().Monotone() {
			return nil, fmt.Errorf("layer %d: LocoProp-M needs a non-decreasing transfer function, which %v isn't; use locoprop-s",
				ℓ, layer.Transfer())
		}
	}
	tape, err := plan.NewTape(n, l, batch, k)
	if err != nil {
		return nil, err
	}
	if m.o.Form == FormMetric {
		return m.planMetric(n, tape, k), nil
	}
	s := &stepper{
		o: m.o, net: n, tape: tape, kernels: k,
		slots:   plan.NewSlots(n, m.o.Optimizer),
		updates: make([]optimizer.Update, m.o.Steps),
	}
	s.solver, _ = k.(backend.BlockSolver)
	s.planLocal()
	return s, nil
}

// localTransfer is the f of a layer's local problem: identity where the problem is
// LocoProp-S, or the same.
func (m LocalLoss) localTransfer(f transfer.Func) transfer.Func {
	if m == Squared {
		return transfer.Identity
	}
	return f
}
