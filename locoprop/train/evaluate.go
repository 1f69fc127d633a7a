package train

import (
	"context"
	"errors"
	"fmt"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// score is what an evaluation of a split found: means over its examples, NaN without
// examples.
type score struct{ loss, squared, accuracy float64 }

// evaluator measures a network on a source. Sums are added chunk by chunk in a fixed
// order, so their bits don't depend on the number of workers.
type evaluator struct {
	*forward
	loss    loss.Loss
	squared bool // measure the squared error too
	sums    []score
}

func newEvaluator(k backend.Kernels, n *nn.Network, l loss.Loss, src *source, workers int, squared bool) *evaluator {
	e := &evaluator{loss: l, squared: squared}
	e.forward = newForward(k, n, src, workers, e.add)
	e.sums = make([]score, len(e.phase.Tasks))
	return e
}

func (e *evaluator) add(c *output) error {
	s := &e.sums[c.id]
	*s = score{loss: e.kernels.Loss(backend.Mat{}, c.a, c.y, c.t, e.net.Last().Transfer(), e.loss, 1)}
	for r := range c.y.Rows {
		y := row(c.y, r)
		if e.squared {
			for j, v := range row(c.t, r) {
				d := float64(y[j]) - float64(v)
				s.squared += d * d
			}
		}
		if c.lo+r < len(e.src.labels) && largest(y) == int(e.src.labels[c.lo+r]) {
			s.accuracy++
		}
	}
	return nil
}

// largest is the place of the largest value, the first of several.
func largest(y []float32) int {
	best := 0
	for j, v := range y {
		if v > y[best] {
			best = j
		}
	}
	return best
}

func (e *evaluator) measure(ctx context.Context, p *plan.Pool, weights []backend.Mat) (score, error) {
	if err := e.run(ctx, p, weights); err != nil {
		return score{}, err
	}
	var sum score
	for _, s := range e.sums {
		sum.loss += s.loss
		sum.squared += s.squared
		sum.accuracy += s.accuracy
	}
	n := float64(e.src.n) // 0/0 is NaN
	return score{sum.loss / n, sum.squared / (n * float64(e.src.outputs)), sum.accuracy / n}, nil
}

// Evaluation is a model's result on one split.
type Evaluation struct {
	Examples     int
	Loss         float64  // mean over examples of the sum over outputs
	Floor        float64  // the least loss that any prediction reaches
	Excess       float64  // Loss − Floor
	SquaredError float64  // mean over examples and outputs of (Ŷ − t)²
	Accuracy     *float64 // share of examples whose largest output is that of their class; nil unless the target is the label
}

// Evaluate measures a model on both splits of a data set, every example of them. The
// data must have the model's number of inputs and, where its target is the label,
// labels. For a split without examples all numbers are NaN. Data that can't be
// evaluated on give an error for which errors.Is(err, dataset.ErrData) holds or a
// *ConfigError; a context that ends gives ErrInterrupted.
func Evaluate(ctx context.Context, m *model.Model, d *dataset.Data, c Compute) (training, test Evaluation, err error) {
	k, workers, err := c.resolve()
	if err != nil {
		return training, test, &ConfigError{err}
	}
	if err := m.Check(); err != nil {
		return training, test, &ConfigError{err}
	}
	if err := checkDims(d, m.Network); err != nil {
		return training, test, &ConfigError{err}
	}
	pool := plan.NewPool(workers)
	defer pool.Close()
	if training, err = evaluateSplit(ctx, m, "training", d.Train, k, pool); err != nil {
		return training, test, err
	}
	test, err = evaluateSplit(ctx, m, "test", d.Test, k, pool)
	return training, test, err
}

func evaluateSplit(ctx context.Context, m *model.Model, name string, split dataset.Split, k backend.Kernels, pool *plan.Pool) (Evaluation, error) {
	src, err := newSource(name, split, m.Target, m.Network.Outputs())
	if err != nil {
		return Evaluation{}, err
	}
	floor, _, err := src.inspect(ctx, pool, m.Loss)
	if err != nil {
		return Evaluation{}, err
	}
	s, err := newEvaluator(k, m.Network, m.Loss, src, pool.Workers(), true).measure(ctx, pool, m.EvalWeights())
	if err != nil {
		return Evaluation{}, err
	}
	e := Evaluation{Examples: src.n, Loss: s.loss, Floor: floor, Excess: s.loss - floor, SquaredError: s.squared}
	if m.Target == TargetLabel {
		e.Accuracy = &s.accuracy
	}
	return e, nil
}

// checkDims compares the values per example of a data set with what a network reads.
func checkDims(d *dataset.Data, n *nn.Network) error {
	if d == nil || d.Train == nil {
		return errors.New("no data")
	}
	if d.Train.Dim() != n.Inputs() {
		return fmt.Errorf("examples have %d values, but the network reads %d", d.Train.Dim(), n.Inputs())
	}
	if d.Test != nil && d.Test.Len() > 0 && d.Test.Dim() != d.Train.Dim() {
		return fmt.Errorf("training examples have %d values, and test examples %d", d.Train.Dim(), d.Test.Dim())
	}
	return nil
}
