package report

import (
	"math"
	"strconv"
)

// tick is a mark on an axis; one without a label is a small one.
type tick struct {
	at    float64
	label string
}

// ticks are marks for an axis from low to high, about count of them with labels.
func ticks(low, high float64, log bool, count int) []tick {
	if log && high/low >= 2 {
		return logTicks(low, high, count)
	}
	return linearTicks(low, high, count)
}

// linearTicks are the multiples of 1, 2 or 5 times a power of ten within the bounds.
func linearTicks(low, high float64, count int) []tick {
	raw := (high - low) / float64(max(count, 1))
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	digits := max(0, -int(math.Floor(math.Log10(raw))))
	step := unit
	switch {
	case raw > 7.5*unit:
		step, digits = 10*unit, max(0, digits-1)
	case raw > 3.5*unit:
		step = 5 * unit
	case raw > 1.5*unit:
		step = 2 * unit
	}
	var list []tick
	first, last := math.Ceil(low/step-1e-9), math.Floor(high/step+1e-9)
	for i := first; i <= last && len(list) < 100; i++ { // few, but for numbers that differ in their last bits
		list = append(list, tick{i * step, label(i*step, digits)})
	}
	return list
}

// label writes a multiple of a step that has so many decimal places.
func label(x float64, digits int) string {
	if a := math.Abs(x); x != 0 && (a >= 1e6 || digits > 5) {
		return strconv.FormatFloat(x, 'g', 6, 64)
	}
	if x == 0 {
		return "0" // never -0
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

// logTicks are powers of ten, every second or third and so on of them if there are many,
// with labels, and their multiples without; the fewer powers there are, the more
// multiples have labels too.
func logTicks(low, high float64, count int) []tick {
	first, last := int(math.Ceil(math.Log10(low))), int(math.Floor(math.Log10(high))) // powers within the bounds
	every := max(1, (last-first+count)/max(count, 1))
	labelled := map[int]bool{1: true}
	switch ratio := high / low; {
	case ratio < 10:
		labelled = map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 8: true}
	case ratio < 200:
		labelled = map[int]bool{1: true, 2: true, 5: true}
	}
	var list []tick
	for e := first - 1; e <= last; e++ {
		for m := 1; m < 10; m++ {
			x, text := float64(m)*math.Pow(10, float64(e)), ""
			if labelled[m] && (e-first)%every == 0 {
				text = strconv.FormatFloat(x, 'g', 6, 64)
			}
			if low <= x && x <= high && (m == 1 || every == 1) {
				list = append(list, tick{x, text})
			}
		}
	}
	return list
}
