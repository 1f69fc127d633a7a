package train

import (
	"encoding/json"
	"math"
)

// Metrics is the result of one evaluation. As JSON it is a line of a run's
// metrics.jsonl, with the keys epoch, step, lr, train_loss, test_loss, train_excess,
// test_excess, train_accuracy, test_accuracy, seconds, eval_seconds, forms in this order;
// a number that isn't finite is null, and the accuracies are there only where the target
// is the label.
type Metrics struct {
	Epoch int     // epochs completed; 0: the untrained network
	Step  int     // batches done, those of an epoch that isn't completed too
	LR    float64 // rate η·s of the last batch; 0 before the first

	// Mean loss over all examples of a split; NaN for a split without examples.
	TrainLoss, TestLoss float64
	// Loss above the least that any prediction can reach, which is the targets' own
	// entropy under the cross-entropies.
	TrainExcess, TestExcess float64
	// Share of examples whose largest output is that of their class; nil unless the
	// target is the label.
	TrainAccuracy, TestAccuracy *float64

	Seconds     float64 // spent training so far, the method's set-up included, without evaluation and saving
	EvalSeconds float64 // spent evaluating so far

	// Forms are how each layer's local problem is solved, as the method's Explain has it: in
	// the first line of a run, of methods that have forms; else nil.
	Forms []string
}

// line is Metrics as JSON writes it.
type line struct {
	Epoch         int      `json:"epoch"`
	Step          int      `json:"step"`
	LR            number   `json:"lr"`
	TrainLoss     number   `json:"train_loss"`
	TestLoss      number   `json:"test_loss"`
	TrainExcess   number   `json:"train_excess"`
	TestExcess    number   `json:"test_excess"`
	TrainAccuracy *number  `json:"train_accuracy,omitempty"`
	TestAccuracy  *number  `json:"test_accuracy,omitempty"`
	Seconds       number   `json:"seconds"`
	EvalSeconds   number   `json:"eval_seconds"`
	Forms         []string `json:"forms,omitempty"`
}

// number is a float64 whose JSON is null where it isn't finite.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if x := float64(n); math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// MarshalJSON writes the line of metrics.jsonl, without a line feed.
func (m Metrics) MarshalJSON() ([]byte, error) {
	return json.Marshal(line{
		Epoch: m.Epoch, Step: m.Step, LR: number(m.LR),
		TrainLoss: number(m.TrainLoss), TestLoss: number(m.TestLoss),
		TrainExcess: number(m.TrainExcess), TestExcess: number(m.TestExcess),
		TrainAccuracy: (*number)(m.TrainAccuracy), TestAccuracy: (*number)(m.TestAccuracy),
		Seconds: number(m.Seconds), EvalSeconds: number(m.EvalSeconds), Forms: m.Forms,
	})
}

// UnmarshalJSON reads such a line; null becomes NaN.
func (m *Metrics) UnmarshalJSON(b []byte) error {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	*m = Metrics{
		Epoch: l.Epoch, Step: l.Step, LR: float64(l.LR),
		TrainLoss: float64(l.TrainLoss), TestLoss: float64(l.TestLoss),
		TrainExcess: float64(l.TrainExcess), TestExcess: float64(l.TestExcess),
		TrainAccuracy: (*float64)(l.TrainAccuracy), TestAccuracy: (*float64)(l.TestAccuracy),
		Seconds: float64(l.Seconds), EvalSeconds: float64(l.EvalSeconds), Forms: l.Forms,
	}
	return nil
}

// Progress is where training stands after a step.
type Progress struct {
	Epoch   int     // the epoch being trained, from 1
	Batch   int     // batches of it done
	Batches int     // in an epoch
	Step    int     // batches done since the start
	Loss    float64 // mean loss over the batch, before the step
	Rate    float64 // η·s of the step
	Seconds float64 // spent training so far, without evaluation
}

// Best is the evaluation with the least test loss so far, +Inf without one.
type Best struct {
	Epoch    int     `json:"epoch"`          // epochs completed
	Step     int     `json:"step,omitempty"` // batches done; 0: nothing was better than the untrained network
	TestLoss float64 `json:"test_loss"`
}

// Rollback tells of one return to a checkpoint, because training had diverged.
type Rollback struct {
	Step  int     `json:"step"`  // steps that were done when it was found
	To    int     `json:"to"`    // steps of the checkpoint
	Rate  float64 `json:"rate"`  // η from there on, before the schedule's factor
	Found string  `json:"found"` // what was found where
}

// Result is what a run has reached.
type Result struct {
	Last              Metrics // the last evaluation
	Best              Best
	Rollbacks         []Rollback // in their order
	Epoch, Batch      int        // epochs completed, and batches of the next one
	Batches           int        // in an epoch
	Step              int        // batches done since the start
	Seconds           float64    // spent training
	EvalSeconds       float64    // spent evaluating
	TrainFloor        float64    // least loss that any prediction reaches on the training split
	TestFloor         float64    // the same on the test split; NaN without examples
	Parameters        int        // weights and biases
	Finished          bool       // all that the configuration asks for is done
	TrainLen, TestLen int        // examples
}
