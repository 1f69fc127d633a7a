package oracle

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// start sets the slots that begin at the weights or at a function of them.
func (o *Optimizer) start(w Mat) {
	if o.Rule.Kind == optimizer.ScheduleFree {
		copy(o.Slots[1].Data, w.Data)
		copy(o.Slots[2].Data, w.Data)
	}
	o.follow(w, 0, w.Rows)
}

// follow makes the slots of rows lo to hi−1 those of weights w, in a rule whose slots are
// a function of them.
func (o *Optimizer) follow(w Mat, lo, hi int) {
	if o.Rule.Kind != optimizer.EGUGD {
		return
	}
	for i := lo * w.Cols; i < hi*w.Cols; i++ {
		x := w.Data[i]
		root := math.Sqrt(x*x + 4*o.Rule.Beta*o.Rule.Beta)
		o.Slots[0].Data[i] = math.Sqrt(2 * (root + x))
		o.Slots[1].Data[i] = math.Sqrt(2 * (root - x))
	}
}

// special is step for rules that replace the weight instead of adding to it.
func (o *Optimizer) special(w, g, eta float64, slot []*float64, bias bool) float64 {
	r := o.Rule
	u := math.Max(-4, math.Min(4, eta*g))
	switch r.Kind {
	case optimizer.EGU:
		return 2 * r.Beta * math.Sinh(math.Asinh(w/(2*r.Beta))-u)
	case optimizer.EGUGD:
		p, q := *slot[0], *slot[1]
		*slot[0], *slot[1] = p*(1-u/2), q*(1+u/2)
		return w + (*slot[0]**slot[0]-*slot[1]**slot[1])/4 - (p*p-q*q)/4
	}
	v, z, x := slot[0], slot[1], slot[2]
	*v = r.Beta2**v + (1-r.Beta2)*g*g
	if !bias {
		*z -= eta * r.WeightDecay * w
	}
	*z -= eta * ratio(g, math.Sqrt(*v/(1-math.Pow(r.Beta2, float64(o.K))))+r.Epsilon)
	if eta != 0 {
		c := eta * eta / o.Squares
		*x += c * (*z - *x)
	}
	// Exactly z where x is z: Adam's quotient makes full steps of the smallest gradients, those
	// that a proximal term makes of rounding too.
	return *z + r.Beta1*(*x-*z)
}

// pNorm is the step of a unit's row: through the gradient of half the squared p-norm and
// back through that of the dual norm.
func (o *Optimizer) pNorm(w, g []float64, eta float64) {
	p := o.Rule.P
	theta := halfSquaredNormGradient(w, p)
	for i := range theta {
		theta[i] -= eta * g[i]
	}
	copy(w, halfSquaredNormGradient(theta, p/(p-1)))
}

func halfSquaredNormGradient(x []float64, r float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Pow(math.Abs(v), r)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		if v != 0 {
			out[i] = math.Copysign(math.Pow(math.Abs(v), r-1), v) * math.Pow(sum, (2-r)/r)
		}
	}
	return out
}
