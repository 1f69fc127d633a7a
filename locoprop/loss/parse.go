package loss

import (
	"fmt"
	"strconv"
	"strings"
)

// Names of the built-in losses, as [Parse] takes them.
var Names = []string{"sigmoid-ce", "softmax-ce", "squared", "bi-tempered"}

// Parse returns the loss of a name, the inverse of [Loss.String]: a name of [Names] or
// one that the program registered; bi-tempered(t1,t2) as [BiTempered] takes them, without
// them [DefaultT1] and [DefaultT2]. The error lists the known names.
func Parse(name string) (Loss, error) {
	for _, l := range []Loss{SigmoidCE, SoftmaxCE, Squared} {
		if l.String() == name {
			return l, nil
		}
	}
	if name == "bi-tempered" {
		return BiTempered(DefaultT1, DefaultT2), nil
	}
	if rest, found := strings.CutPrefix(name, "bi-tempered("); found {
		inner, closed := strings.CutSuffix(rest, ")")
		first, second, two := strings.Cut(inner, ",")
		t1, err1 := strconv.ParseFloat(first, 64)
		t2, err2 := strconv.ParseFloat(second, 64)
		if !closed || !two || err1 != nil || err2 != nil || !validTemperatures(t1, t2) {
			return Loss{}, fmt.Errorf("loss %q: the temperatures must be 0 ≤ t1 ≤ 1 ≤ t2 ≤ 10, as in bi-tempered(%v,%v)", name, DefaultT1, DefaultT2)
		}
		return BiTempered(t1+0, t2), nil // never −0
	}
	if l, found := registered(name); found {
		return l, nil
	}
	return Loss{}, fmt.Errorf("unknown loss %q; known are %s", name, strings.Join(Known(), ", "))
}
