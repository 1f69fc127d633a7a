// Package shampoo trains by Shampoo: a gradient preconditioned from both sides by roots of
// its own second moments.
//
// The weights W (m × n) and the biases b of a layer are two tensors. W is cut into tiles
// of at most 128 × 128, b into pieces of 128. For a tile with gradient G of the mean loss:
//
//	L ← β₂L + (1 − β₂)GGᵀ,  R ← β₂R + (1 − β₂)GᵀG            from 1e-6·I
//	P = (L + ελ_max(L)I)^(−1/4) G (R + ελ_max(R)I)^(−1/4)      ε = 1e-6
//
// and for a vector, which b is and W where it has one row or column, P = (L + …)^(−1/2)G:
// full-matrix AdaGrad. Then, for a whole tensor, its direction takes the length of another
// method's step ("grafting"), and Nesterov's momentum follows:
//
//	U = P·‖S‖/(‖P‖ + 1e-16)        S = G, or AdaGrad's step; U = S in the first 5 steps
//	M ← β₁M + U,  W ← W − η(U + β₁M)
//
// β₂ = 1 means plain sums in place of averages. Roots are computed by a coupled Newton
// iteration in float32, the 1st, 2nd, 4th, … time that they are needed and every 20th step;
// one whose residual is 0.1 or more is dropped in favour of the old one.
//
// Original is the method as first published: one tile per tensor, L = εI + ΣGGᵀ with
// ε = 1e-4 and nothing added for the root, no grafting, no momentum.
//
// A side of more than 4096 isn't preconditioned.
//
// Sources: Gupta, Koren, Singer, "Shampoo: Preconditioned Stochastic Tensor Optimization",
// ICML 2018, algorithm 1. Anil, Gupta, Koren, Regan, Singer, "Scalable Second Order
// Optimization for Deep Learning", arXiv 2002.09018, for blocks, grafting (section 5.2) and
// roots by the coupled iteration. The first sums gradients over a batch as given, the
// second averages; here they are of the mean loss.
package shampoo

import (
	"errors"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/internal/layerwise"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Graft is whose length the direction of a tensor takes.
type Graft uint8

// The kinds of grafting.
const (
	GraftSGD     Graft = iota // the gradient's
	GraftAdaGrad              // AdaGrad's step: g/(√Σg² + 1e-10)
	GraftNone                 // its own
)

// Grafts are the names of the kinds, in the order of their constants.
var Grafts = []string{"sgd", "adagrad", "none"}

// String gives the name that the command line uses.
func (g Graft) String() string {
	if int(g) < len(Grafts) {
		return Grafts[g]
	}
	return "unknown graft"
}

// MaxSide is the largest side of a tile that is preconditioned.
const MaxSide = 4096

// Options are the settings of Shampoo. Zero values are the defaults, but for Eta, which
// must be given.
type Options struct {
	Eta        float64 // η > 0
	Original   bool    // the method of 2018; see the package
	Graft      Graft   // GraftSGD; original: GraftNone, which it needs
	Beta2      float64 // β₂ in (0, 1]; 0 means 0.999, original 1, which it needs
	Momentum   float64 // β₁ in [0, 1); 0 means 0.9, original 0; see NoMomentum
	NoMomentum bool    // β₁ = 0
	Epsilon    float64 // ε > 0; 0 means 1e-6, original 1e-4
	Tile       int     // largest side of a tile, 1 to 4096; 0 means 128; original has one tile
	Refresh    int     // steps from one root to the next; 0 means 20
	Block      int     // units per task, ≥ 1; 0 means plan.DefaultBlock. Part of what fixes the result's bits
}

func (o Options) withDefaults() Options {
	beta2, momentum, epsilon, tile := 0.999, 0.9, 1e-6, 128
	if o.Original {
		beta2, momentum, epsilon, tile = 1, 0, 1e-4, 0
		if o.Graft == GraftSGD {
			o.Graft = GraftNone
		}
	}
	if !o.NoMomentum {
		layerwise.Default(&o.Momentum, momentum)
	}
	layerwise.Default(&o.Beta2, beta2)
	layerwise.Default(&o.Epsilon, epsilon)
	layerwise.Default(&o.Tile, tile)
	layerwise.Default(&o.Refresh, 20)
	layerwise.Default(&o.Block, plan.DefaultBlock)
	return o
}

// Method is Shampoo with its settings. Make one with [New].
type Method struct{ o Options }

var _ plan.Method = (*Method)(nil)

// New checks the settings and fills in defaults. The error lists all that is wrong.
func New(o Options) (*Method, error) {
	o = o.withDefaults()
	c := layerwise.Checks{Method: "shampoo"}
	c.Positive("learning rate", o.Eta)
	c.Positive("epsilon", o.Epsilon)
	c.Below1("momentum", o.Momentum)
	if !(o.Beta2 > 0 && o.Beta2 <= 1) {
		c.Bad("beta2 is %v; must be above 0 and at most 1", o.Beta2)
	}
	c.NotBoth("momentum", o.Momentum, o.NoMomentum)
	if int(o.Graft) >= len(Grafts) {
		c.Bad("unknown graft %d", o.Graft)
	}
	if o.Original && (o.Graft != GraftNone || o.Beta2 != 1 || o.Tile != 0) {
		c.Bad("the original has no graft, β₂ = 1 and one tile; got graft %v, β₂ %v, tile %d", o.Graft, o.Beta2, o.Tile)
	}
	if !o.Original && (o.Tile < 1 || o.Tile > MaxSide) {
		c.Bad("tile is %d; must be 1 to %d", o.Tile, MaxSide)
	}
	c.AtLeast1("refresh", o.Refresh)
	c.AtLeast1("block", o.Block)
	if err := errors.Join(c.Errs...); err != nil {
		return nil, err
	}
	return &Method{o}, nil
}

// Options returns the settings, defaults filled in.
func (m *Method) Options() Options { return m.o }

// Name is shampoo.
func (m *Method) Name() string { return "shampoo" }

// Rate is η.
func (m *Method) Rate() float64 { return m.o.Eta }

// Plan makes a stepper for n.
func (m *Method) Plan(n *nn.Network, l loss.Loss, batch int, k backend.Kernels) (plan.Stepper, error) {
	return layerwise.NewStepper("shampoo", n, l, batch, k, m.o.Eta, m.o.Block, func(l *layerwise.Layer) (layerwise.Rule, error) {
		return newRule(l, m.o), nil
	})
}
