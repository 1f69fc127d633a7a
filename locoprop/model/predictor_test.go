package model_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bottleneck is an autoencoder of 6 values by 2, whose inputs are scaled.
func bottleneck(t *testing.T) *model.Model {
	t.Helper()
	n, err := nn.New(nn.Arch{
		Widths:   []int{6, 4, 2, 4, 6},
		Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, transfer.Tanh, transfer.Sigmoid},
	})
	require.NoError(t, err)
	n.Init(nn.Glorot, 1)
	shift, divisor := make([]float64, 6), make([]float64, 6)
	for j := range shift {
		shift[j], divisor[j] = float64(j)/4, 1+float64(j)/8
	}
	return &model.Model{Network: n, Scale: 1, Scaling: &dataset.Scaling{Shift: shift, Divisor: divisor, Clip: true}}
}

func examples(rows, cols int) backend.Mat {
	x := backend.NewPadded(rows, cols)
	for i := range rows {
		for j := range cols {
			x.Data[i*x.Stride+j] = float32(math.Sin(float64(1 + i*cols + j)))
		}
	}
	return x
}

func values(m backend.Mat) (list []float32) {
	for i := range m.Rows {
		list = append(list, m.Data[i*m.Stride:][:m.Cols]...)
	}
	return list
}

func TestPredictor(t *testing.T) {
	t.Parallel()
	m := bottleneck(t)
	p, err := model.NewPredictor(m, model.PredictorOptions{Batch: 4, Concurrency: 2})
	require.NoError(t, err)
	assert.Equal(t, [3]int{6, 6, 2}, [3]int{p.Inputs(), p.Outputs(), p.Codes()})
	assert.Same(t, m, p.Model())

	// The same as train.Predict, which scales elsewhere.
	x := examples(11, 6)
	scaled := backend.NewMat(11, 6)
	backend.Copy(scaled, x)
	for i := range scaled.Rows {
		m.Scaling.Apply(scaled.Data[i*scaled.Stride:][:6])
	}
	want := backend.NewMat(11, 6)
	require.NoError(t, train.Predict(t.Context(), m, train.Matrix(scaled), want, train.Compute{Workers: 1}))
	y := backend.NewMat(11, 6)
	require.NoError(t, p.Predict(t.Context(), y, x))
	assert.InDeltaSlice(t, values(want), values(y), 1e-6)
	require.NoError(t, p.Predict(t.Context(), x, x), "in place")
	assert.Equal(t, values(y), values(x))

	// The code, by hand: Aₗ = Wₗ yₗ₋₁ + bₗ.
	x = examples(11, 6)
	codes := backend.NewPadded(11, 2)
	require.NoError(t, p.Encode(t.Context(), codes, x))
	for i := range codes.Rows {
		in := make([]float64, 6)
		for j := range in {
			in[j] = float64(scaled.Data[i*scaled.Stride+j])
		}
		for ℓ, f := range []func(float64) float64{math.Tanh, func(a float64) float64 { return a }} {
			w := m.Network.Weights()[ℓ]
			out := make([]float64, w.Rows)
			for u := range out {
				row := w.Data[u*w.Stride:]
				for j, v := range in {
					out[u] += float64(row[j]) * v
				}
				out[u] = f(out[u] + float64(row[len(in)]))
			}
			in = out
		}
		assert.InDelta(t, in[0], float64(codes.Data[i*codes.Stride]), 1e-6)
		assert.InDelta(t, in[1], float64(codes.Data[i*codes.Stride+1]), 1e-6)
	}

	// W̃ of the model goes before that of its network.
	m = bottleneck(t)
	m.Weights = []backend.Mat{}
	for _, w := range m.Network.Weights() {
		m.Weights = append(m.Weights, backend.NewMat(w.Rows, w.Cols))
	}
	p, err = model.NewPredictor(m, model.PredictorOptions{})
	require.NoError(t, err)
	require.NoError(t, p.Predict(t.Context(), y, examples(11, 6)))
	assert.Equal(t, slices.Repeat([]float32{0.5}, 66), values(y))
	require.NoError(t, p.Predict(t.Context(), backend.Mat{Cols: 6}, backend.Mat{Cols: 6}), "no examples")
}

