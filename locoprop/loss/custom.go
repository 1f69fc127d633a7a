package loss

import (
	"fmt"
	"regexp"
	"slices"
	"sync"

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

var registry struct {
	sync.RWMutex
	byName map[string]*custom
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// Register makes a loss of a program's own known under a name, which then stands for it
// in [Parse] and in model files; a program that loads such a file must have registered
// the name before. It returns an error for a name that is taken or isn't made of
// lower-case letters, digits, - and _, and where Eval is missing.
func Register(name string, c Custom) (Loss, error) {
	switch {
	case !validName.MatchString(name):
		return Loss{}, fmt.Errorf("loss %q: a name needs lower-case letters, digits, - and _, a letter first", name)
	case c.Eval == nil:
		return Loss{}, fmt.Errorf("loss %q has no Eval", name)
	case slices.Contains(Names, name):
		return Loss{}, fmt.Errorf("loss %q is built in", name)
	}
	registry.Lock()
	defer registry.Unlock()
	if registry.byName[name] != nil {
		return Loss{}, fmt.Errorf("loss %q is registered already", name)
	}
	if registry.byName == nil {
		registry.byName = map[string]*custom{}
	}
	entry := &custom{c, name}
	registry.byName[name] = entry
	return Loss{kind: KindCustom, custom: entry}, nil
}

// Known lists the names that [Parse] takes: [Names], then the registered ones.
func Known() []string {
	registry.RLock()
	defer registry.RUnlock()
	var own []string
	for name := range registry.byName {
		own = append(own, name)
	}
	slices.Sort(own)
	return append(slices.Clone(Names), own...)
}

func registered(name string) (Loss, bool) {
	registry.RLock()
	defer registry.RUnlock()
	c := registry.byName[name]
	return Loss{kind: KindCustom, custom: c}, c != nil
}
