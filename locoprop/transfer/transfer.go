// Package transfer holds transfer functions: what a layer applies to its
// pre-activations.
//
// A transfer function f maps pre-activations A (B × m) to outputs Y = f(A). It
// comes with its derivative f′ and, where it is the gradient of a convex
// function, with its integral F (F′ = f). F makes the matching (Bregman) loss of
// LocoProp-M:
//
//	D_F(A, Â) = F(A) − F(Â) − f(Â)·(A − Â) ≥ 0
//
// Source: Amid, Anil, Warmuth, "LocoProp: Enhancing BackProp via Local Loss
// Optimization", AISTATS 2022, section 3; formulas in docs/method.md.
package transfer

import (
	"fmt"
	"math"
	"strconv"
)

// Kind numbers the built-in transfer functions. The values are part of the C
// interface and of model files: they never change.
type Kind uint8

// The built-in transfer functions.
const (
	KindIdentity  Kind = 0 // f(a) = a
	KindTanh      Kind = 1 // f(a) = tanh a
	KindLeakyReLU Kind = 2 // f(a) = a for a > 0, else αa; ReLU is α = 0
	KindSigmoid   Kind = 3 // f(a) = 1/(1 + e⁻ᵃ)
	KindSoftmax   Kind = 4 // f(a)ᵢ = e^{aᵢ} / Σⱼ e^{aⱼ} over a row
)

// Func is a transfer function: a small comparable value. Its zero value is the
// identity.
type Func struct {
	kind  Kind
	alpha float32
}

// The transfer functions without a parameter.
var (
	Identity = Func{kind: KindIdentity}
	Tanh     = Func{kind: KindTanh}
	ReLU     = Func{kind: KindLeakyReLU}
	Sigmoid  = Func{kind: KindSigmoid}
	Softmax  = Func{kind: KindSoftmax}
)

// DefaultSlope is the slope that "leaky-relu" without a parameter takes.
const DefaultSlope = 0.01

// LeakyReLU returns the leaky ReLU with slope alpha ≥ 0 for a ≤ 0;
// alpha = 0 is ReLU. It panics outside that range; user input goes through the
// catalog, which returns an error.
func LeakyReLU(alpha float64) Func {
	if !(alpha >= 0 && alpha <= math.MaxFloat32) {
		panic("transfer: leaky ReLU slope below 0 or not finite")
	}
	return Func{kind: KindLeakyReLU, alpha: float32(alpha)}
}

// Kind tells which built-in function f is.
func (f Func) Kind() Kind { return f.kind }

// Param is the function's parameter (the slope α of leaky ReLU), else 0.
func (f Func) Param() float32 { return f.alpha }

// String gives the name that the command line, configuration and model files
// use: identity, tanh, relu, leaky-relu(0.01), sigmoid, softmax.
func (f Func) String() string {
	switch f.kind {
	case KindIdentity:
		return "identity"
	case KindTanh:
		return "tanh"
	case KindLeakyReLU:
		if f.alpha == 0 {
			return "relu"
		}
		return "leaky-relu(" + strconv.FormatFloat(float64(f.alpha), 'g', -1, 32) + ")"
	case KindSigmoid:
		return "sigmoid"
	case KindSoftmax:
		return "softmax"
	}
	return fmt.Sprintf("transfer.Kind(%d)", f.kind)
}

// RowCoupled reports whether an output depends on its whole row of
// pre-activations (softmax), so that the units of a layer aren't independent.
func (f Func) RowCoupled() bool { return f.kind == KindSoftmax }

// Monotone reports whether f is the gradient of a convex F, which is what
// LocoProp-M needs. True for every built-in function of this version.
func (f Func) Monotone() bool { return true }

// Range gives the closed interval that holds every f(a).
func (f Func) Range() (lo, hi float64) {
	switch f.kind {
	case KindTanh:
		return -1, 1
	case KindSigmoid, KindSoftmax:
		return 0, 1
	case KindLeakyReLU:
		if f.alpha == 0 {
			return 0, math.Inf(1)
		}
	}
	return math.Inf(-1), math.Inf(1)
}
