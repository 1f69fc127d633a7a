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
		return []Slot{{Name: "s", Init: float32(r.Epsilon)}}
	case RMSPropTF1:
		return []Slot{{Name: "s", Init: 1}, {Name: "v"}}
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
	for i, slot := range r.Slots() {
		row := slots[i][:len(w)]
		for j := range row {
			row[j] = slot.Init
		}
		switch {
		case !slot.FromWeights:
		case r.Kind == EGUGD:
			for j, x := range w {
				plus, minus := r.parts(float64(x))
				row[j] = float32(2 * math.Sqrt(plus))
				if i == 1 {
					row[j] = float32(2 * math.Sqrt(minus))
				}
			}
		default:
			copy(row, w)
		}
	}
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
