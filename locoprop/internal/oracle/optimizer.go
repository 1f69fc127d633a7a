package oracle

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
)

// Optimizer is an update rule with its state for one weight matrix.
type Optimizer struct {
	Rule  optimizer.Rule
	K     int64 // updates so far
	Slots []Mat // as named by Rule.Slots
	// Squares is Ση² of the updates so far, for schedule-free.
	Squares float64
}

// NewOptimizer returns the rule in its starting state for a rows × cols matrix W̃,
// whose last column is the bias. Slots that start from the weights are set by the first
// Step.
func NewOptimizer(r optimizer.Rule, rows, cols int) *Optimizer {
	r = r.ForLayer(cols-1, rows)
	o := &Optimizer{Rule: r}
	for _, s := range r.Slots() {
		init := float64(s.Init)
		if s.Name == "s" && r.Kind == optimizer.AdaGrad {
			init = r.Epsilon // not rounded to float32
		}
		o.Slots = append(o.Slots, New(rows, cols).Map(func(float64) float64 { return init }))
	}
	return o
}

// Step updates w in place by the gradient g at rate eta.
func (o *Optimizer) Step(w, g Mat, eta float64) {
	if o.K == 0 {
		o.start(w)
	}
	o.K++
	o.Squares += eta * eta
	if o.Rule.Kind == optimizer.PNorm {
		for i := range w.Rows {
			o.pNorm(w.Data[i*w.Cols:(i+1)*w.Cols], g.Data[i*w.Cols:(i+1)*w.Cols], eta)
		}
		return
	}
	s := make([]*float64, len(o.Slots))
	for i := range w.Data {
		for j := range s {
			s[j] = &o.Slots[j].Data[i]
		}
		bias := i%w.Cols == w.Cols-1
		w.Data[i] = o.step(w.Data[i], g.Data[i], eta, s, bias)
	}
}

// step is the rule for one weight; it returns the new weight and updates the slots.
func (o *Optimizer) step(w, g, eta float64, slot []*float64, bias bool) float64 {
	r := o.Rule
	switch r.Kind {
	case optimizer.SGD:
		return w - eta*g
	case optimizer.Momentum:
		*slot[0] = r.Momentum**slot[0] + g
		return w - eta**slot[0]
	case optimizer.Nesterov:
		*slot[0] = r.Momentum**slot[0] + g
		return w - eta*(g+r.Momentum**slot[0])
	case optimizer.AdaGrad:
		*slot[0] += g * g
		return w - ratio(eta*g, math.Sqrt(*slot[0]))
	case optimizer.RMSPropTF1:
		*slot[0] = r.Rho**slot[0] + (1-r.Rho)*g*g
		*slot[1] = r.Momentum**slot[1] + ratio(eta*g, math.Sqrt(*slot[0]+r.Epsilon))
		return w - *slot[1]
	case optimizer.RMSPropTorch:
		*slot[0] = r.Rho**slot[0] + (1-r.Rho)*g*g
		*slot[1] = r.Momentum**slot[1] + ratio(g, math.Sqrt(*slot[0])+r.Epsilon)
		return w - eta**slot[1]
	}
	switch r.Kind {
	case optimizer.MomentumBuffer:
		*slot[0] = r.Momentum**slot[0] + eta*g
		return w - *slot[0]
	case optimizer.EGU, optimizer.EGUGD, optimizer.ScheduleFree:
		return o.special(w, g, eta, slot, bias)
	}
	if (r.Kind == optimizer.AdamW || r.Kind == optimizer.NadamW) && !bias {
		w *= 1 - eta*r.WeightDecay
	}
	*slot[0] = r.Beta1**slot[0] + (1-r.Beta1)*g
	*slot[1] = r.Beta2**slot[1] + (1-r.Beta2)*g*g
	if r.Kind == optimizer.AMSGrad {
		*slot[2] = math.Max(*slot[2], *slot[1])
		return w - o.adam(*slot[0], *slot[2], eta)
	}
	if r.Kind == optimizer.NadamW {
		k := float64(o.K)
		ahead := r.Beta1**slot[0]/(1-math.Pow(r.Beta1, k+1)) + (1-r.Beta1)*g/(1-math.Pow(r.Beta1, k))
		return w - eta*ratio(ahead, math.Sqrt(*slot[1]/(1-math.Pow(r.Beta2, k)))+r.Epsilon)
	}
	return w - o.adam(*slot[0], *slot[1], eta)
}

// adam is the displacement that moments m and v give after K updates.
func (o *Optimizer) adam(m, v, eta float64) float64 {
	r, k := o.Rule, float64(o.K)
	c1, c2 := 1-math.Pow(r.Beta1, k), 1-math.Pow(r.Beta2, k)
	if r.Kind == optimizer.AdamTF1 {
		return eta * math.Sqrt(c2) / c1 * ratio(m, math.Sqrt(v)+r.Epsilon)
	}
	return eta * ratio(m/c1, math.Sqrt(v/c2)+r.Epsilon)
}

// ratio is a/b with 0/0 = 0.
func ratio(a, b float64) float64 {
	if a == 0 {
		return 0
	}
	return a / b
}
