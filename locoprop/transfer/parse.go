package transfer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Names of the transfer functions, as [Parse] takes them. leaky-relu also takes its
// slope in brackets.
var Names = []string{"identity", "tanh", "relu", "leaky-relu", "sigmoid", "softmax"}

// Parse returns the function of a name, the inverse of [Func.String]: identity, tanh,
// relu, leaky-relu (slope [DefaultSlope]) or leaky-relu(α) with α ≥ 0, sigmoid,
// softmax. The error lists the known names.
func Parse(name string) (Func, error) {
	switch name {
	case "identity":
		return Identity, nil
	case "tanh":
		return Tanh, nil
	case "relu":
		return ReLU, nil
	case "leaky-relu":
		return LeakyReLU(DefaultSlope), nil
	case "sigmoid":
		return Sigmoid, nil
	case "softmax":
		return Softmax, nil
	}
	if rest, found := strings.CutPrefix(name, "leaky-relu("); found {
		slope, closed := strings.CutSuffix(rest, ")")
		alpha, err := strconv.ParseFloat(slope, 64)
		if err != nil || !closed || !(alpha >= 0 && alpha <= math.MaxFloat32) {
			return Func{}, fmt.Errorf("transfer function %q: the slope must be a finite number, 0 or more, as in leaky-relu(%g)", name, DefaultSlope)
		}
		return LeakyReLU(alpha + 0), nil // never −0
	}
	return Func{}, fmt.Errorf("unknown transfer function %q; known are %s and leaky-relu(SLOPE)", name, strings.Join(Names, ", "))
}
