package compare

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/train"
)

// LossAt is a run's loss after so many epochs, on the line between the evaluations before
// and after; NaN where it ended before, and where it diverged. It is the test loss, or the
// training loss where there are no test examples.
func (r *Result) LossAt(run *RunResult, epochs float64) float64 {
	if run.Diverged != "" {
		return math.NaN()
	}
	at := func(m *train.Metrics) (epoch, loss float64) {
		epoch, loss = float64(m.Step)/float64(run.Batches), m.TestLoss
		if !r.Tested {
			loss = m.TrainLoss
		}
		return epoch, loss
	}
	for i := range run.History {
		x, y := at(&run.History[i])
		switch {
		case x == epochs:
			return y
		case x > epochs && i > 0:
			before, lossBefore := at(&run.History[i-1])
			return lossBefore + (y-lossBefore)*(epochs-before)/(x-before)
		case x > epochs:
			return math.NaN()
		}
	}
	return math.NaN()
}

// ByEpoch compares two contenders after the same number of epochs, that of the one whose
// runs have fewer, +Inf where neither has any: it returns it and the losses of both.
// Their schedules needn't be as far then: the one with more epochs to come still trains at a higher rate.
func (r *Result) ByEpoch(a, b *Summary) (epochs float64, lossA, lossB Stat) {
	epochs = math.Inf(1)
	for _, s := range []*Summary{a, b} {
		if s.TrainLoss.Count > 0 { // else it has no run that didn't diverge
			epochs = min(epochs, float64(s.Epochs))
		}
	}
	losses := func(name string) Stat {
		var values []float64
		diverged := 0
		for i := range r.Runs {
			switch run := &r.Runs[i]; {
			case run.Contender != name:
			case run.Diverged != "":
				diverged++
			default:
				values = append(values, r.LossAt(run, epochs))
			}
		}
		stat := statOf(values)
		stat.Diverged = diverged
		return stat
	}
	return epochs, losses(a.Name), losses(b.Name)
}

// Contender returns the summary of a name, nil where there is none.
func (r *Result) Contender(name string) *Summary {
	for i := range r.Contenders {
		if r.Contenders[i].Name == name {
			return &r.Contenders[i]
		}
	}
	return nil
}
