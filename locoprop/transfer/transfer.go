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
// [Func.Eval] computes in float64 and rounds once: it is off by at most 0.51 units in the
// last place, for every float32. The C++ kernels compute in float32 and are off by at most
// 0.5 (leaky ReLU, ReLU²), 0.54 (tempered softmax), 1.5 (exp, softsign), 2 (ELU), 2.6 (tanh,
// sigmoid, arctan, softplus), 3 (SiLU) and 5.5 (GELU) units; both stay within
// [Func.Range] to the bit.
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
	KindReLU2     Kind = 5 // f(a) = max(a, 0)²
	KindArctan    Kind = 6 // f(a) = arctan a
	KindSoftplus  Kind = 7 // f(a) = log(1 + eᵃ)
	KindSoftsign  Kind = 8 // f(a) = a/(1 + |a|)
	KindELU       Kind = 9 // f(a) = a for a > 0, else α(eᵃ − 1)

	KindHardTanh        Kind = 10 // f(a) = a clipped into [−1, 1]
	KindExp             Kind = 11 // f(a) = eᵃ
	KindGELU            Kind = 12 // f(a) = a·Φ(a), Φ the normal distribution's; not monotone
	KindSiLU            Kind = 13 // f(a) = a/(1 + e⁻ᵃ); not monotone
	KindTemperedSoftmax Kind = 14 // f(a)ᵢ = exp_t(aᵢ − ν) over a row, ν such that the row sums to 1

	KindCustom Kind = 255 // registered by the program, see [Register]; no kernel in C knows it
)

// Func is a transfer function: a small comparable value. Its zero value is the
// identity.
type Func struct {
	kind   Kind
	alpha  float32
	custom *custom // of KindCustom
}

// The transfer functions without a parameter.
var (
	Identity = Func{kind: KindIdentity}
	Tanh     = Func{kind: KindTanh}
	ReLU     = Func{kind: KindLeakyReLU}
	Sigmoid  = Func{kind: KindSigmoid}
	Softmax  = Func{kind: KindSoftmax}
	ReLU2    = Func{kind: KindReLU2}
	Arctan   = Func{kind: KindArctan}
	Softplus = Func{kind: KindSoftplus}
	Softsign = Func{kind: KindSoftsign}
	HardTanh = Func{kind: KindHardTanh}
	Exp      = Func{kind: KindExp}
	GELU     = Func{kind: KindGELU}
	SiLU     = Func{kind: KindSiLU}
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

// ELU returns the exponential linear unit (Clevert, Unterthiner, Hochreiter 2016) with
// alpha > 0. It panics outside that range, as [LeakyReLU] does.
func ELU(alpha float64) Func {
	if !(float32(alpha) > 0 && alpha <= math.MaxFloat32) {
		panic("transfer: ELU's α not above 0 or not finite")
	}
	return Func{kind: KindELU, alpha: float32(alpha)}
}

// MaxTemperature is the largest temperature of tempered softmax.
const MaxTemperature = 10

// TemperedSoftmax returns the heavy-tailed softmax of Amid, Warmuth, Anil, Koren, "Robust
// Bi-Tempered Logistic Loss Based on Bregman Divergences", NeurIPS 2019, with
// temperature t from 1, which is [Softmax] itself, to MaxTemperature. It panics outside
// that range.
func TemperedSoftmax(t float64) Func {
	if !(t >= 1 && t <= MaxTemperature) {
		panic("transfer: temperature of tempered softmax below 1 or above MaxTemperature")
	}
	if float32(t) == 1 {
		return Softmax
	}
	return Func{kind: KindTemperedSoftmax, alpha: float32(t)}
}

// Kind tells which built-in function f is; [KindCustom] for a registered one.
func (f Func) Kind() Kind { return f.kind }

// Param is the function's parameter (the α of leaky ReLU and ELU, the temperature of
// tempered softmax), else 0.
func (f Func) Param() float32 { return f.alpha }

// names of the functions without a parameter, by kind.
var names = map[Kind]string{
	KindIdentity: "identity", KindTanh: "tanh", KindSigmoid: "sigmoid", KindSoftmax: "softmax",
	KindReLU2: "relu2", KindArctan: "arctan", KindSoftplus: "softplus", KindSoftsign: "softsign",
	KindHardTanh: "hard-tanh", KindExp: "exp", KindGELU: "gelu", KindSiLU: "silu",
}

// String gives the name that the command line, configuration and model files
// use: identity, tanh, relu, leaky-relu(0.01), elu(1), tempered-softmax(2), ...
func (f Func) String() string {
	param := func(name string) string { return name + "(" + strconv.FormatFloat(float64(f.alpha), 'g', -1, 32) + ")" }
	switch f.kind {
	case KindLeakyReLU:
		if f.alpha == 0 {
			return "relu"
		}
		return param("leaky-relu")
	case KindELU:
		return param("elu")
	case KindTemperedSoftmax:
		return param("tempered-softmax")
	case KindCustom:
		return f.custom.name
	}
	if name, known := names[f.kind]; known {
		return name
	}
	return fmt.Sprintf("transfer.Kind(%d)", f.kind)
}

// RowCoupled reports whether an output depends on its whole row of
// pre-activations (softmax), so that the units of a layer aren't independent.
func (f Func) RowCoupled() bool { return f.kind == KindSoftmax || f.kind == KindTemperedSoftmax }

// Monotone reports whether f is the gradient of a convex F, which is what
// LocoProp-M needs. GELU and SiLU aren't: they fall before they rise.
func (f Func) Monotone() bool {
	switch f.kind {
	case KindGELU, KindSiLU:
		return false
	case KindCustom:
		return f.custom.Monotone
	}
	return true
}

// Range gives the closed interval that holds every f(a). Of a registered function
// nothing is known.
func (f Func) Range() (lo, hi float64) {
	inf := math.Inf(1)
	switch f.kind {
	case KindTanh, KindSoftsign, KindHardTanh:
		return -1, 1
	case KindArctan: // as float32: rounding may reach past π/2
		return -float64(float32(math.Pi / 2)), float64(float32(math.Pi / 2))
	case KindSigmoid, KindSoftmax, KindTemperedSoftmax:
		return 0, 1
	case KindReLU2, KindSoftplus, KindExp:
		return 0, inf
	case KindELU:
		return -float64(f.alpha), inf
	case KindLeakyReLU:
		if f.alpha == 0 {
			return 0, inf
		}
	case KindGELU:
		return geluLeast, inf
	case KindSiLU:
		return siluLeast, inf
	}
	return -inf, inf
}
