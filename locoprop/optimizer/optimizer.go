// Package optimizer holds element-wise update rules: how a gradient g changes a
// weight, given a learning rate η and the rule's own state ("slots").
//
// The same rules serve as local optimisers of LocoProp's layer problems and as
// first-order baselines under back-propagation. A rule is a plain value; its slots
// belong to whoever uses it, and arithmetic belongs to the backends. With g the
// gradient at a weight w and k = 1, 2, … the updates since the start:
//
//	sgd            w ← w − ηg
//	momentum       v ← μv + g;  w ← w − ηv
//	nesterov       v ← μv + g;  w ← w − η(g + μv)
//	adagrad        s ← s + g²;  w ← w − ηg/√s                     s starts at ε; 0/0 counts as 0
//	rmsprop tf1    s ← ρs + (1−ρ)g²;  v ← μv + ηg/√(s+ε);  w ← w − v      s starts at 1
//	rmsprop torch  s ← ρs + (1−ρ)g²;  v ← μv + g/(√s+ε);   w ← w − ηv
//	adam tf1       m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;
//	               w ← w − η·√(1−β₂ᵏ)/(1−β₁ᵏ)·m/(√v+ε)
//	adam torch     same m, v;  w ← w − η·(m/(1−β₁ᵏ))/(√(v/(1−β₂ᵏ))+ε)
//	adamw          w ← (1 − η·wd)w first (weights, not biases), then adam torch
//	momentum lr-in-buffer
//	               v ← μv + ηg;  w ← w − v
//	amsgrad        adam torch with v̂ ← max(v̂, v) in place of v
//	nadamw         same m, v;  w ← (1 − η·wd)w first (weights, not biases);
//	               w ← w − η(β₁m/(1−β₁ᵏ⁺¹) + (1−β₁)g/(1−β₁ᵏ))/(√(v/(1−β₂ᵏ))+ε)
//	schedule-free  w = (1−β₁)z + β₁x, g at this w;  same v;
//	               z ← z − η(g/(√(v/(1−β₂ᵏ))+ε) + wd·w)       wd for weights, not biases
//	               x ← (1−c)x + cz, c = η²/Ση²                z and x start at w
//	egu            w ← w·cosh u − √(w²+4β²)·sinh u, u = ηg within ±4
//	egu-gd         p ← p(1−u/2);  q ← q(1+u/2);  w = (p²−q²)/4, the same u
//	                                                        p², q² start at 2(√(w²+4β²) ± w)
//	p-norm         θ ← ∇½‖w‖ₚ² − ηg;  w ← ∇½‖θ‖², in the dual norm; w a unit's row
//
// Slots start at 0 unless said. `tf1` and `torch` name the forms of TensorFlow 1 and
// PyTorch, which differ in where ε and η stand and in the starting value.
//
// Sources: Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013; Duchi et
// al. 2011; Tieleman & Hinton 2012; Kingma & Ba 2015; Loshchilov & Hutter 2019; Reddi
// et al. 2018 (amsgrad); Dozat 2016 with decoupled decay (nadamw); Defazio et al. 2024
// (schedule-free, whose result is x); Kivinen & Warmuth 1997, Amid & Warmuth 2020 (egu
// and its reparameterised form); Grove et al. 2001, Gentile & Littlestone 1999 (p-norm).
package optimizer

import (
	"errors"
	"fmt"
	"math"
)

// Kind numbers the update rules. The values are part of the C interface: they never
// change.
type Kind uint8

// The update rules.
const (
	SGD          Kind = 0
	Momentum     Kind = 1
	Nesterov     Kind = 2
	AdaGrad      Kind = 3
	RMSPropTF1   Kind = 4
	RMSPropTorch Kind = 5
	AdamTF1      Kind = 6
	AdamTorch    Kind = 7
	AdamW        Kind = 8

	MomentumBuffer Kind = 9 // momentum with the learning rate in its buffer
	AMSGrad        Kind = 10
	NadamW         Kind = 11
	ScheduleFree   Kind = 12
	EGU            Kind = 13
	EGUGD          Kind = 14
	PNorm          Kind = 15

	// NumKinds is the number of update rules.
	NumKinds = 16
)

// Rule is an update rule with its constants. Fields that a rule doesn't use are
// zero. Build one with [New], which fills in defaults, or literally.
type Rule struct {
	Kind        Kind
	Momentum    float64 // μ in [0, 1): momentum, nesterov, rmsprop
	Rho         float64 // ρ in [0, 1): rmsprop
	Beta1       float64 // β₁ in [0, 1): adam and its kin
	Beta2       float64 // β₂ in [0, 1): adam and its kin
	Epsilon     float64 // ε ≥ 0: adagrad (the starting value), rmsprop, adam and its kin
	WeightDecay float64 // wd ≥ 0: adamw, nadamw, schedule-free
	Beta        float64 // β ≥ 0: egu, egu-gd; 0 means ½√(6/(n+m)) of each layer, see ForLayer
	P           float64 // p ≥ 2: p-norm; 0 means max(2, 2 ln(n+1)) of each layer, see ForLayer
}

