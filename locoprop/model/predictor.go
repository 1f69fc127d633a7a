package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// PredictorOptions say how a [Predictor] computes. The zero value is the pure-Go backend,
// 64 examples at once, and as many calls at once as Go runs goroutines.
type PredictorOptions struct {
	Backend backend.Kernels // nil: gonum.New()
	// Batch is the most examples that are taken through the network at once, 1 to 65536; a
	// call with more takes several turns. 0: 64. Each call that computes has buffers for so many.
	Batch int
	// Concurrency is the most calls that compute at once, from 1 to what the backend allows;
	// more than that wait. 0: GOMAXPROCS, or the backend's limit where that is lower.
	Concurrency int
	// Layer is the layer whose outputs [Predictor.Encode] gives, counted from 0, the
	// first hidden one, as train.Encode and files count them. nil: [CodeLayer].
	Layer *int
}

const (
	defaultPredictorBatch = 64
	maxPredictorBatch     = 1 << 16
)

// CodeLayer is the layer with the fewest units among the hidden ones, the first of
// several, counted from 0: the code layer of an autoencoder. It is the last layer where
// there is no hidden one.
func CodeLayer(n *nn.Network) int {
	best := 0
	for ℓ, l := range n.Layers[:len(n.Layers)-1] {
		if l.Weights().Rows < n.Layers[best].Weights().Rows {
			best = ℓ
		}
	}
	return best
}

// Predictor gives a model's outputs for examples. It may be used by any number of
// goroutines at once, and a call allocates nothing once its buffers are there. The model
// must not change while it is in use.
//
// An example is a row of values as they are stored, divided by Model.Scale: pixels of
// images from 0 to 1, numbers of other files as they are. The model's Scaling, if it has
// one, is applied to them.
//
// Results are those of train.Predict up to rounding: which of a batch's examples are
// taken through the network together may change the last bits of a product.
type Predictor struct {
	m       *Model
	weights []backend.Mat
	kernels backend.Kernels
	batch   int
	layer   int                  // of Encode, from 0
	free    chan *nn.Activations // a place for each call that may compute; nil until it is first used
}

// NewPredictor makes a predictor of a model, as [Load] reads it or a trainer has it. All
// that is wrong with the options is told at once.
func NewPredictor(m *Model, o PredictorOptions) (*Predictor, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	if o.Backend == nil {
		o.Backend = gonum.New()
	}
	limit := o.Backend.Info().MaxWorkers
	if o.Concurrency == 0 {
		o.Concurrency = runtime.GOMAXPROCS(0)
		if limit > 0 {
			o.Concurrency = min(o.Concurrency, limit)
		}
	}
	if o.Batch == 0 {
		o.Batch = defaultPredictorBatch
	}
	layer := CodeLayer(m.Network)
	if o.Layer != nil {
		layer = *o.Layer
	}
	var errs []error
	if o.Batch < 1 || o.Batch > maxPredictorBatch {
		errs = append(errs, fmt.Errorf("predictor: batch of %d examples; must be 1 to %d", o.Batch, maxPredictorBatch))
	}
	switch {
	case o.Concurrency < 1:
		errs = append(errs, fmt.Errorf("predictor: %d calls at once; must be 1 or more", o.Concurrency))
	case limit > 0 && o.Concurrency > limit:
		errs = append(errs, fmt.Errorf("predictor: %d calls at once; must be 1 to %d with backend %s (%s)", o.Concurrency, limit, o.Backend.Info().Name, o.Backend.Info().LimitedBy))
	}
	if n := len(m.Network.Layers); layer < 0 || layer >= n {
		errs = append(errs, fmt.Errorf("predictor: layer %d; must be 0 to %d", layer, n-1))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p := &Predictor{m: m, weights: m.EvalWeights(), kernels: o.Backend, batch: o.Batch, layer: layer, free: make(chan *nn.Activations, o.Concurrency)}
	for range o.Concurrency {
		p.free <- nil
	}
	return p, nil
}

// Model is the model that is applied.
func (p *Predictor) Model() *Model { return p.m }

// Inputs is the number of values of an example.
func (p *Predictor) Inputs() int { return p.m.Network.Inputs() }

// Outputs is the number of values that [Predictor.Predict] gives for an example.
func (p *Predictor) Outputs() int { return p.m.Network.Outputs() }

// Codes is the number of values that [Predictor.Encode] gives for an example.
func (p *Predictor) Codes() int { return p.m.Network.Layers[p.layer].Weights().Rows }

// Predict writes the network's outputs for the rows of x into dst. x: B × [Predictor.Inputs],
// dst: B × [Predictor.Outputs]; it may be x. A value that isn't finite gives
// an error for which errors.Is(err, dataset.ErrData) holds, and a context that ends gives
// its own; dst is then partly written.
func (p *Predictor) Predict(ctx context.Context, dst, x backend.Mat) error {
	return p.run(ctx, dst, x, len(p.m.Network.Layers), p.Outputs())
}

// Encode writes what layer PredictorOptions.Layer gives for the rows of x into dst:
// an autoencoder's code. dst: B × [Predictor.Codes]. Otherwise it is as [Predictor.Predict].
func (p *Predictor) Encode(ctx context.Context, dst, x backend.Mat) error {
	return p.run(ctx, dst, x, p.layer+1, p.Codes())
}

// run takes examples through the first so many layers.
func (p *Predictor) run(ctx context.Context, dst, x backend.Mat, layers, outputs int) error {
	if x.Cols != p.Inputs() {
		return fmt.Errorf("predictor: examples have %d values; the model reads %d", x.Cols, p.Inputs())
	}
	if dst.Rows != x.Rows || dst.Cols != outputs {
		return fmt.Errorf("predictor: output is %d × %d; must be %d × %d", dst.Rows, dst.Cols, x.Rows, outputs)
	}
	for _, m := range []backend.Mat{x, dst} {
		if m.Rows > 0 && (m.Stride < m.Cols || len(m.Data) < (m.Rows-1)*m.Stride+m.Cols) {
			return fmt.Errorf("predictor: matrix of %d × %d with stride %d has %d values, which is too few", m.Rows, m.Cols, m.Stride, len(m.Data))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var act *nn.Activations
	select {
	case act = <-p.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.free <- act }()
	if act == nil {
		act = nn.NewActivations(p.m.Network, p.batch)
	}
	for lo := 0; lo < x.Rows; lo += p.batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		hi := min(lo+p.batch, x.Rows)
		in := backend.WithoutBias(backend.Rows(act.Input[0], 0, hi-lo))
		backend.Copy(in, backend.Rows(x, lo, hi))
		if err := p.prepare(in, lo); err != nil {
			return err
		}
		for ℓ := range layers {
			act.ForwardLayer(p.kernels, p.weights[ℓ], ℓ, 0, hi-lo)
		}
		backend.Copy(backend.Rows(dst, lo, hi), backend.Rows(act.Y[layers-1], 0, hi-lo))
	}
	return nil
}

// prepare checks examples, the first of which is number first of the call, and scales them.
func (p *Predictor) prepare(x backend.Mat, first int) error {
	for i := range x.Rows {
		row := x.Data[i*x.Stride : i*x.Stride+x.Cols]
		for j, v := range row {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return &dataset.Error{Reason: fmt.Sprintf("predictor: value %d of example %d is %v; must be finite", j, first+i, v)}
			}
		}
		if s := p.m.Scaling; s != nil {
			s.Apply(row)
		}
	}
	return nil
}
