package transfer

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/internal/registry"
)

// Custom is a transfer function that a program brings along; [Register] makes a [Func]
// of it. Its functions are called from several goroutines at once and must be pure.
type Custom struct {
	// F is f at one pre-activation. Needed unless Row is given.
	F func(a float32) float32
	// Row writes f(a) for a row, y and a of equal length and perhaps the same memory:
	// the faster form. Each output may depend on its own input alone.
	Row func(y, a []float32)
	// Deriv is f′ at a, where y = f(a). Needed.
	Deriv func(a, y float32) float32
	// Integral is F at a, where F′ = f, with any constant. Nil: by quadrature from 0, good to about
	// seven digits for a smooth f of moderate arguments. Only losses that are reported use it.
	Integral func(a float32) float64
	// Monotone says that f never falls, which LocoProp-M needs; false: it is refused there.
	Monotone bool
	// MaxSlope is sup |f′|, 0 where there is none; the majorised form needs it.
	MaxSlope float64
}

type custom struct {
	Custom
	name string
}

var own = registry.New[custom]("transfer function", Names)

// Register makes a transfer function of a program's own known under a name, which then
// stands for it in [Parse] and in model files; a program that loads such a file must have registered
// the name before. It returns an error for a name that is taken or isn't made of
// lower-case letters, digits, - and _, and where a needed function is missing.
//
// It works in every backend. The C++ one runs its loops in Go for such a function.
func Register(name string, c Custom) (Func, error) {
	switch {
	case c.F == nil && c.Row == nil:
		return Func{}, fmt.Errorf("transfer function %q has neither F nor Row", name)
	case c.Deriv == nil:
		return Func{}, fmt.Errorf("transfer function %q has no Deriv", name)
	case !(c.MaxSlope >= 0 && !math.IsInf(c.MaxSlope, 0)):
		return Func{}, fmt.Errorf("transfer function %q: MaxSlope is %v, must be finite and 0 (none) or more", name, c.MaxSlope)
	}
	entry, err := own.Add(name, custom{c, name})
	if err != nil {
		return Func{}, err
	}
	return Func{kind: KindCustom, custom: entry}, nil
}

// Known lists the names that [Parse] takes: [Names], then the registered ones.
func Known() []string { return own.Known() }

func registered(name string) (Func, bool) {
	c := own.Get(name)
	return Func{kind: KindCustom, custom: c}, c != nil
}

func (c *custom) eval(y, a []float32) {
	if c.Row != nil {
		c.Row(y, a)
		return
	}
	for i, v := range a {
		y[i] = c.F(v)
	}
}

func (c *custom) at(a float32) float32 {
	if c.F != nil {
		return c.F(a)
	}
	y := []float32{0}
	c.Row(y, []float32{a})
	return y[0]
}

// Nodes and weights of Gauss's rule with five points on [−1, 1].
var (
	gaussNodes   = [5]float64{-0.906179845938663993, -0.538469310105683091, 0, 0.538469310105683091, 0.906179845938663993}
	gaussWeights = [5]float64{0.236926885056189088, 0.478628670499366468, 0.568888888888888889, 0.478628670499366468, 0.236926885056189088}
)

// integral is F, by Gauss's rule on 64 panels where the program gave none.
func (c *custom) integral(a float64) float64 {
	if c.Integral != nil {
		return c.Integral(float32(a))
	}
	const panels = 64
	var sum float64
	for p := range panels {
		for i, x := range gaussNodes {
			at := a / panels * (float64(p) + (x+1)/2)
			sum += gaussWeights[i] * float64(c.at(float32(at)))
		}
	}
	return sum * a / panels / 2
}
