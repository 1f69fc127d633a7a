package backendtest

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
)

// eps64 is the unit round-off of float64. The factorisations may be off by
// 4·n·eps64 of the magnitudes that they multiply (Higham, Accuracy and Stability of
// Numerical Algorithms, theorems 10.3 and 10.4, n + 1 rounded up).
const eps64 = 1.0 / (1 << 53)

func denseSizes() []int {
	if testing.Short() || raceDetector {
		return []int{1, 2, 5, 33, 65}
	}
	return []int{1, 2, 3, 5, 16, 33, 63, 64, 65, 129, 200}
}

// spd is a random symmetric positive definite n × n matrix, its strict upper triangle
// NaN where no kernel may look.
func spd(n int, seed uint64) []float64 {
	full := spdFull(n, seed)
	for i := range n {
		for j := i + 1; j < n; j++ {
			full.Set(i, j, math.NaN())
		}
	}
	return full.Data
}

func spdFull(n int, seed uint64) oracle.Mat {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	m := oracle.New(n, n).Map(func(float64) float64 { return rng.NormFloat64() })
	a := oracle.Mul(m, m.T())
	for i := range n {
		a.Set(i, i, a.At(i, i)+0.1)
	}
	return a
}

func testDense(t testing.TB, k backend.Kernels) {
	for _, n := range denseSizes() {
		l := testCholesky(t, k, n)
		for _, cols := range []int{1, 3, 70} {
			testSolve(t, k, n, cols, l)
		}
		testInvert(t, k, n, l)
		testSymEig(t, k, n)
	}
	testNotPositive(t, k)
	testGemm64(t, k)
}

func testCholesky(t testing.TB, k backend.Kernels, n int) oracle.Mat {
	t.Helper()
	a := oracle.Mat{Rows: n, Cols: n, Data: spd(n, 2)}
	if err := k.Cholesky(a.Data, n); err != nil {
		t.Fatalf("Cholesky, n = %d: %v", n, err)
	}
	again := spd(n, 2)
	must(k.Cholesky(again, n))
	l := oracle.New(n, n)
	for i := range n {
		for j := 0; j <= i; j++ {
			if a.At(i, j) != again[i*n+j] {
				t.Fatalf("Cholesky, n = %d: a second run gives other bits at (%d, %d)", n, i, j)
			}
			l.Set(i, j, a.At(i, j))
		}
	}
	within(t, "Cholesky: L Lᵀ", n, oracle.Mul(l, l.T()), spdFull(n, 2), oracle.Mul(absolute(l), absolute(l.T())))
	return l
}

func testSolve(t testing.TB, k backend.Kernels, n, cols int, l oracle.Mat) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, uint64(n)))
	b := oracle.New(n, cols).Map(func(float64) float64 { return rng.NormFloat64() })
	x := b.Clone()
	factor := l.Clone()
	for i := range n {
		for j := i + 1; j < n; j++ {
			factor.Set(i, j, math.NaN()) // unspecified after Cholesky
		}
	}
	k.Solve(factor.Data, n, x.Data, cols)
	size := oracle.Mul(absolute(l), oracle.Mul(absolute(l.T()), absolute(x)))
	within(t, "Solve: L Lᵀ X", n, oracle.Mul(l, oracle.Mul(l.T(), x)), b, size)
}

// testInvert checks that A·Invert(L) = I, and the symmetry to the bit.
func testInvert(t testing.TB, k backend.Kernels, n int, l oracle.Mat) {
	t.Helper()
	p := l.Clone()
	for i := range n {
		for j := i + 1; j < n; j++ {
			p.Set(i, j, math.NaN()) // unspecified after Cholesky
		}
	}
	k.Invert(p.Data, n)
	identity := oracle.New(n, n)
	for i := range n {
		identity.Set(i, i, 1)
		for j := range i {
			if p.At(i, j) != p.At(j, i) {
				t.Fatalf("Invert, n = %d: (%d, %d) is %v and its mirror image %v", n, i, j, p.At(i, j), p.At(j, i))
			}
		}
	}
	// Off by the rounding of L⁻¹ and of L⁻ᵀL⁻¹: |A P − I| ≤ c·n·eps64·|L||Lᵀ||L⁻ᵀ||L⁻¹| (Higham, 14.3).
	inverse := oracle.New(n, n) // L⁻¹, by forward substitution
	for j := range n {
		for i := j; i < n; i++ {
			sum := identity.At(i, j)
			for q := j; q < i; q++ {
				sum -= l.At(i, q) * inverse.At(q, j)
			}
			inverse.Set(i, j, sum/l.At(i, i))
		}
	}
	size := oracle.Mul(oracle.Mul(absolute(l), absolute(l.T())), oracle.Mul(absolute(inverse.T()), absolute(inverse)))
	within(t, "Invert: A A⁻¹", n, oracle.Mul(oracle.Mul(l, l.T()), p), identity, size)
}

