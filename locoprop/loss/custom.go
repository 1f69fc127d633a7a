package loss

import (
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/internal/registry"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Custom is a loss that a program brings along; [Register] makes a [Loss] of it. Its
// functions are called from several goroutines at once and must be pure.
type Custom struct {
	// Eval is [Loss.Eval]: the loss of one example and, where d isn't nil,
	// d = scale·∂ℓ/∂a, the chain rule through f included. Needed.
	Eval func(d, a, y, t []float32, f transfer.Func, scale float32) float64
	// Transfer is the last transfer function unless another is named. Zero: identity.
	Transfer transfer.Func
	// AnyTransfer says that Eval takes any f; false: only Transfer.
	AnyTransfer bool
	// Floor is [Loss.Floor]. Nil: 0.
	Floor func(t []float32) float64
	// OfPrediction is [Loss.OfPrediction]. Nil: NaN.
	OfPrediction func(y []float64, t []float32) float64
	// CheckTarget refuses targets of an example; finite they are already. Nil: any will do.
	CheckTarget func(t []float32) error
}

type custom struct {
	Custom
	name string
}

var own = registry.New[custom]("loss", Names)

// Register makes a loss of a program's own known under a name, which then stands for it
// in [Parse] and in model files; a program that loads such a file must have registered
// the name before. It returns an error for a name that is taken or isn't made of
// lower-case letters, digits, - and _, and where Eval is missing.
func Register(name string, c Custom) (Loss, error) {
	if c.Eval == nil {
		return Loss{}, fmt.Errorf("loss %q has no Eval", name)
	}
	entry, err := own.Add(name, custom{c, name})
	if err != nil {
		return Loss{}, err
	}
	return Loss{kind: KindCustom, custom: entry}, nil
}

// Known lists the names that [Parse] takes: [Names], then the registered ones.
func Known() []string { return own.Known() }

func registered(name string) (Loss, bool) {
	c := own.Get(name)
	return Loss{kind: KindCustom, custom: c}, c != nil
}
