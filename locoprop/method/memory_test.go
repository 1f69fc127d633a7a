package method_test

import (
	"runtime"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/method/adafactor"
	"github.com/locoprop/locoprop-go/locoprop/method/backprop"
	"github.com/locoprop/locoprop-go/locoprop/method/foof"
	"github.com/locoprop/locoprop-go/locoprop/method/kbfgs"
	"github.com/locoprop/locoprop-go/locoprop/method/kfac"
	"github.com/locoprop/locoprop-go/locoprop/method/muon"
	"github.com/locoprop/locoprop-go/locoprop/method/proxprop"
	"github.com/locoprop/locoprop-go/locoprop/method/shampoo"
	"github.com/locoprop/locoprop-go/locoprop/method/sm3"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mostMemory is how many times the largest of weights, activations and the workers'
// scratch a method may keep above weights, state, activations and the batch.
const mostMemory = 4

// What a method keeps beside what it needs is bounded; see docs/decisions/003.
func TestMemory(t *testing.T) {
	must := func(m plan.Method, err error) plan.Method {
		require.NoError(t, err)
		return m
	}
	sgd := optimizer.New(optimizer.SGD)
	const batch, workers = 128, 2
	for name, m := range map[string]plan.Method{
		"backprop":  must(backprop.New(backprop.Options{Eta: 1e-3, Optimizer: optimizer.New(optimizer.AdaGrad)})),
		"direct":    must(locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Form: locoprop.FormDirect})),
		"gram":      must(locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Loss: locoprop.Squared, Form: locoprop.FormGram})),
		"kernel":    must(locoprop.New(locoprop.Options{Eta: 1e-5, Steps: 3, Form: locoprop.FormKernel})),
		"metric":    must(locoprop.New(locoprop.Options{Eta: 0.01, Steps: 3, Form: locoprop.FormMetric, Optimizer: sgd})),
		"kfac":      must(kfac.New(kfac.Options{Eta: 1e-3, Damping: 1})),
		"kbfgs":     must(kbfgs.New(kbfgs.Options{Eta: 1e-3})),
		"shampoo":   must(shampoo.New(shampoo.Options{Eta: 1e-3})),
		"foof":      must(foof.New(foof.Options{Eta: 1e-3, Damping: 1, Optimizer: sgd})),
		"proxprop":  must(proxprop.New(proxprop.Options{Eta: 1e-3})),
		"muon":      must(muon.New(muon.Options{Eta: 1e-3})),
		"sm3":       must(sm3.New(sm3.Options{Eta: 1e-3})),
		"adafactor": must(adafactor.New(adafactor.Options{Eta: 1e-3})),
	} {
		before := heap()
		n, err := nn.New(nn.Arch{Widths: []int{200, 300, 200}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
		require.NoError(t, err)
		n.Init(nn.Glorot, 1)
		x := values(batch, 200)
		s, err := m.Plan(n, loss.SigmoidCE, batch, gonum.New())
		require.NoError(t, err, name)
		pool := plan.NewPool(workers)
		for range 2 {
			_, err := s.Step(pool, x, x, 1e-3)
			require.NoError(t, err, name)
		}
		total := heap() - before
		weights, activations, state := 0.0, 0.0, 0.0
		for ℓ, w := range n.Weights() {
			weights += float64(4 * w.Rows * w.Cols)
			activations += 4 * batch * float64(w.Cols+2*w.Rows)
			state += s.Explain()[ℓ].StateBytes
		}
		needed := 4*batch*200 + weights + activations + state
		assert.LessOrEqual(t, total-needed, mostMemory*max(weights, activations, float64(pool.ScratchBytes())), name)
		pool.Close()
		runtime.KeepAlive(s)
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
