package transfer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Names of the built-in transfer functions, as [Parse] takes them. leaky-relu, elu and
// tempered-softmax also take their parameter in brackets.
var Names = []string{
	"identity", "tanh", "relu", "leaky-relu", "sigmoid", "softmax", "relu2", "arctan", "softplus",
	"softsign", "elu", "hard-tanh", "exp", "gelu", "silu", "tempered-softmax",
}

// DefaultAlpha is the α that "elu" without a parameter takes, DefaultTemperature the
// temperature of "tempered-softmax".
const (
	DefaultAlpha       = 1
	DefaultTemperature = 2
)

// Parse returns the function of a name, the inverse of [Func.String]: a name of [Names]
// or one that the program registered; leaky-relu(α) with α ≥ 0 ([DefaultSlope]),
// elu(α) with α > 0 ([DefaultAlpha]), tempered-softmax(t) with 1 ≤ t ≤ [MaxTemperature]
// ([DefaultTemperature]). The error lists the known names.
func Parse(name string) (Func, error) {
	for kind, own := range names {
		if own == name {
			return Func{kind: kind}, nil
		}
	}
	switch name {
	case "relu":
		return ReLU, nil
	case "leaky-relu":
		return LeakyReLU(DefaultSlope), nil
	case "elu":
		return ELU(DefaultAlpha), nil
	case "tempered-softmax":
		return TemperedSoftmax(DefaultTemperature), nil
	}
	if f, found := registered(name); found {
		return f, nil
	}
	base, rest, _ := strings.Cut(name, "(")
	text, closed := strings.CutSuffix(rest, ")")
	v, err := strconv.ParseFloat(text, 64)
	ok := err == nil && closed
	switch base {
	case "leaky-relu":
		if !ok || !(v >= 0 && v <= math.MaxFloat32) {
			return Func{}, fmt.Errorf("transfer function %q: the slope must be a finite number, 0 or more, as in leaky-relu(%g)", name, DefaultSlope)
		}
		return LeakyReLU(v + 0), nil // never −0
	case "elu":
		if !ok || !(float32(v) > 0 && v <= math.MaxFloat32) {
			return Func{}, fmt.Errorf("transfer function %q: α must be a finite number above 0, as in elu(1.5)", name)
		}
		return ELU(v), nil
	case "tempered-softmax":
		if !ok || !(v >= 1 && v <= MaxTemperature) {
			return Func{}, fmt.Errorf("transfer function %q: the temperature must be 1 to %d, as in tempered-softmax(1.5)", name, MaxTemperature)
		}
		return TemperedSoftmax(v), nil
	}
	return Func{}, fmt.Errorf("unknown transfer function %q; known are %s and leaky-relu(SLOPE), elu(ALPHA), tempered-softmax(T)", name, strings.Join(Known(), ", "))
}
