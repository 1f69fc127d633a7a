package locoprop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Form is how a layer's local problem is solved.
type Form uint8

// The forms. n+1 columns of X̃, m units, B examples, T local iterations.
const (
	FormAuto       Form = iota // the cheapest of direct, Gram and kernel that is valid: the same iterates
	FormDirect                 // T iterations on Δ, each with two products over the batch
	FormMetric                 // T iterations in the metric of running statistics; see Metric
	FormGram                   // direct's iterates by way of X̃ᵀX̃, (n+1) × (n+1)
	FormKernel                 // direct's iterates by way of X̃X̃ᵀ, B × B
	FormImplicit               // the stationary point of M with a proximal term; see Implicit
	FormMajorised              // T iterations of M with a proximal term in a metric that never raises its loss
	FormExact                  // the minimiser of LocoProp-S with a proximal term
	FormSpectral               // T iterations of plain SGD on LocoProp-S at once, by eigenvectors
	FormStatistics             // LocoProp-S from a running second moment of the input; see Statistics
)

// Forms are the names of the forms, in the order of their constants.
var Forms = []string{"auto", "direct", "metric", "gram", "kernel", "implicit", "mm", "exact", "spectral", "statistics"}

// String gives the name that the command line uses.
func (f Form) String() string {
	if int(f) < len(Forms) {
		return Forms[f]
	}
	return fmt.Sprintf("locoprop.Form(%d)", uint8(f))
}

// needs says what a form is valid for; all conditions must hold.
type needs struct {
	squared  bool             // LocoProp-S (or M on the identity, which is the same)
	matching bool             // LocoProp-M
	proxOn   bool             // a proximal term
	proxOff  bool             // none
	keeps    bool             // state that no Reset puts back: Reset off
	rules    []optimizer.Kind // one of these optimisers; nil: any, or none is used
}

// requirements of the forms; a form that isn't listed is always valid.
var requirements = map[Form]needs{
	FormMetric:     {proxOff: true, keeps: true, rules: []optimizer.Kind{optimizer.SGD}},
	FormGram:       {squared: true},
	FormKernel:     {rules: []optimizer.Kind{optimizer.SGD, optimizer.Momentum, optimizer.Nesterov, optimizer.MomentumBuffer}},
	FormImplicit:   {matching: true, proxOn: true},
	FormMajorised:  {matching: true, proxOn: true},
	FormExact:      {squared: true, proxOn: true},
	FormSpectral:   {squared: true, rules: []optimizer.Kind{optimizer.SGD}},
	FormStatistics: {squared: true},
}

// valid returns an error where a form can't solve the local problem of a layer with
// transfer function f; it says what would be valid.
func (o Options) valid(form Form, f transfer.Func) error {
	n := requirements[form]
	squared := o.Loss == Squared || f == transfer.Identity
	var missing []string
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	need(!n.squared || squared, "the squared local loss (locoprop-s)")
	need(!n.matching || o.Loss == Matching, "the matching local loss (locoprop-m)")
	need(!n.proxOn || o.Prox != ProxOff, "a proximal term (prox auto or a λ)")
	need(!n.proxOff || o.Prox == ProxOff, "no proximal term (prox off)")
	need(!n.keeps || !o.Reset, "reset off")
	for _, g := range o.guards() {
		need(!g.on || slices.Contains(g.forms, form), g.name+" off, or form "+formNames(g.forms))
	}
	need(!o.Clip || o.Loss == Matching, "the matching local loss (locoprop-m) where targets are clipped")
	if n.rules != nil {
		ok := false
		var names []string
		for _, k := range n.rules {
			ok = ok || k == o.Optimizer.Kind
			if name := (optimizer.Rule{Kind: k}).Name(); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		need(ok, "optimizer "+strings.Join(names, ", or ")+", not "+o.Optimizer.Name())
	}
	if len(missing) > 0 {
		return fmt.Errorf("form %v needs %s", form, strings.Join(missing, "; and "))
	}
	return nil
}
