package precond_test

import (
	"math"
	"math/rand/v2"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/precond"
)

var ops precond.Ops = gonum.New()

const (
	cols  = 7 // n + 1
	units = 3
	gamma = 0.8
)

// inputs is a batch X̃ = [X 1] whose columns differ in scale and are correlated.
func inputs(seed uint64, batch int) oracle.Mat {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := oracle.New(batch, cols)
	for i := range batch {
		common := rng.NormFloat64()
		for j := range cols - 1 {
			x.Set(i, j, 0.3*float64(j+1)*(rng.NormFloat64()+common))
		}
		x.Set(i, cols-1, 1)
	}
	return oracle.From32(x.To32())
}

func gradient(seed uint64) oracle.Mat {
	rng := rand.New(rand.NewPCG(seed, 2))
	return oracle.From32(oracle.New(units, cols).Map(func(float64) float64 { return rng.NormFloat64() }).To32())
}

// solve is A⁻¹B by elimination with pivoting.
func solve(a, b oracle.Mat) oracle.Mat {
	a, b = a.Clone(), b.Clone()
	n := a.Rows
	for i := range n {
		p := i
		for r := i; r < n; r++ {
			if math.Abs(a.At(r, i)) > math.Abs(a.At(p, i)) {
				p = r
			}
		}
		for j := range n {
			v := a.At(i, j)
			a.Set(i, j, a.At(p, j))
			a.Set(p, j, v)
		}
		for j := range b.Cols {
			v := b.At(i, j)
			b.Set(i, j, b.At(p, j))
			b.Set(p, j, v)
		}
		for r := range n {
			if r == i {
				continue
			}
			f := a.At(r, i) / a.At(i, i)
			for j := range n {
				a.Set(r, j, a.At(r, j)-f*a.At(i, j))
			}
			for j := range b.Cols {
				b.Set(r, j, b.At(r, j)-f*b.At(i, j))
			}
		}
	}
	for i := range n {
		for j := range b.Cols {
			b.Set(i, j, b.At(i, j)/a.At(i, i))
		}
	}
	return b
}

// reference is the statistics in float64, from the formulas: the whole C̄, with what the
// structure leaves out put to 0.
type reference struct {
	o      precond.Options
	second oracle.Mat
	damped oracle.Mat // C̄ + ρI when it was last factored
	k      int
}

func (r *reference) observe(x oracle.Mat) {
	if r.k == 0 {
		r.second = oracle.New(cols, cols)
	}
	r.k++
	beta := math.Min(r.o.Average, 1-1/float64(r.k))
	now := oracle.Mul(x.T(), x)
	for i := range cols {
		for j := range cols {
			apart := r.o.Structure == precond.Diagonal && i != j ||
				r.o.Structure == precond.BlockDiagonal && i/r.o.Block != j/r.o.Block
			if apart {
				now.Set(i, j, 0)
			}
			now.Set(i, j, beta*r.second.At(i, j)+(1-beta)*now.At(i, j)/float64(x.Rows))
		}
	}
	r.second = now
	if (r.k-1)%r.o.Refresh == 0 {
		rho := r.o.Damping
		if rho == 0 {
			for i := range cols {
				rho += r.o.Relative * now.At(i, i) / cols
			}
		}
		r.damped = plusIdentity(now, rho)
	}
}

func plusIdentity(a oracle.Mat, rho float64) oracle.Mat {
	a = a.Clone()
	for i := range a.Rows {
		a.Set(i, i, a.At(i, i)+rho)
	}
	return a
}

func scaled(a oracle.Mat, by float64) oracle.Mat {
	return a.Map(func(v float64) float64 { return by * v })
}

func (r *reference) converged(g oracle.Mat) oracle.Mat {
	return scaled(solve(r.damped, g.T()).T(), -gamma)
}

func (r *reference) steps(g oracle.Mat, rho float64, rates []float64) oracle.Mat {
	c := plusIdentity(r.second, rho)
	delta := oracle.New(g.Rows, cols)
	for _, eta := range rates {
		delta = oracle.Plus(delta, -eta, oracle.Plus(oracle.Mul(delta, c), gamma, g))
	}
	return delta
}
