package train

import (
	"context"
	"encoding/json"
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testModel(t *testing.T, c Config) *model.Model {
	t.Helper()
	return &model.Model{Network: c.Network, Loss: c.Loss, Target: c.Target, Scale: 255}
}

// example reads one example.
func example(t *testing.T, from Examples, i int) []float32 {
	t.Helper()
	m := backend.NewMat(1, from.Dim())
	require.NoError(t, from.Rows(m, []int{i}))
	return m.Data
}

// outputs is the network's forward pass for one example, in float64.
func outputs(n *nn.Network, x []float32) (a, y []float64) {
	y = make([]float64, len(x))
	for j, v := range x {
		y[j] = float64(v)
	}
	for _, l := range n.Layers {
		w := l.Weights()
		a = make([]float64, w.Rows)
		for u := range a {
			weights := row(w, u)
			a[u] = float64(weights[w.Cols-1])
			for j, v := range y {
				a[u] += float64(weights[j]) * v
			}
		}
		y = make([]float64, len(a))
		if f := l.Transfer(); f.RowCoupled() {
			var sum float64
			for _, v := range a {
				sum += math.Exp(v)
			}
			for u, v := range a {
				y[u] = math.Exp(v) / sum
			}
		} else {
			for u, v := range a {
				y[u] = f.At(v)
			}
		}
	}
	return a, y
}

// byHand is an evaluation example by example, from the formulas.
func byHand(t *testing.T, m *model.Model, s dataset.Split) Evaluation {
	t.Helper()
	e := Evaluation{Examples: s.Len()}
	correct := 0.0
	for i := range s.Len() {
		x := example(t, s, i)
		target := x
		if m.Target == TargetLabel {
			target = make([]float32, m.Network.Outputs())
			target[s.Labels()[i]] = 1
		}
		_, y := outputs(m.Network, x)
		best := 0
		for j, p := range target {
			tj := float64(p)
			switch m.Loss {
			case loss.SigmoidCE:
				e.Loss -= tj*math.Log(y[j]) + (1-tj)*math.Log(1-y[j])
				if tj > 0 && tj < 1 {
					e.Floor -= tj*math.Log(tj) + (1-tj)*math.Log(1-tj)
				}
			case loss.SoftmaxCE:
				e.Loss -= tj * math.Log(y[j])
			case loss.Squared:
				e.Loss += (y[j] - tj) * (y[j] - tj) / 2
			}
			e.SquaredError += (y[j] - tj) * (y[j] - tj)
			if y[j] > y[best] {
				best = j
			}
		}
		if m.Target == TargetLabel && best == int(s.Labels()[i]) {
			correct++
		}
	}
	n := float64(s.Len())
	e.Loss, e.Floor = e.Loss/n, e.Floor/n
	e.SquaredError /= n * float64(m.Network.Outputs())
	e.Excess = e.Loss - e.Floor
	if m.Target == TargetLabel {
		correct /= n
		e.Accuracy = &correct
	}
	return e
}

// evaluators are the backends that evaluations are checked with; nil is the usual one.
var evaluators = []backend.Kernels{nil}

// All examples count, those of the last short chunk and of the last short batch too, by
// panels and by matrices.
func TestEvaluate(t *testing.T) {
	for _, k := range evaluators {
		checkEvaluate(t, k)
	}
}

func checkEvaluate(t *testing.T, k backend.Kernels) {
	t.Helper()
	squared := autoencoder(t)
	squared.Loss, squared.Network = loss.Squared, testNetwork(t, transfer.Tanh, 9)
	large := classifier(t)
	large.Data, large.Epochs = dataOf(t, 16400, testTest), 1 // whose chunks aren't those of the test examples
	some, both := autoencoder(t), classifier(t)
	some.Data, both.Data = dataOf(t, 1100, 70), dataOf(t, 1500, 1030)
	for name, c := range map[string]Config{
		"sigmoid-ce": autoencoder(t), "softmax-ce": classifier(t), "squared": squared, "large": large, "some": some, "both": both,
	} {
		c.Backend = k
		m := testModel(t, c)
		var results [2][2]Evaluation
		for i, workers := range []int{1, 3} {
			training, test, err := Evaluate(context.Background(), m, c.Data, Compute{Workers: workers, Backend: k})
			require.NoError(t, err)
			results[i] = [2]Evaluation{training, test}
		}
		assert.Equal(t, results[0], results[1], "the same bits for any number of workers")
		for i, s := range []dataset.Split{c.Data.Train, c.Data.Test} {
			want, got := byHand(t, m, s), results[0][i]
			assert.Equal(t, want.Examples, got.Examples)
			// float32 forward passes of 3 layers with up to 10 terms
			assert.InEpsilon(t, want.Loss, got.Loss, 1e-5, name)
			assert.InDelta(t, want.Floor, got.Floor, 1e-12, name)
			assert.InDelta(t, want.Excess, got.Excess, 1e-4, name)
			assert.InEpsilon(t, want.SquaredError, got.SquaredError, 1e-5, name)
			if want.Accuracy != nil { // of two outputs that are nearly equal, rounding may make either the larger
				assert.InDelta(t, *want.Accuracy, *got.Accuracy, float64(want.Examples/5000)/float64(want.Examples), name)
			}
			assert.Equal(t, want.Accuracy == nil, got.Accuracy == nil, name)
		}
		_, r := run(t, c)
		training, test, err := Evaluate(context.Background(), m, c.Data, Compute{Backend: k})
		require.NoError(t, err)
		assert.InDelta(t, r.Last.TrainLoss, training.Loss, 0)
		assert.InDelta(t, r.Last.TestExcess, test.Excess, 0)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	c := autoencoder(t)
	m := testModel(t, c)
	check := func(m *model.Model, d *dataset.Data, compute Compute, want string) {
		t.Helper()
		_, _, err := Evaluate(context.Background(), m, d, compute)
		var usage *ConfigError
		assert.ErrorAs(t, err, &usage)
		assert.ErrorContains(t, err, want)
	}
	check(m, nil, Compute{}, "no data")
	check(m, c.Data, Compute{Workers: 129}, "129 workers; must be 1 to 128 with backend gonum (")
	check(m, dataset.Curves(1, 3, 3), Compute{}, "examples have 784 values, but the network reads 9")
	check(&model.Model{}, c.Data, Compute{}, "model without a network")
	unlabelled := *testData(t)
	unlabelled.Train = floats(t, [][]float32{make([]float32, 9)})
	check(testModel(t, classifier(t)), &unlabelled, Compute{}, "target is the label, but the training examples have no labels")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := Evaluate(ctx, m, c.Data, Compute{})
	assert.ErrorIs(t, err, ErrInterrupted)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestPredict(t *testing.T) {
	c := classifier(t)
	m := testModel(t, c)
	out := backend.NewPadded(testTrain, testClasses)
	require.NoError(t, Predict(context.Background(), m, c.Data.Train, out, Compute{Workers: 3}))
	for _, i := range []int{0, 127, 128, testTrain - 1} {
		_, y := outputs(m.Network, example(t, c.Data.Train, i))
		for j, v := range row(out, i) {
			assert.InDelta(t, y[j], float64(v), 1e-6)
		}
	}

	m.Weights = testNetworkWith(t, nn.He).Weights()
	in := backend.NewPadded(2, 9)
	copy(row(in, 1), example(t, c.Data.Test, 5))
	two := backend.NewMat(2, testClasses)
	require.NoError(t, Predict(context.Background(), m, Matrix(in), two, Compute{}))
	_, y := outputs(testNetworkWith(t, nn.He), row(in, 1))
	assert.InDelta(t, y[0], float64(two.Data[testClasses]), 1e-6, "other weights are used where a model has them")

	in.Data[in.Stride+3] = float32(math.Inf(1))
	err := Predict(context.Background(), m, Matrix(in), two, Compute{})
	assert.EqualError(t, err, "input example 1: a value is NaN or infinite")
	assert.ErrorIs(t, err, dataset.ErrData)
	var usage *ConfigError
	err = Predict(context.Background(), m, Matrix(backend.NewMat(2, 8)), two, Compute{})
	assert.ErrorAs(t, err, &usage)
	assert.ErrorContains(t, err, "examples have 8 values, but the network reads 9")
	err = Predict(context.Background(), m, c.Data.Test, two, Compute{})
	assert.ErrorAs(t, err, &usage)
	assert.ErrorContains(t, err, "output is 2 × 3; must be 151 × 3")
	assert.ErrorAs(t, Predict(context.Background(), m, c.Data.Test, two, Compute{Workers: -1}), &usage)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, Predict(ctx, m, Matrix(in), two, Compute{}), ErrInterrupted)
}

func testNetworkWith(t *testing.T, kind nn.Init) *nn.Network {
	t.Helper()
	n := testNetwork(t, transfer.Softmax, testClasses)
	n.Init(kind, 11)
	return n
}

func TestMeanPredictor(t *testing.T) {
	d := testData(t)
	mean := make([]float64, 9)
	for i := range testTrain {
		for j, v := range example(t, d.Train, i) {
			mean[j] += float64(v) / testTrain
		}
	}
	for _, l := range []loss.Loss{loss.SigmoidCE, loss.Squared} {
		training, test, err := MeanPredictor(t.Context(), d, TargetInput, l, Compute{Workers: 2})
		require.NoError(t, err)
		for s, got := range map[dataset.Split]float64{d.Train: training, d.Test: test} {
			var want float64
			for i := range s.Len() {
				want += l.OfPrediction(mean, example(t, s, i)) / float64(s.Len())
			}
			assert.InEpsilon(t, want, got, 1e-12, l.String())
		}
		again, other, err := MeanPredictor(t.Context(), d, TargetInput, l, Compute{Workers: 1})
		require.NoError(t, err)
		assert.Equal(t, [2]float64{training, test}, [2]float64{again, other})
	}

	// With shares p of the classes, the mean predictor's loss on them is their entropy.
	training, _, err := MeanPredictor(t.Context(), d, TargetLabel, loss.SoftmaxCE, Compute{})
	require.NoError(t, err)
	share := make([]float64, testClasses)
	for _, l := range d.Train.Labels() {
		share[l] += 1.0 / testTrain
	}
	var entropy float64
	for _, p := range share {
		entropy -= p * math.Log(p)
	}
	assert.InEpsilon(t, entropy, training, 1e-12)
}

// An output that is 0 in training and not in the test costs much, not infinitely much.
func TestMeanPredictorOfTheUnseen(t *testing.T) {
	d := &dataset.Data{
		Train: floats(t, [][]float32{{0, 1, .5}, {0, 1, .5}}),
		Test:  floats(t, [][]float32{{1, 0, .5}}),
	}
	training, test, err := MeanPredictor(t.Context(), d, TargetInput, loss.SigmoidCE, Compute{})
	require.NoError(t, err)
	assert.InEpsilon(t, -2*math.Log(3./4)+math.Ln2, training, 1e-12)
	assert.InEpsilon(t, -2*math.Log(1./4)+math.Ln2, test, 1e-12)
	d.Test = nil
	_, test, err = MeanPredictor(t.Context(), d, TargetInput, loss.Squared, Compute{})
	require.NoError(t, err)
	assert.True(t, math.IsNaN(test))
}

func TestMetricsJSON(t *testing.T) {
	accuracy := 0.25
	for _, c := range []struct {
		m    Metrics
		want string
	}{
		{
			Metrics{Epoch: 3, Step: 240, LR: 1e-5, TrainLoss: 60.25, TestLoss: 61, TrainExcess: 14.5, TestExcess: 15, Seconds: 12.5, EvalSeconds: 0.125, Forms: []string{"gram", "direct"}},
			`{"epoch":3,"step":240,"lr":0.00001,"train_loss":60.25,"test_loss":61,"train_excess":14.5,"test_excess":15,"seconds":12.5,"eval_seconds":0.125,"forms":["gram","direct"]}`,
		},
		{
			Metrics{TrainLoss: 1, TestLoss: math.NaN(), TestExcess: math.Inf(1), TrainAccuracy: &accuracy, TestAccuracy: &accuracy},
			`{"epoch":0,"step":0,"lr":0,"train_loss":1,"test_loss":null,"train_excess":0,"test_excess":null,"train_accuracy":0.25,"test_accuracy":0.25,"seconds":0,"eval_seconds":0}`,
		},
	} {
		b, err := json.Marshal(c.m)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(b))
		var back Metrics
		require.NoError(t, json.Unmarshal(b, &back))
		again, err := json.Marshal(back)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(again))
	}
	assert.Error(t, json.Unmarshal([]byte(`{"epoch":"x"}`), new(Metrics)))
	var m Metrics
	require.NoError(t, json.Unmarshal([]byte(`{"train_loss":null}`), &m))
	assert.True(t, math.IsNaN(m.TrainLoss))
}
