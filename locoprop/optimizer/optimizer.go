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
//
// Slots start at 0 unless said. `tf1` and `torch` name the forms of TensorFlow 1 and
// PyTorch, which differ in where ε and η stand and in the starting value.
//
// Sources: Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013; Duchi et
// al. 2011; Tieleman & Hinton 2012; Kingma & Ba 2015; Loshchilov & Hutter 2019.
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
)

// Rule is an update rule with its constants. Fields that a rule doesn't use are
// zero. Build one with [New], which fills in defaults, or literally.
type Rule struct {
	Kind        Kind
	Momentum    float64 // μ in [0, 1): momentum, nesterov, rmsprop
	Rho         float64 // ρ in [0, 1): rmsprop
	Beta1       float64 // β₁ in [0, 1): adam, adamw
	Beta2       float64 // β₂ in [0, 1): adam, adamw
	Epsilon     float64 // ε ≥ 0: adagrad (the starting value), rmsprop, adam, adamw
	WeightDecay float64 // wd ≥ 0: adamw
}

// New returns the rule with its default constants: momentum and nesterov μ = 0.9;
// adagrad ε = 1e-5; rmsprop tf1 ρ = 0.9, μ = 0.999, ε = 1e-5 (those of the LocoProp
// paper); rmsprop torch ρ = 0.99, μ = 0, ε = 1e-8; adam and adamw β₁ = 0.9,
// β₂ = 0.999, ε = 1e-8, adamw wd = 0.01.
func New(k Kind) Rule {
	r := Rule{Kind: k}
	switch k {
	case Momentum, Nesterov:
		r.Momentum = 0.9
	case AdaGrad:
		r.Epsilon = 1e-5
	case RMSPropTF1:
		r.Rho, r.Momentum, r.Epsilon = 0.9, 0.999, 1e-5
	case RMSPropTorch:
		r.Rho, r.Epsilon = 0.99, 1e-8
	case AdamTF1, AdamTorch, AdamW:
		r.Beta1, r.Beta2, r.Epsilon = 0.9, 0.999, 1e-8
		if k == AdamW {
			r.WeightDecay = 0.01
		}
	}
	return r
}

// Name is the rule's family as the command line names it: sgd, momentum, nesterov,
// adagrad, rmsprop, adam, adamw. It prefixes the names of slots in checkpoints.
func (r Rule) Name() string {
	switch r.Kind {
	case SGD:
		return "sgd"
	case Momentum:
		return "momentum"
	case Nesterov:
		return "nesterov"
	case AdaGrad:
		return "adagrad"
	case RMSPropTF1, RMSPropTorch:
		return "rmsprop"
	case AdamTF1, AdamTorch:
		return "adam"
	case AdamW:
		return "adamw"
	}
	return fmt.Sprintf("optimizer.Kind(%d)", r.Kind)
}

// Variant is tf1 or torch for rules that exist in both forms, else "".
func (r Rule) Variant() string {
	switch r.Kind {
	case RMSPropTF1, AdamTF1:
		return "tf1"
	case RMSPropTorch, AdamTorch:
		return "torch"
	}
	return ""
}

// Check returns an error for every constant outside its range.
func (r Rule) Check() error {
	var errs []error
	if r.Kind > AdamW {
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
	return errors.Join(errs...)
}

// Slot is one piece of a rule's state: an array of the shape of the weights.
type Slot struct {
	Name string  // as in the formulas: v, s, m
	Init float32 // the value it starts at
}

// MaxSlots is the largest number of slots that any rule has.
const MaxSlots = 2

// Slots lists the rule's state in the order in which kernels take it.
func (r Rule) Slots() []Slot {
	switch r.Kind {
	case Momentum, Nesterov:
		return []Slot{{Name: "v"}}
	case AdaGrad:
		return []Slot{{Name: "s", Init: float32(r.Epsilon)}}
	case RMSPropTF1:
		return []Slot{{Name: "s", Init: 1}, {Name: "v"}}
	case RMSPropTorch:
		return []Slot{{Name: "s"}, {Name: "v"}}
	case AdamTF1, AdamTorch, AdamW:
		return []Slot{{Name: "m"}, {Name: "v"}}
	}
	return nil
}

// NumSlots is the number of slots of every rule of this kind.
func (k Kind) NumSlots() int {
	switch k {
	case SGD:
		return 0
	case Momentum, Nesterov, AdaGrad:
		return 1
	}
	return 2
}

// NeedsWeights reports whether the update reads the weights themselves, not just
// their change (AdamW's decay does).
func (r Rule) NeedsWeights() bool { return r.Kind == AdamW }

// Update is a rule at one iteration: every scalar that its element-wise loop needs,
// derived in float64 and rounded to float32 once, so that all backends compute with
// the same numbers. Made by [Rule.At].
type Update struct {
	Kind Kind
	// Prox is 1/λ of the proximal term (1/2λ)‖Δ‖², 0 without one: kernels add
	// Prox·Δ to the gradient before anything else.
	Prox float32
	// C holds the constants in the order that the kernels document:
	//
	//	sgd            η
	//	momentum       η, μ
	//	nesterov       η, μ
	//	adagrad        η
	//	rmsprop        η, μ, ρ, 1−ρ, ε
	//	adam tf1       η√(1−β₂ᵏ)/(1−β₁ᵏ), β₁, 1−β₁, β₂, 1−β₂, ε
	//	adam torch     η/(1−β₁ᵏ), β₁, 1−β₁, β₂, 1−β₂, ε, 1/(1−β₂ᵏ)
	//	adamw          as adam torch, then η·wd
	C [8]float32
}

// At gives the update for learning rate eta at the k-th update since the start,
// k = 1, 2, …
func (r Rule) At(eta float64, k int64) Update {
	u := Update{Kind: r.Kind}
	set := func(v ...float64) {
		for i, x := range v {
			u.C[i] = float32(x)
		}
	}
	switch r.Kind {
	case SGD, AdaGrad:
		set(eta)
	case Momentum, Nesterov:
		set(eta, r.Momentum)
	case RMSPropTF1, RMSPropTorch:
		set(eta, r.Momentum, r.Rho, 1-r.Rho, r.Epsilon)
	case AdamTF1, AdamTorch, AdamW:
		// β ≤ 0.9…9 to an integer power: only products, hence the same bits everywhere.
		c1, c2 := 1-math.Pow(r.Beta1, float64(k)), 1-math.Pow(r.Beta2, float64(k))
		rate := eta / c1
		if r.Kind == AdamTF1 {
			rate = float64(eta*math.Sqrt(c2)) / c1
		}
		set(rate, r.Beta1, 1-r.Beta1, r.Beta2, 1-r.Beta2, r.Epsilon, 1/c2, float64(eta*r.WeightDecay))
	}
	return u
}
