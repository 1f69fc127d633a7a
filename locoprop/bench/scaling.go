package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Point is a step that differs from another in one respect.
type Point struct {
	Axis  string // batch, width, …
	Value string
	Config
}

// PointTime is the measurement of a point.
type PointTime struct {
	Axis      string  `json:"axis"`
	Value     string  `json:"value"`
	Workers   int     `json:"workers"`
	Flops     float64 `json:"flops_per_step"`
	Seconds   Spread  `json:"seconds"`
	Rate      float64 `json:"flops_per_second"`
	Predicted float64 `json:"predicted_seconds"` // by the flop model, from the base
	Ratio     Spread  `json:"over_predicted"`    // of the times of each round
	Skipped   string  `json:"skipped,omitempty"` // why it wasn't measured
}

// ScalingReport is how a step's time grows.
type ScalingReport struct {
	Base   PointTime   `json:"base"`
	Points []PointTime `json:"points"`
}

// Scaling measures how a step's time grows from a base, which is measured beside each
// point in every round. The flop model says that a step takes its flops over the rate of
// the base's worker, times the number of workers; where time and model part, something
// else than the amount of arithmetic counts. A point whose predicted step takes longer
// than limit is skipped. onPoint, unless nil, is told of each point.
func Scaling(ctx context.Context, base Config, points []Point, limit time.Duration, onPoint func(PointTime)) (*ScalingReport, error) {
	pool := plan.NewPool(base.Workers)
	defer pool.Close()
	from, err := newTrial(base, base.Backends[0], pool)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := from.step(pool); err != nil { // what is expected of points is told from it
		return nil, fmt.Errorf("bench: %w", err)
	}
	r := &ScalingReport{}
	for _, p := range points {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		t, err := comparePoint(ctx, from, base, p, limit, pool)
		if err != nil {
			return nil, fmt.Errorf("bench: %s %s: %w", p.Axis, p.Value, err)
		}
		r.Points = append(r.Points, t)
		if onPoint != nil {
			onPoint(t)
		}
	}
	s := spread(from.seconds)
	r.Base = PointTime{Axis: "base", Workers: base.Workers, Flops: from.flops, Seconds: s, Rate: from.flops / s.Median, Predicted: s.Median}
	r.Base.Ratio = Spread{Median: 1, Min: 1, Max: 1, Count: s.Count}
	return r, nil
}

// comparePoint measures a point beside the base.
func comparePoint(ctx context.Context, from *trial, base Config, p Point, limit time.Duration, pool *plan.Pool) (PointTime, error) {
	own := plan.NewPool(p.Workers)
	defer own.Close()
	flops, err := flopsOf(p.Config)
	if err != nil {
		return PointTime{}, err
	}
	growth := flops / from.flops * float64(base.Workers) / float64(p.Workers)
	r := PointTime{Axis: p.Axis, Value: p.Value, Workers: p.Workers, Flops: flops}
	r.Predicted = median(from.seconds) * growth
	if limit > 0 && r.Predicted > limit.Seconds() {
		r.Skipped = fmt.Sprintf("expected to take %.3g s, the limit is %v", r.Predicted, limit)
		return r, nil
	}
	t, err := newTrial(p.Config, p.Backends[0], own)
	if err != nil {
		return r, err
	}
	var ratio, predicted []float64
	for range max(base.Rounds, 1) {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err := from.step(pool); err != nil {
			return r, err
		}
		if err := t.step(own); err != nil {
			return r, err
		}
		expected := from.seconds[len(from.seconds)-1] * growth
		predicted = append(predicted, expected)
		ratio = append(ratio, t.seconds[len(t.seconds)-1]/expected)
	}
	r.Seconds, r.Ratio, r.Predicted = spread(t.seconds), spread(ratio), median(predicted)
	r.Rate = flops / r.Seconds.Median
	return r, nil
}

// flopsOf is what a step of a configuration needs, known before its memory is touched.
func flopsOf(c Config) (float64, error) {
	net, err := nn.New(c.Arch)
	if err != nil {
		return 0, err
	}
	s, err := c.Method.Plan(net, c.Loss, c.Batch, c.Backends[0])
	if err != nil {
		return 0, err
	}
	return plan.Flops(s.Explain()), nil
}
