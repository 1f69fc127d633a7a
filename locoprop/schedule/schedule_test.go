package schedule_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/schedule"
	"github.com/stretchr/testify/assert"
)

// TestPaper: the values of the LocoProp paper's reference experiment.
func TestPaper(t *testing.T) {
	s := schedule.Schedule{Kind: schedule.Paper, Epochs: 100}
	for epoch, want := range map[int]float64{
		0: 0, 1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 94.0 / 95, 6: 93.0 / 95, 50: 49.0 / 95, 98: 1.0 / 95, 99: 0, 100: 0, 1000: 0,
	} {
		for _, batch := range []int{0, 1, 59} {
			assert.InDelta(t, want, s.At(epoch, batch, 60), 1e-15, "epoch %d, batch %d", epoch, batch)
		}
	}
	assert.Zero(t, s.At(0, 0, 60), "the first epoch moves no weight")
	assert.Zero(t, s.At(99, 0, 60), "the last epoch has rate 0 exactly")
	short := schedule.Schedule{Kind: schedule.Paper, Epochs: 6}
	assert.Equal(t, 0.8, short.At(4, 0, 1))
	assert.Zero(t, short.At(5, 0, 1))
}

func TestConstant(t *testing.T) {
	var s schedule.Schedule
	assert.Equal(t, 1.0, s.At(0, 0, 10))
	assert.Equal(t, 1.0, s.At(1_000_000, 9, 10))
}

func TestLinear(t *testing.T) {
	s := schedule.Schedule{Kind: schedule.Linear, Epochs: 4}
	assert.Equal(t, 1.0, s.At(0, 0, 25))
	assert.Equal(t, 0.5, s.At(2, 0, 25))
	assert.InDelta(t, 0.01, s.At(3, 24, 25), 1e-15)
	assert.Zero(t, s.At(4, 0, 25))
	assert.Zero(t, s.At(9, 3, 25), "0 after the planned end, not below")
}

// TestCosine compares with ½(1 + cos πx) in 200 bits: the argument, its series and the
// square round up to ten times, and x = i/n is off by half a unit, which counts twice and
// relative to 1 − x. Next to the zero, 1 + math.Cos would lose all digits.
func TestCosine(t *testing.T) {
	s := schedule.Schedule{Kind: schedule.Cosine, Epochs: 1}
	assert.Equal(t, 1.0, s.At(0, 0, 8))
	assert.Zero(t, s.At(1, 0, 8))
	assert.Zero(t, s.At(7, 0, 8))
	const n = 1000
	for i := 1; i < n; i++ {
		got, want := s.At(0, i, n), exactCosine(i, n)
		assert.InEpsilon(t, want, got, (10+2*float64(i)/float64(n-i))*0x1p-53, "batch %d of %d", i, n)
		assert.InDelta(t, (1+math.Cos(math.Pi*float64(i)/n))/2, got, 0x1p-51, "batch %d of %d against math.Cos", i, n)
	}
	assert.InDelta(t, 0.5, s.At(0, n/2, n), 0x1p-53)
}

// exactCosine is cos²(πi/2n) by its Taylor series in big floats.
func exactCosine(i, n int) float64 {
	const bits = 200
	number := func(v float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(v) }
	pi, _, _ := big.ParseFloat("3.14159265358979323846264338327950288419716939937510582097494459", 10, bits, big.ToNearestEven)
	x := number(0).Mul(pi, number(float64(i)))
	x.Quo(x, number(float64(2*n)))
	square := number(0).Mul(x, x)
	sum, term := number(1), number(1)
	for k := 1.0; k < 60; k += 2 {
		term.Mul(term, square)
		term.Quo(term, number(-k*(k+1)))
		sum.Add(sum, term)
	}
	v, _ := number(0).Mul(sum, sum).Float64()
	return v
}

