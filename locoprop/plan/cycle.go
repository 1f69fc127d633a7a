package plan

// Cycle says how the work of a method's steps repeats: after the first Begin of them,
// any Length steps in a row do the same work altogether. What is true of one step of a
// method that makes inverses every 20 steps is true of none of them.
type Cycle struct {
	Begin, Length int
}

// CyclicStepper is a stepper whose steps don't all do the same work.
type CyclicStepper interface {
	Stepper
	Cycle() Cycle
}

// CycleOf is the cycle of a stepper; for one whose steps are all alike, of length 1.
func CycleOf(s Stepper) Cycle {
	if c, ok := s.(CyclicStepper); ok {
		return c.Cycle()
	}
	return Cycle{Length: 1}
}

// With is the cycle of work that has both cycles.
func (c Cycle) With(other Cycle) Cycle {
	a, b := c.Length, other.Length
	for b != 0 {
		a, b = b, a%b
	}
	return Cycle{Begin: max(c.Begin, other.Begin), Length: c.Length / a * other.Length}
}