// testGemm64 checks products of views whose rows don't touch, with every pair of
// transpositions and β of 0 (C isn't read), 1 and another.
func testGemm64(t testing.TB, k backend.Kernels) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 5))
	mat := func(rows, cols int) (backend.Mat64, oracle.Mat) {
		const gap = 2
		v := backend.Mat64{Rows: rows, Cols: cols, Stride: cols + gap, Data: make([]float64, rows*(cols+gap))}
		plain := oracle.New(rows, cols)
		for i := range v.Data {
			v.Data[i] = math.NaN() // the gaps
		}
		for i := range rows {
			for j := range cols {
				plain.Set(i, j, rng.NormFloat64())
				v.Data[i*v.Stride+j] = plain.At(i, j)
			}
		}
		return v, plain
	}
	for _, s := range [][3]int{{1, 1, 1}, {3, 5, 7}, {65, 33, 130}, {70, 200, 1}, {2, 3, 0}} {
		m, n, inner := s[0], s[1], s[2]
		for variant := range 12 {
			transA, transB, beta := variant&1 != 0, variant&2 != 0, []float64{0, 1, -0.5}[variant/4]
			rows, cols := m, inner
			if transA {
				rows, cols = cols, rows
			}
			a, pa := mat(rows, cols)
			rows, cols = inner, n
			if transB {
				rows, cols = cols, rows
			}
			b, pb := mat(rows, cols)
			c, pc := mat(m, n)
			if transA {
				pa = pa.T()
			}
			if transB {
				pb = pb.T()
			}
			if beta == 0 {
				for i := range m {
					for j := range n {
						c.Data[i*c.Stride+j] = math.NaN()
					}
				}
			}
			k.Gemm64(transA, transB, 0.75, a, b, beta, c)
			want := oracle.Plus(pc.Map(func(v float64) float64 { return beta * v }), 0.75, oracle.Mul(pa, pb))
			got := oracle.New(m, n)
			for i := range m {
				copy(got.Data[i*n:(i+1)*n], c.Data[i*c.Stride:i*c.Stride+n])
				for _, v := range c.Data[i*c.Stride+n : (i+1)*c.Stride] {
					if v == v {
						t.Fatalf("Gemm64 %v: a gap between rows was overwritten", s)
					}
				}
			}
			size := oracle.Plus(absolute(pc), 1, oracle.Mul(absolute(pa), absolute(pb)))
			within(t, "Gemm64", inner, got, want, size)
		}
	}
}

// within fails where got is off want by more than 4·n·eps64·size.
func within(t testing.TB, what string, n int, got, want, size oracle.Mat) {
	t.Helper()
	for i, v := range got.Data {
		if bound := 4 * float64(n+1) * eps64 * size.Data[i]; !(math.Abs(v-want.Data[i]) <= bound) {
			t.Fatalf("%s, n = %d, element (%d, %d): got %.17g, want %.17g ± %.2g", what, n, i/got.Cols, i%got.Cols, v, want.Data[i], bound)
		}
	}
}

// testSymEig checks A V = V diag(w), VᵀV = I and the order of w.
func testSymEig(t testing.TB, k backend.Kernels, n int) {
	t.Helper()
	a := spdFull(n, 4)
	for i := range n {
		a.Set(i, i, a.At(i, i)-float64(n)) // eigenvalues of both signs
	}
	v := a.Clone()
	for i := range n {
		for j := i + 1; j < n; j++ {
			v.Set(i, j, math.NaN())
		}
	}
	w, work := make([]float64, n), make([]float64, k.SymEigWork(n))
	if err := k.SymEig(v.Data, n, w, work); err != nil {
		t.Fatalf("SymEig, n = %d: %v", n, err)
	}
	vw := v.Clone()
	var norm float64
	identity := oracle.New(n, n)
	for j, x := range w {
		if j > 0 && !(x >= w[j-1]) {
			t.Fatalf("SymEig, n = %d: eigenvalues aren't ascending: %v then %v", n, w[j-1], x)
		}
		norm = math.Max(norm, math.Abs(x))
		identity.Set(j, j, 1)
		for i := range n {
			vw.Set(i, j, v.At(i, j)*x)
		}
	}
	// Backward stable up to a modest multiple of n·eps64·‖A‖ (LAPACK Users' Guide, 4.7).
	size := identity.Map(func(float64) float64 { return norm })
	within(t, "SymEig: V diag(w) Vᵀ", n, oracle.Mul(vw, v.T()), a, size)
	within(t, "SymEig: VᵀV", n, oracle.Mul(v.T(), v), identity, identity.Map(func(float64) float64 { return 1 }))
}

// testNotPositive breaks positive definiteness at one pivot and expects its number.
func testNotPositive(t testing.TB, k backend.Kernels) {
	const n = 100
	for _, pivot := range []int{0, 1, 40, 64, 70, 99} {
		for _, bad := range []float64{-1, 0, math.NaN()} {
			a := make([]float64, n*n)
			for i := range n {
				a[i*n+i] = 1
			}
			a[pivot*n+pivot] = bad
			var e *backend.NotPositiveDefinite
			if err := k.Cholesky(a, n); !errors.As(err, &e) || e.Minor != pivot+1 {
				t.Errorf("Cholesky with pivot %d = %v: error %v, want NotPositiveDefinite of minor %d", pivot, bad, err, pivot+1)
			}
		}
	}
}
