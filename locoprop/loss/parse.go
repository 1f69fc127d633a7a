package loss

import (
	"fmt"
	"strings"
)

// Names of the losses, as [Parse] takes them.
var Names = []string{"sigmoid-ce", "softmax-ce", "squared"}

// Parse returns the loss of a name, the inverse of [Loss.String]. The error lists the
// known names.
func Parse(name string) (Loss, error) {
	for _, l := range []Loss{SigmoidCE, SoftmaxCE, Squared} {
		if l.String() == name {
			return l, nil
		}
	}
	return Loss{}, fmt.Errorf("unknown loss %q; known are %s", name, strings.Join(Names, ", "))
}
