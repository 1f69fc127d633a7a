package train

import (
	"context"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// MeanPredictor is the mean loss, on either split, of predicting for every example the
// mean target of the training split: the reference that a network should beat. Under
// the cross-entropies an output that is 0 (or 1) in all N training examples counts as
// 1/2N (or 1 − 1/2N), or one example of the test split could cost infinitely much. For
// a split without examples it is NaN. A context that ends gives ErrInterrupted.
func MeanPredictor(ctx context.Context, d *dataset.Data, target Target, l loss.Loss, c Compute) (training, test float64, err error) {
	_, workers, err := c.resolve()
	if err != nil {
		return 0, 0, &ConfigError{err}
	}
	outputs := d.Dim()
	if target == TargetLabel {
		outputs = d.Classes
	}
	train, err := newSource("training", d.Train, target, outputs)
	if err != nil {
		return 0, 0, err
	}
	other, err := newSource("test", d.Test, target, outputs)
	if err != nil {
		return 0, 0, err
	}
	pool := plan.NewPool(workers)
	defer pool.Close()
	mean, err := train.mean(ctx, pool)
	if err != nil {
		return 0, 0, err
	}
	if l != loss.Squared {
		certain := 1 / float64(2*train.n)
		for j, v := range mean {
			switch {
			case v <= 0:
				mean[j] = certain
			case v >= 1:
				mean[j] = 1 - certain
			}
		}
	}
	if training, err = train.lossOf(ctx, mean, l, pool); err != nil {
		return 0, 0, err
	}
	test, err = other.lossOf(ctx, mean, l, pool)
	return training, test, err
}

// meanChunk is larger than chunk, since every task keeps a whole row of sums.
const meanChunk = 8 * chunk

// mean is the mean target of all examples.
func (s *source) mean(ctx context.Context, p *plan.Pool) ([]float64, error) {
	mean := make([]float64, s.outputs)
	if s.n == 0 {
		return mean, nil
	}
	tasks := s.tasks(meanChunk, s.cost())
	sums := make([][]float64, len(tasks))
	err := p.Run(plan.NewPhase("mean target", tasks, s.scratchLen(), func(task *plan.Task, scratch []float32) error {
		if err := interruption(ctx); err != nil {
			return err
		}
		sum := make([]float64, s.outputs)
		sums[task.ID] = sum
		return s.each(task.Lo, task.Hi, scratch, func(_ int, _, t []float32) error {
			for j, v := range t {
				sum[j] += float64(v)
			}
			return nil
		})
	}))
	if err != nil {
		return nil, err
	}
	for j := range mean {
		for _, sum := range sums {
			mean[j] += sum[j]
		}
		mean[j] /= float64(s.n)
	}
	return mean, nil
}

// lossOf is the mean loss of predicting y for every example.
func (s *source) lossOf(ctx context.Context, y []float64, l loss.Loss, p *plan.Pool) (float64, error) {
	if s.n == 0 {
		return math.NaN(), nil
	}
	tasks := s.tasks(chunk, s.cost())
	sums := make([]float64, len(tasks))
	err := p.Run(plan.NewPhase("loss of the mean", tasks, s.scratchLen(), func(task *plan.Task, scratch []float32) error {
		if err := interruption(ctx); err != nil {
			return err
		}
		var sum float64
		err := s.each(task.Lo, task.Hi, scratch, func(_ int, _, t []float32) error {
			sum += l.OfPrediction(y, t)
			return nil
		})
		sums[task.ID] = sum
		return err
	}))
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, v := range sums {
		sum += v
	}
	return sum / float64(s.n), nil
}
