package catalog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Layout is an architecture as the command line takes it: widths from input to output,
// and the transfer functions that were named.
type Layout struct {
	Widths []int
	// Named holds the transfer function of the layer that gives a width, by the width's
	// place; layers that aren't in it take the experiment's activation, the last one
	// the function of the loss.
	Named map[int]transfer.Func
}

// ParseLayout reads widths separated by commas, each but the first with an optional
// transfer function: 784,1000,500,250,30:identity,250,500,1000,784.
func ParseLayout(text string) (Layout, error) {
	l := Layout{Named: map[int]transfer.Func{}}
	for i, item := range strings.Split(text, ",") {
		number, name, named := strings.Cut(strings.TrimSpace(item), ":")
		w, err := strconv.Atoi(number)
		if err != nil || w < 1 || w > nn.MaxWidth {
			return Layout{}, fmt.Errorf("width %d is %q; must be a whole number, 1 to %d", i+1, number, nn.MaxWidth)
		}
		l.Widths = append(l.Widths, w)
		if !named {
			continue
		}
		if i == 0 {
			return Layout{}, fmt.Errorf("the first width, %s, is the input's, which has no transfer function", item)
		}
		f, err := ParseTransfer(name)
		if err != nil {
			return Layout{}, fmt.Errorf("width %d: %w", i+1, err)
		}
		l.Named[i] = f
	}
	if len(l.Widths) < 2 {
		return Layout{}, errors.New("one width only; there must be at least 2, input and output")
	}
	return l, nil
}

// String writes the layout as [ParseLayout] reads it.
func (l Layout) String() string {
	var b strings.Builder
	for i, w := range l.Widths {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(w))
		if f, ok := l.Named[i]; ok {
			b.WriteByte(':')
			b.WriteString(f.String())
		}
	}
	return b.String()
}

// Arch is the architecture: layers without a named transfer function take hidden, the
// last one that of the loss. The last one may be named under the squared loss only.
func (l Layout) Arch(hidden transfer.Func, out loss.Loss) (nn.Arch, error) {
	last := len(l.Widths) - 1
	a := nn.Arch{Widths: append([]int(nil), l.Widths...)}
	for i := 1; i <= last; i++ {
		f, named := l.Named[i]
		switch {
		case named && i == last && out != loss.Squared:
			return nn.Arch{}, fmt.Errorf("the last width names %v; loss %v sets it (%v), only loss squared leaves it open", f, out, out.Transfer())
		case named:
		case i == last:
			f = out.Transfer()
		default:
			f = hidden
		}
		a.Transfer = append(a.Transfer, f)
	}
	return a, a.Check()
}

// fit checks that the first width is the data's number of values and the last one the
// target's. A layout that nobody asked for (free) is made to fit instead.
func (l *Layout) fit(inputs, outputs int, target model.Target, free bool) error {
	last := len(l.Widths) - 1
	if free {
		l.Widths = append([]int(nil), l.Widths...)
		l.Widths[0], l.Widths[last] = inputs, outputs
		return nil
	}
	if w := l.Widths[0]; w != inputs {
		return fmt.Errorf("the first width is %d; the data have %d values per example", w, inputs)
	}
	if w := l.Widths[last]; w != outputs {
		if target == model.Label {
			return fmt.Errorf("the last width is %d; target label needs %d, the largest label + 1", w, outputs)
		}
		return fmt.Errorf("the last width is %d; target input needs %d, the values of an example", w, outputs)
	}
	return nil
}