// New returns the rule with its default constants: momentum and nesterov μ = 0.9;
// adagrad ε = 1e-5; rmsprop tf1 ρ = 0.9, μ = 0.999, ε = 1e-5 (those of the LocoProp
// paper); rmsprop torch ρ = 0.99, μ = 0, ε = 1e-8; adam and adamw β₁ = 0.9,
// β₂ = 0.999, ε = 1e-8, adamw wd = 0.01. Of the others, momentum lr-in-buffer has
// momentum's, amsgrad adam's, nadamw adamw's; schedule-free adam's with wd = 0; egu,
// egu-gd and p-norm take theirs from the layer.
func New(k Kind) Rule {
	r := Rule{Kind: k}
	switch k {
	case Momentum, Nesterov, MomentumBuffer:
		r.Momentum = 0.9
	case AdaGrad:
		r.Epsilon = 1e-5
	case RMSPropTF1:
		r.Rho, r.Momentum, r.Epsilon = 0.9, 0.999, 1e-5
	case RMSPropTorch:
		r.Rho, r.Epsilon = 0.99, 1e-8
	case AdamTF1, AdamTorch, AdamW, AMSGrad, NadamW, ScheduleFree:
		r.Beta1, r.Beta2, r.Epsilon = 0.9, 0.999, 1e-8
		if k == AdamW || k == NadamW {
			r.WeightDecay = 0.01
		}
	}
	return r
}

// ForLayer replaces constants that are to follow from the layer by their values for n
// inputs and m units: β = ½√(6/(n+m)), half the bound of Glorot's uniform weights, and
// p = max(2, 2 ln(n+1)), the choice of Gentile & Littlestone. Other rules come back as
// they are. [Rule.At] and [Rule.Start] need a rule that went through it.
func (r Rule) ForLayer(inputs, units int) Rule {
	switch {
	case (r.Kind == EGU || r.Kind == EGUGD) && r.Beta == 0:
		r.Beta = math.Sqrt(6/float64(inputs+units)) / 2
	case r.Kind == PNorm && r.P == 0:
		r.P = math.Max(2, float64(2*math.Log(float64(inputs+1))))
	}
	return r
}

// names are those of the kinds, as the command line has them.
var names = [NumKinds]string{
	"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop", "adam", "adam", "adamw",
	"momentum", "amsgrad", "nadamw", "schedule-free", "egu", "egu-gd", "p-norm",
}

// Name is the rule's family as the command line names it: sgd, momentum, nesterov,
// adagrad, rmsprop, adam, adamw, amsgrad, nadamw, schedule-free, egu, egu-gd, p-norm. It
// prefixes the names of slots in checkpoints.
func (r Rule) Name() string {
	if r.Kind < NumKinds {
		return names[r.Kind]
	}
	return fmt.Sprintf("optimizer.Kind(%d)", r.Kind)
}

// Variant is tf1 or torch for rules that exist in both forms, lr-in-buffer for that form
// of momentum, else "".
func (r Rule) Variant() string {
	switch r.Kind {
	case RMSPropTF1, AdamTF1:
		return "tf1"
	case RMSPropTorch, AdamTorch:
		return "torch"
	case MomentumBuffer:
		return "lr-in-buffer"
	}
	return ""
}

// Check returns an error for every constant outside its range.
func (r Rule) Check() error {
	var errs []error
	if r.Kind >= NumKinds {
		return fmt.Errorf("optimizer: unknown kind %d", r.Kind)
	}
	below1 := func(name string, v float64) {
		if !(v >= 0 && v < 1) {
			errs = append(errs, fmt.Errorf("optimizer %s: %s is %v; must be at least 0 and below 1", r.Name(), name, v))
		}
	}
	atLeast0 := func(name string, v float64) {
		if !(v >= 0) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("optimizer %s: %s is %v; must be a finite number, 0 or more", r.Name(), name, v))
		}
	}
	below1("momentum", r.Momentum)
	below1("rho", r.Rho)
	below1("beta1", r.Beta1)
	below1("beta2", r.Beta2)
	atLeast0("epsilon", r.Epsilon)
	atLeast0("weight-decay", r.WeightDecay)
	atLeast0("beta", r.Beta)
	if r.P != 0 && (!(r.P >= 2) || math.IsInf(r.P, 0)) {
		errs = append(errs, fmt.Errorf("optimizer %s: p is %v; must be a finite number, 2 or more", r.Name(), r.P))
	}
	return errors.Join(errs...)
}

// NeedsWeights reports whether the update reads the weights themselves, not just
// their change: rules with a decay of their own do, and those whose step depends on the
// weight.
func (r Rule) NeedsWeights() bool {
	switch r.Kind {
	case AdamW, NadamW, ScheduleFree, EGU, PNorm:
		return true
	}
	return false
}

// WholeRows reports whether a weight's update depends on the others of its row, its
// unit: no part of a row can be updated alone then.
func (k Kind) WholeRows() bool { return k == PNorm }

// Averages reports whether the rule trains at one point and gives another as result: the
// slot of [Rule.Result].
func (k Kind) Averages() bool { return k == ScheduleFree }

// FollowsWeights reports whether the rule's slots are a function of the weights, as p and
// q of egu-gd are: whoever changes the weights beside the rule calls [Rule.Start] after.
func (k Kind) FollowsWeights() bool { return k == EGUGD }

// KeepsDisplacement reports whether the rule's velocity v is the change of the weights
// itself, rates included: whoever shortens a step shortens v alike.
func (k Kind) KeepsDisplacement() bool { return k == RMSPropTF1 || k == MomentumBuffer }

// CheckDecay says why weights can't be decayed beside the rule, W ← (1 − η·wd)W before
// its update; nil where they can.
func (r Rule) CheckDecay() error {
	switch {
	case r.WeightDecay > 0:
		return fmt.Errorf("optimizer %s decays weights by itself, by %v; give one of both", r.Name(), r.WeightDecay)
	case r.Kind.Averages() || r.Kind == EGUGD:
		return fmt.Errorf("optimizer %s makes the weights anew from its own state at every update, which forgets the decay", r.Name())
	}
	return nil
}
