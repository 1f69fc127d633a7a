package gonum_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/backendtest"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/stretchr/testify/assert"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	blasgonum "gonum.org/v1/gonum/blas/gonum"
	"gonum.org/v1/gonum/lapack"
	lapackgonum "gonum.org/v1/gonum/lapack/gonum"
)

func TestConformance(t *testing.T) { backendtest.Run(t, gonum.New()) }

// TestNewWith: another BLAS does the products.
func TestNewWith(t *testing.T) {
	plain := gonum.NewWith(blasgonum.Implementation{}, backend.Info{Name: "plain", Detail: "gonum's BLAS"})
	x, w, want, got := random(70, 150), random(200, 150), backend.NewMat(70, 200), backend.NewMat(70, 200)
	gonum.New().Affine(want, x, w)
	plain.Affine(got, x, w)
	assert.InDeltaSlice(t, want.Data, got.Data, 1e-5)
	assert.Equal(t, "plain", plain.Info().Name)
}

func random(rows, cols int) backend.Mat {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	m := backend.NewMat(rows, cols)
	for i := range m.Data {
		m.Data[i] = rng.Float32() - 0.5
	}
	return m
}

// TestProductsInOrder: an element of a product is the sum over k = 0, 1, … in this order,
// whatever the size of the matrices round it. So this backend gives the same bits for
// every block of units.
func TestProductsInOrder(t *testing.T) {
	k := gonum.New()
	x, w := random(70, 150), random(200, 150)
	a := backend.NewMat(70, 200)
	k.Affine(a, x, w)
	for _, at := range [][2]int{{0, 0}, {3, 64}, {63, 191}, {64, 192}, {69, 199}} {
		i, j := at[0], at[1]
		one := backend.NewMat(1, 1)
		k.Affine(one, backend.Rows(x, i, i+1), backend.Rows(w, j, j+1))
		assert.Equal(t, one.Data[0], a.Data[i*a.Stride+j], "element (%d, %d)", i, j)

		var sum float32
		for l := range x.Cols {
			sum += float32(x.Data[i*x.Stride+l] * w.Data[j*w.Stride+l])
		}
		if runtime.GOARCH == "amd64" { // elsewhere gonum's Go loops may fuse
			assert.Equal(t, sum, a.Data[i*a.Stride+j], "element (%d, %d) against a loop", i, j)
		}
	}
}

// TestNaNBlock: a NaN or infinity in one piece of B sends that piece alone down the plain
// loop, which must agree with gonum's to the bit everywhere else.
func TestNaNBlock(t *testing.T) {
	k := gonum.New()
	d, w := random(70, 130), random(130, 200)
	want, got := backend.NewMat(70, 200), backend.NewMat(70, 200)
	k.Backprop(want, d, w)
	w.Data[100*w.Stride+7] = float32(math.Inf(1))
	k.Backprop(got, d, w)
	for i := range got.Rows {
		for j := range got.Cols {
			g, v := got.Data[i*got.Stride+j], want.Data[i*want.Stride+j]
			if j == 7 {
				assert.True(t, math.IsInf(float64(g), 0), "(%d, %d) is %v", i, j, g)
			} else if runtime.GOARCH == "amd64" {
				assert.Equal(t, v, g, "(%d, %d)", i, j)
			}
		}
	}
}

// TestHostKeepsItsBLAS: the implementations that a host program chose for blas32 and
// blas64 stay in place.
func TestHostKeepsItsBLAS(t *testing.T) {
	type hosts struct{ blasgonum.Implementation }
	blas32.Use(hosts{})                          //nolint:forbidigo // the test is the host program
	blas64.Use(hosts{})                          //nolint:forbidigo // the test is the host program
	defer blas32.Use(blasgonum.Implementation{}) //nolint:forbidigo // the test is the host program
	defer blas64.Use(blasgonum.Implementation{}) //nolint:forbidigo // the test is the host program
	k := gonum.New()
	k.Affine(backend.NewMat(2, 2), random(2, 3), random(2, 3))
	assert.NoError(t, k.SymEig([]float64{2, 0, 1, 2}, 2, make([]float64, 2), make([]float64, k.SymEigWork(2))))
	assert.IsType(t, hosts{}, blas32.Implementation())
	assert.IsType(t, hosts{}, blas64.Implementation())
}

func TestInfo(t *testing.T) {
	i := gonum.New().Info()
	assert.Equal(t, "gonum", i.Name)
	assert.Zero(t, i.MaxWorkers)
}

func BenchmarkKernels(b *testing.B) { backendtest.Bench(b, gonum.New()) }

// BenchmarkSgemm sets the products of this backend beside gonum's own Sgemm on the same
// shapes. Compare at GOMAXPROCS=1: gonum's uses every core, this one the caller's.
func BenchmarkSgemm(b *testing.B) {
	k := gonum.New()
	for _, s := range [][3]int{{1000, 128, 1001}, {1000, 128, 501}, {100, 128, 785}, {512, 512, 512}} {
		m, n, inner := s[0], s[1], s[2]
		x, w, r := random(m, inner), random(n, inner), random(m, n)
		a, g := backend.NewMat(m, n), backend.NewMat(n, inner)
		flops := 2 * float64(m) * float64(n) * float64(inner)
		var impl blasgonum.Implementation
		for name, f := range map[string]func(){
			"Affine/ours": func() { k.Affine(a, x, w) },
			"Affine/gonum": func() {
				impl.Sgemm(blas.NoTrans, blas.Trans, m, n, inner, 1, x.Data, inner, w.Data, inner, 0, a.Data, n)
			},
			"Grad/ours": func() { k.Grad(g, r, x) },
			"Grad/gonum": func() {
				impl.Sgemm(blas.Trans, blas.NoTrans, n, inner, m, 1, r.Data, n, x.Data, inner, 0, g.Data, inner)
			},
		} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d", name, m, n, inner), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(flops/(b.Elapsed().Seconds()/float64(b.N))/1e9, "GF/s")
			})
		}
	}
}

// BenchmarkDense sets the factorisations beside gonum's LAPACK.
func BenchmarkDense(b *testing.B) {
	k := gonum.New()
	var lp lapackgonum.Implementation
	for _, n := range []int{200, 501, 1001} {
		a, l, w := make([]float64, n*n), make([]float64, n*n), make([]float64, n)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range n {
			for j := range i {
				a[i*n+j] = rng.Float64() / float64(n)
				a[j*n+i] = a[i*n+j]
			}
			a[i*n+i] = 2
		}
		work, blocked := make([]float64, k.SymEigWork(n)), make([]float64, 66*n)
		for name, f := range map[string]func(){
			"Cholesky/ours":  func() { _ = k.Cholesky(l, n) },
			"Cholesky/gonum": func() { lp.Dpotrf(blas.Lower, n, l, n) },
			"SymEig/ours":    func() { _ = k.SymEig(l, n, w, work) },
			"SymEig/gonum":   func() { lp.Dsyev(lapack.EVCompute, blas.Lower, n, l, n, w, blocked, len(blocked)) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					copy(l, a)
					f()
				}
			})
		}
	}
}