// Many goroutines get what one gets.
func TestPredictorConcurrently(t *testing.T) {
	t.Parallel()
	p, err := model.NewPredictor(bottleneck(t), model.PredictorOptions{Batch: 8, Concurrency: 3})
	require.NoError(t, err)
	x, want := examples(20, 6), backend.NewMat(20, 6)
	require.NoError(t, p.Predict(t.Context(), want, x))
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			y, codes := backend.NewMat(20, 6), backend.NewMat(20, 2)
			for range 20 {
				assert.NoError(t, p.Predict(context.Background(), y, x))
				assert.Equal(t, values(want), values(y))
				assert.NoError(t, p.Encode(context.Background(), codes, x))
			}
		})
	}
	wait.Wait()
}

func TestPredictorAllocates(t *testing.T) {
	p, err := model.NewPredictor(bottleneck(t), model.PredictorOptions{Concurrency: 1})
	require.NoError(t, err)
	x, y := examples(70, 6), backend.NewMat(70, 6)
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(20, func() {
		if err := p.Predict(ctx, y, x); err != nil {
			t.Error(err)
		}
	}))
}

func TestPredictorErrors(t *testing.T) {
	t.Parallel()
	m := bottleneck(t)
	_, err := model.NewPredictor(m, model.PredictorOptions{Backend: limited{gonum.New()}, Batch: -1, Concurrency: 5, Layer: new(5)})
	assert.EqualError(t, err, "predictor: batch of -1 examples; must be 1 to 65536\n"+
		"predictor: 5 calls at once; must be 1 to 4 with backend gonum (a test)\npredictor: layer 5; must be 0 to 3")
	_, err = model.NewPredictor(m, model.PredictorOptions{Concurrency: -1})
	assert.EqualError(t, err, "predictor: -1 calls at once; must be 1 or more")
	_, err = model.NewPredictor(&model.Model{}, model.PredictorOptions{})
	assert.EqualError(t, err, "predictor: model without a network")

	p, err := model.NewPredictor(m, model.PredictorOptions{Batch: 2, Concurrency: 1})
	require.NoError(t, err)
	ctx, y := t.Context(), backend.NewMat(5, 6)
	assert.EqualError(t, p.Predict(ctx, y, examples(5, 7)), "predictor: examples have 7 values; the model reads 6")
	assert.EqualError(t, p.Predict(ctx, y, examples(4, 6)), "predictor: output is 5 × 6; must be 4 × 6")
	assert.EqualError(t, p.Encode(ctx, y, examples(5, 6)), "predictor: output is 5 × 6; must be 5 × 2")
	short := examples(5, 6)
	short.Data = short.Data[:10]
	assert.ErrorContains(t, p.Predict(ctx, y, short), "predictor: matrix of 5 × 6 with stride 16 has 10 values, which is too few")
	for _, bad := range []float64{math.NaN(), math.Inf(-1)} {
		x := examples(5, 6)
		x.Data[3*x.Stride+4] = float32(bad)
		err = p.Predict(ctx, y, x)
		assert.ErrorIs(t, err, dataset.ErrData)
		assert.ErrorContains(t, err, "predictor: value 4 of example 3 is ")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	assert.ErrorIs(t, p.Predict(ended, y, examples(5, 6)), context.Canceled)
	assert.NoError(t, p.Predict(ctx, y, examples(5, 6)), "an error gives its buffers back")
}

// limited is a backend with a limit on callers.
type limited struct{ backend.Kernels }

func (l limited) Info() backend.Info {
	i := l.Kernels.Info()
	i.MaxWorkers, i.LimitedBy = 4, "a test"
	return i
}

func TestCodeLayer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		widths []int
		want   int
	}{{[]int{6, 4, 2, 4, 6}, 1}, {[]int{6, 3, 3, 1}, 0}, {[]int{6, 2}, 0}, {[]int{6, 9, 8, 1}, 1}} {
		n, err := nn.New(nn.Arch{Widths: c.widths, Transfer: make([]transfer.Func, len(c.widths)-1)})
		require.NoError(t, err)
		assert.Equal(t, c.want, model.CodeLayer(n), c.widths)
	}
}