func TestWarmup(t *testing.T) {
	s := schedule.Schedule{Warmup: 100}
	assert.Equal(t, 0.01, s.At(0, 0, 60))
	assert.Equal(t, 0.6, s.At(0, 59, 60))
	assert.InDelta(t, 0.61, s.At(1, 0, 60), 1e-15, "warm-up counts batches over epochs")
	assert.Equal(t, 1.0, s.At(1, 39, 60))
	assert.Equal(t, 1.0, s.At(7, 0, 60))
	linear := schedule.Schedule{Kind: schedule.Linear, Epochs: 2, Warmup: 4}
	assert.Equal(t, 0.25, linear.At(0, 0, 8))
	assert.Equal(t, (1-1.0/16)*0.5, linear.At(0, 1, 8))
	assert.Equal(t, 0.5, linear.At(1, 0, 8))
}

// TestBounds: every factor lies in [0, 1], and decays never rise after the warm-up.
func TestBounds(t *testing.T) {
	for kind := range len(schedule.Names) {
		s := schedule.Schedule{Kind: schedule.Kind(kind), Epochs: 12}
		last := 1.0
		for e := range 15 {
			for b := range 7 {
				v := s.At(e, b, 7)
				assert.True(t, v >= 0 && v <= 1, "%v at epoch %d, batch %d: %v", s.Kind, e, b, v)
				if s.Kind != schedule.Paper {
					assert.LessOrEqual(t, v, last, "%v rises at epoch %d, batch %d", s.Kind, e, b)
					last = v
				}
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		s    schedule.Schedule
		want string // in the error; "" for none
	}{
		{schedule.Schedule{}, ""},
		{schedule.Schedule{Kind: schedule.Linear, Epochs: 1}, ""},
		{schedule.Schedule{Kind: schedule.Paper, Epochs: 6}, ""},
		{schedule.Schedule{Kind: schedule.Cosine, Epochs: 3, Warmup: 10}, ""},
		{schedule.Schedule{Kind: 9}, "unknown kind 9"},
		{schedule.Schedule{Warmup: -1}, "-1 warm-up steps"},
		{schedule.Schedule{Kind: schedule.Linear}, "at least 1 epoch, not 0"},
		{schedule.Schedule{Kind: schedule.Cosine, Epochs: -2}, "at least 1 epoch, not -2"},
		{schedule.Schedule{Kind: schedule.Paper, Epochs: 5}, "at least 6 epochs, not 5"},
		{schedule.Schedule{Kind: schedule.Paper, Epochs: 100, Warmup: 3}, "takes no warm-up steps (got 3)"},
	} {
		if err := c.s.Check(); c.want == "" {
			assert.NoError(t, err, "%+v", c.s)
		} else {
			assert.ErrorContains(t, err, c.want, "%+v", c.s)
		}
	}
}

func TestNames(t *testing.T) {
	for i, k := range []schedule.Kind{schedule.Constant, schedule.Linear, schedule.Cosine, schedule.Paper} {
		assert.Equal(t, schedule.Names[i], k.String())
	}
	assert.Equal(t, "schedule.Kind(7)", schedule.Kind(7).String())
}

// A length in steps is one in epochs of as many batches.
func TestLengthInSteps(t *testing.T) {
	for _, k := range []schedule.Kind{schedule.Constant, schedule.Linear, schedule.Cosine} {
		epochs, steps := schedule.Schedule{Kind: k, Epochs: 3, Warmup: 4}, schedule.Schedule{Kind: k, Steps: 21, Warmup: 4}
		assert.NoError(t, steps.Check())
		for i := range 30 {
			assert.Equal(t, epochs.At(i/7, i%7, 7), steps.At(i/7, i%7, 7), "%v, batch %d", k, i)
			assert.Equal(t, steps.At(0, i, 100), steps.At(i/7, i%7, 7), "whatever an epoch has")
		}
	}
	assert.EqualError(t, schedule.Schedule{Kind: schedule.Linear, Steps: -1}.Check(), "schedule: planned length of -1 steps; must be 0 or more")
	assert.EqualError(t, schedule.Schedule{Kind: schedule.Paper, Steps: 9000}.Check(),
		"schedule paper goes by epochs; it takes no planned length in steps (got 9000)")
}
