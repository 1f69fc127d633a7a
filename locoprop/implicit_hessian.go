package locoprop

import "math"

// directPrimal sets p = −H⁻¹q with H = X̃ᵀ diag(f′) X̃ + ρI. The second moment is a
// float32 product, which is fast and leaves p a direction of descent: q, which decides
// where the iteration ends, is float64.
func (n *newton) directPrimal(rho float64) {
	order := len(n.p)
	for i, f := range n.slope {
		root, row := math.Sqrt(f), n.scaled.Data[i*n.scaled.Stride:]
		for j, x := range n.example(i) {
			row[j] = float32(float64(root * float64(x)))
		}
	}
	n.kernels.Syrk(true, 1, n.scaled, 0, n.second)
	var trace float64
	for j := range order {
		trace += float64(n.second.Data[j*n.second.Stride+j])
	}
	damped := rho
	for range newtonLadder {
		n.setHessian(damped)
		if n.kernels.Cholesky(n.hessian, order) == nil {
			negate(n.p, n.q)
			n.kernels.Solve(n.hessian, order, n.p, 1)
			if finite(n.p) {
				n.factored = choleskyCondition(n.hessian, order)
				return
			}
		}
		damped = math.Max(10*damped, 1e-6*trace/float64(order))
	}
	scale := 1 / (rho + trace) // a gradient step: the trace bounds the curvature
	for j, q := range n.q {
		n.p[j] = -float64(scale * q)
	}
}

// setHessian fills the lower triangle with the second moment + ρI.
func (n *newton) setHessian(rho float64) {
	order := len(n.p)
	for j := range order {
		row := n.hessian[j*order : j*order+j+1]
		for k, v := range n.second.Data[j*n.second.Stride : j*n.second.Stride+j+1] {
			row[k] = float64(v)
		}
		row[j] += rho
	}
}

// directDual sets p = (−q + S(ρI + SKS)⁻¹SKq)/ρ. The matrix has no eigenvalue below ρ.
func (n *newton) directDual(rho float64) {
	order := len(n.p)
	for i, f := range n.slope {
		root := math.Sqrt(f)
		n.p[i] = float64(root * n.image[i])
		row := n.hessian[i*order : i*order+i+1]
		for j, k := range n.gram[i*order : i*order+i+1] {
			row[j] = float64(root*math.Sqrt(n.slope[j])) * k
		}
		row[i] += rho
	}
	solved := n.kernels.Cholesky(n.hessian, order) == nil
	if solved {
		n.factored = choleskyCondition(n.hessian, order)
		n.kernels.Solve(n.hessian, order, n.p, 1)
		for i, f := range n.slope {
			n.p[i] = (float64(math.Sqrt(f)*n.p[i]) - n.q[i]) / rho
		}
		solved = finite(n.p)
	}
	if !solved { // a gradient step, which a search along it may shorten
		for i, q := range n.q {
			n.p[i] = -q / rho
		}
	}
}

// multiply sets y = Kx.
func (n *newton) multiply(y, x []float64) {
	for i := range y {
		y[i] = dotWide(n.gram[i*len(x):(i+1)*len(x)], x)
	}
}

func negate(dst, src []float64) {
	for i, v := range src {
		dst[i] = -v
	}
}

// axpyWide is y ← y + αx.
func axpyWide(y []float64, alpha float64, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += float64(alpha * float64(v))
	}
}

// dotWide is Σ xᵢyᵢ.
func dotWide(x, y []float64) (sum float64) {
	y = y[:len(x)]
	for i, v := range x {
		sum += float64(v * y[i])
	}
	return sum
}

// dotMixed is Σ xᵢyᵢ.
func dotMixed(x []float64, y []float32) (sum float64) {
	y = y[:len(x)]
	for i, v := range x {
		sum += float64(v * float64(y[i]))
	}
	return sum
}
