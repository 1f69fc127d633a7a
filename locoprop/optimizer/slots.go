package optimizer

import "math"

// Slot is one piece of a rule's state: an array of the shape of the weights.
type Slot struct {
	Name string  // as in the formulas: v, s, m
	Init float32 // the value it starts at, unless FromWeights
	// FromWeights: what it starts at depends on the weights; see [Rule.Start].
	FromWeights bool
}

// MaxSlots is the largest number of slots that any rule has.
const MaxSlots = 3

// Slots lists the rule's state in the order in which kernels take it.
func (r Rule) Slots() []Slot {
	switch r.Kind {
	case Momentum, Nesterov, MomentumBuffer:
		return []Slot{{Name: "v"}}
	case AdaGrad:
		return []Slot{{Name: "s", Init: r.init(0)}}
	case RMSPropTF1:
		return []Slot{{Name: "s", Init: r.init(0)}, {Name: "v"}}
	case RMSPropTorch:
		return []Slot{{Name: "s"}, {Name: "v"}}
	case AdamTF1, AdamTorch, AdamW, NadamW:
		return []Slot{{Name: "m"}, {Name: "v"}}
	case AMSGrad:
		return []Slot{{Name: "m"}, {Name: "v"}, {Name: "v_max"}}
	case ScheduleFree:
		return []Slot{{Name: "v"}, {Name: "z", FromWeights: true}, {Name: "x", FromWeights: true}}
	case EGUGD:
		return []Slot{{Name: "p", FromWeights: true}, {Name: "q", FromWeights: true}}
	}
	return nil
}

// NumSlots is the number of slots of every rule of this kind.
func (k Kind) NumSlots() int {
	switch k {
	case SGD, EGU, PNorm:
		return 0
	case Momentum, Nesterov, AdaGrad, MomentumBuffer:
		return 1
	case AMSGrad, ScheduleFree:
		return 3
	}
	return 2
}

// Result is the slot that holds a rule's result where its kind [Kind.Averages], else −1:
// the result is the weights then.
func (r Rule) Result() int {
	if r.Kind == ScheduleFree {
		return 2
	}
	return -1
}

// Start puts one row of each slot, in the order of [Rule.Slots], to its starting values
// for weights w of the same length.
func (r Rule) Start(w []float32, slots [][]float32) {
	switch r.Kind {
	case EGUGD:
		p, q := slots[0], slots[1]
		for i, x := range w {
			plus, minus := r.parts(float64(x))
			p[i], q[i] = float32(2*math.Sqrt(plus)), float32(2*math.Sqrt(minus))
		}
	case ScheduleFree:
		clear(slots[0][:len(w)])
		copy(slots[1], w)
		copy(slots[2], w)
	default:
		for i, row := range slots {
			init := r.init(i)
			for j := range w {
				row[j] = init
			}
		}
	}
}

// init is where slot i starts in rules whose slots don't depend on the weights.
func (r Rule) init(i int) float32 {
	switch {
	case r.Kind == AdaGrad:
		return float32(r.Epsilon)
	case r.Kind == RMSPropTF1 && i == 0:
		return 1
	}
	return 0
}

// parts splits w into w⁺ − w⁻, both positive with w⁺w⁻ = β². The smaller one is the
// quotient: a difference would lose its digits.
func (r Rule) parts(w float64) (plus, minus float64) {
	larger := (math.Sqrt(float64(w*w)+float64(4*r.Beta*r.Beta)) + math.Abs(w)) / 2
	smaller := 0.0
	if larger > 0 {
		smaller = float64(r.Beta*r.Beta) / larger
	}
	if w < 0 {
		return smaller, larger
	}
	return larger, smaller
}
