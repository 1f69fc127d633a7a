package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// chunk is the number of examples that a task of a check takes. The digest of data, by
// which a checkpoint knows them, depends on it, so it must stay.
const chunk = 128

// Examples are rows of values without targets: what [Predict] takes. Every
// dataset.Split is one.
type Examples interface {
	// Len is the number of examples.
	Len() int
	// Dim is the number of values of an example.
	Dim() int
	// Rows writes example index[i] into row i of dst, len(index) × Dim.
	Rows(dst backend.Mat, index []int) error
}

// Matrix returns the rows of m as examples; m isn't copied.
func Matrix(m backend.Mat) Examples { return matrix{m} }

type matrix struct{ m backend.Mat }

func (x matrix) Len() int { return x.m.Rows }

func (x matrix) Dim() int { return x.m.Cols }

func (x matrix) Rows(dst backend.Mat, index []int) error {
	for r, i := range index {
		copy(row(dst, r), row(x.m, i))
	}
	return nil
}

func row(m backend.Mat, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// source is a split with the targets of its examples.
type source struct {
	name    string // training, test, input: for errors
	from    Examples
	n       int
	labels  []int32 // nil: the target is the example itself
	outputs int     // values of a target
	index   []int   // 0, 1, …: examples in their own order
}

// newSource makes a source of a split, nil for one without examples.
func newSource(name string, split dataset.Split, target Target, outputs int) (*source, error) {
	s := &source{name: name, outputs: outputs}
	if split == nil || split.Len() == 0 {
		return s, nil
	}
	s.from, s.n = split, split.Len()
	s.index = consecutive(s.n)
	switch {
	case target == TargetInput && split.Dim() != outputs:
		return nil, &ConfigError{fmt.Errorf("target is the input, %d values, but the network gives %d", split.Dim(), outputs)}
	case target == TargetInput:
		return s, nil
	case split.Labels() == nil:
		return nil, &ConfigError{fmt.Errorf("target is the label, but the %s examples have no labels", name)}
	}
	s.labels = split.Labels()
	for i, l := range s.labels {
		if l < 0 || int(l) >= outputs {
			return nil, &DataError{name, i, fmt.Errorf("label is %d; the network has outputs for 0 to %d", l, outputs-1)}
		}
	}
	return s, nil
}

func consecutive(n int) []int {
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	return index
}

// fill writes examples into x and their targets into t. Where the target is the input
// t isn't touched: the target is x. It doesn't allocate.
func (s *source) fill(x, t backend.Mat, index []int) error {
	if err := s.from.Rows(x, index); err != nil {
		return err
	}
	if s.labels == nil {
		return nil
	}
	for r, i := range index {
		target := row(t, r)
		clear(target)
		target[s.labels[i]] = 1
	}
	return nil
}

// each calls visit for every example from lo to hi, in order, with its values and its
// target. scratch has scratchLen elements.
func (s *source) each(lo, hi int, scratch []float32, visit func(i int, x, t []float32) error) error {
	dim := s.from.Dim()
	for ; lo < hi; lo += chunk {
		n := min(chunk, hi-lo)
		x := backend.Mat{Rows: n, Cols: dim, Stride: dim, Data: scratch[:n*dim]}
		t := x
		if s.labels != nil {
			t = backend.Mat{Rows: n, Cols: s.outputs, Stride: s.outputs, Data: scratch[n*dim : n*(dim+s.outputs)]}
		}
		if err := s.fill(x, t, s.index[lo:lo+n]); err != nil {
			return err
		}
		for r := range n {
			if err := visit(lo+r, row(x, r), row(t, r)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *source) scratchLen() int {
	if s.labels == nil {
		return chunk * s.from.Dim()
	}
	return chunk * (s.from.Dim() + s.outputs)
}

// cost is that of looking at an example and its target; see plan.Task.
func (s *source) cost() float64 { return plan.ElementCost * float64(s.from.Dim()+s.outputs) }

// tasks cuts the examples into tasks of size examples, the last of which may be short.
func (s *source) tasks(size int, costPerExample float64) []plan.Task {
	var tasks []plan.Task
	for lo := 0; lo < s.n; lo += size {
		hi := min(lo+size, s.n)
		tasks = append(tasks, plan.Task{Layer: -1, Lo: lo, Hi: hi, Cost: costPerExample * float64(hi-lo), ID: lo / size})
	}
	return tasks
}

// inspect looks at every example once: it refuses values that aren't finite and targets
// that the loss doesn't take, and returns the mean of the loss's floor (NaN without
// examples) and a digest of all values and labels. Where ctx ends, no further chunk is
// looked at.
func (s *source) inspect(ctx context.Context, p *plan.Pool, l loss.Loss) (floor float64, digest uint64, err error) {
	if s.n == 0 {
		return math.NaN(), fnvOffset, nil
	}
	tasks := s.tasks(chunk, s.cost())
	floors, digests := make([]float64, len(tasks)), make([]uint64, len(tasks))
	phase := plan.NewPhase("inspection of "+s.name+" examples", tasks, s.scratchLen(), func(t *plan.Task, scratch []float32) error {
		if err := interruption(ctx); err != nil {
			return err
		}
		sum, hash := 0.0, uint64(fnvOffset)
		err := s.each(t.Lo, t.Hi, scratch, func(i int, x, t []float32) error {
			var finite bool
			if hash, finite = mix(hash, x); !finite {
				return &DataError{s.name, i, errNotFinite}
			}
			if s.labels != nil {
				hash = (hash ^ uint64(s.labels[i])) * fnvPrime
			}
			if err := l.CheckTarget(t); err != nil {
				return &DataError{s.name, i, err}
			}
			sum += l.Floor(t)
			return nil
		})
		floors[t.ID], digests[t.ID] = sum, hash
		return err
	})
	if err := p.Run(phase); err != nil {
		return 0, 0, err
	}
	sum, digest := 0.0, uint64(fnvOffset)
	for i := range floors {
		sum += floors[i]
		digest = (digest ^ digests[i]) * fnvPrime
	}
	return sum / float64(s.n), digest, nil
}

var errNotFinite = errors.New("a value is NaN or infinite")

// The constants of FNV-1a with 64 bits, here over 32-bit words.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// mix takes the bits of values into a hash and tells whether all are finite.
func mix(hash uint64, values []float32) (mixed uint64, finite bool) {
	const exponent = 0x7f800000
	finite = true
	for _, v := range values {
		bits := math.Float32bits(v)
		finite = finite && bits&exponent != exponent
		hash = (hash ^ uint64(bits)) * fnvPrime
	}
	return hash, finite
}
