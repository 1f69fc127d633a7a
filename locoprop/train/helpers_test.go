package train

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/require"
)

// Sizes that don't divide one another: 300 examples are 4 batches of 70 and a rest of
// 20, and chunks of 128, 128 and 44; units 7 are blocks of 4 and 3.
const (
	testTrain, testTest = 300, 151
	testBatch           = 70
	testBatches         = 4
	testBlock           = 4
	testClasses         = 3
)

// testData makes images of 3 × 3 with a label that depends on them.
func testData(t *testing.T) *dataset.Data {
	t.Helper()
	return dataOf(t, testTrain, testTest)
}

// dataOf is testData with other numbers of examples.
func dataOf(t *testing.T, train, test int) *dataset.Data {
	t.Helper()
	state := uint32(1)
	split := func(n int) dataset.Split {
		pix, labels := make([]byte, 9*n), make([]int32, n)
		for i := range pix {
			state = state*1664525 + 1013904223
			pix[i] = byte(state >> 24)
		}
		for i := range labels {
			labels[i] = int32(pix[9*i]) * testClasses / 256
		}
		s, err := dataset.NewBytes(pix, []int{3, 3}, 255, labels)
		require.NoError(t, err)
		return s
	}
	return &dataset.Data{Name: "test", Train: split(train), Test: split(test), Classes: testClasses, Height: 3, Width: 3, Scale: 255}
}

func testNetwork(t *testing.T, last transfer.Func, outputs int) *nn.Network {
	t.Helper()
	n, err := nn.New(nn.Arch{
		Widths:   []int{9, 7, 3, outputs},
		Transfer: []transfer.Func{transfer.Tanh, transfer.Identity, last},
	})
	require.NoError(t, err)
	n.Init(nn.Glorot, 5)
	return n
}

func locopropMethod(t *testing.T, l locoprop.LocalLoss, eta float64, k optimizer.Kind) plan.Method {
	t.Helper()
	m, err := locoprop.New(locoprop.Options{Loss: l, Eta: eta, Gamma: 5, Steps: 3, Optimizer: optimizer.New(k), Block: testBlock})
	require.NoError(t, err)
	return m
}

func backpropMethod(t *testing.T, eta float64, k optimizer.Kind) plan.Method {
	t.Helper()
	m, err := backprop.New(backprop.Options{Eta: eta, Optimizer: optimizer.New(k), Block: testBlock})
	require.NoError(t, err)
	return m
}

// autoencoder is a run of 2 epochs.
func autoencoder(t *testing.T) Config {
	t.Helper()
	return Config{
		Network: testNetwork(t, transfer.Sigmoid, 9), Loss: loss.SigmoidCE,
		Method: locopropMethod(t, locoprop.Matching, 1e-4, optimizer.RMSPropTF1),
		Data:   testData(t), Batch: testBatch, Epochs: 2, Seed: 7, Workers: 2,
		Schedule: schedule.Schedule{Kind: schedule.Linear, Epochs: 4, Warmup: 3},
	}
}

func classifier(t *testing.T) Config {
	t.Helper()
	c := autoencoder(t)
	c.Network, c.Loss, c.Target = testNetwork(t, transfer.Softmax, testClasses), loss.SoftmaxCE, TargetLabel
	return c
}

func newTrainer(t *testing.T, c Config) *Trainer {
	t.Helper()
	trainer, err := New(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(trainer.Close)
	return trainer
}

func run(t *testing.T, c Config) (*Trainer, Result) {
	t.Helper()
	trainer := newTrainer(t, c)
	r, err := trainer.Run(context.Background())
	require.NoError(t, err)
	return trainer, r
}

// runIn runs a configuration in a folder, made new where it isn't there.
func runIn(t *testing.T, dir string, c Config) (Result, error) {
	t.Helper()
	return runWith(context.Background(), t, dir, c)
}

func runWith(ctx context.Context, t *testing.T, dir string, c Config) (Result, error) {
	t.Helper()
	open := Create
	if HoldsRun(dir) {
		open = Open
	}
	f, err := open(dir)
	require.NoError(t, err)
	defer f.Close()
	f.fs = lazy{f.fs}
	trainer := newTrainer(t, c)
	if err := f.Attach(trainer); err != nil {
		return Result{}, err
	}
	return trainer.Run(ctx)
}

// lazy leaves out what only a power failure would miss, and which takes most of the time.
type lazy struct{ atomicfile.FS }

func (l lazy) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	f, err := l.FS.OpenFile(name, flag, perm)
	return lazyFile{f}, err
}

func (lazy) SyncDir(string) error { return nil }

type lazyFile struct{ atomicfile.File }

func (lazyFile) Sync() error { return nil }

// modelBytes is the model as a file.
func modelBytes(t *testing.T, trainer *Trainer) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, model.Encode(&b, trainer.Model()))
	return b.Bytes()
}

// state copies a trainer's state.
func state(trainer *Trainer) []plan.Tensor {
	var copied []plan.Tensor
	for _, s := range trainer.stepper.State() {
		s.F32 = append([]float32(nil), s.F32...)
		s.F64 = append([]float64(nil), s.F64...)
		s.I64 = append([]int64(nil), s.I64...)
		copied = append(copied, s)
	}
	return copied
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return b
}
