package optimizer

import "math"

// Apply performs the update on one row of weights in plain Go: the reference that
// every backend agrees with.
//
// delta (length n+1, the bias last) is the change Δ = w − w₀ since w0, or the weights
// themselves where w0 is nil; g is the gradient; slots holds one row of each slot, in
// the order of [Rule.Slots]. delta and the slots are overwritten, g and w0 only read.
// Each product is rounded by itself, so the result doesn't depend on whether the
// machine fuses multiply and add.
func (u Update) Apply(delta, w0, g []float32, slots [][]float32) {
	c := u.C
	g = g[:len(delta)]
	grad := func(i int) float32 {
		if u.Prox == 0 {
			return g[i]
		}
		return g[i] + float32(u.Prox*delta[i])
	}
	switch u.Kind {
	case SGD:
		for i := range delta {
			delta[i] -= float32(c[0] * grad(i))
		}
	case Momentum:
		v := slots[0]
		for i := range delta {
			v[i] = float32(c[1]*v[i]) + grad(i)
			delta[i] -= float32(c[0] * v[i])
		}
	case Nesterov:
		v := slots[0]
		for i := range delta {
			x := grad(i)
			v[i] = float32(c[1]*v[i]) + x
			delta[i] -= float32(c[0] * (x + float32(c[1]*v[i])))
		}
	case AdaGrad:
		s := slots[0]
		for i := range delta {
			x := grad(i)
			s[i] += float32(x * x)
			delta[i] -= quotient(float32(c[0]*x), sqrt(s[i]))
		}
	case RMSPropTF1:
		s, v := slots[0], slots[1]
		for i := range delta {
			x := grad(i)
			s[i] = float32(c[2]*s[i]) + float32(c[3]*float32(x*x))
			v[i] = float32(c[1]*v[i]) + quotient(float32(c[0]*x), sqrt(s[i]+c[4]))
			delta[i] -= v[i]
		}
	case RMSPropTorch:
		s, v := slots[0], slots[1]
		for i := range delta {
			x := grad(i)
			s[i] = float32(c[2]*s[i]) + float32(c[3]*float32(x*x))
			v[i] = float32(c[1]*v[i]) + quotient(x, sqrt(s[i])+c[4])
			delta[i] -= float32(c[0] * v[i])
		}
	case MomentumBuffer:
		v := slots[0]
		for i := range delta {
			v[i] = float32(c[1]*v[i]) + float32(c[0]*grad(i))
			delta[i] -= v[i]
		}
	case AdamTF1, AdamTorch, AdamW, AMSGrad:
		u.adam(delta, w0, grad, slots)
	case NadamW:
		u.nadam(delta, w0, grad, slots[0], slots[1])
	case ScheduleFree:
		u.scheduleFree(delta, w0, grad, slots)
	case EGU:
		u.egu(delta, w0, grad)
	case EGUGD:
		u.eguGD(delta, grad, slots[0], slots[1])
	case PNorm:
		u.pNorm(delta, w0, grad)
	}
}

// weight is the weight itself where delta is its change.
func weight(delta, w0 []float32, i int) float32 {
	if w0 == nil {
		return delta[i]
	}
	return delta[i] + w0[i]
}

func (u Update) adam(delta, w0 []float32, grad func(int) float32, slots [][]float32) {
	c := u.C
	m, v := slots[0], slots[1]
	bias := len(delta) - 1
	scale := float32(1)
	if u.Kind != AdamTF1 {
		scale = c[6]
	}
	for i := range delta {
		x := grad(i)
		if u.Kind == AdamW && i != bias {
			delta[i] -= float32(c[7] * weight(delta, w0, i))
		}
		m[i] = float32(c[1]*m[i]) + float32(c[2]*x)
		v[i] = float32(c[3]*v[i]) + float32(c[4]*float32(x*x))
		second := v[i]
		if u.Kind == AMSGrad {
			if top := slots[2][i]; !(second < top) { // so that a NaN in v stays
				slots[2][i] = second
			}
			second = slots[2][i]
		}
		delta[i] -= quotient(float32(c[0]*m[i]), sqrt(float32(second*scale))+c[5])
	}
}

func (u Update) nadam(delta, w0 []float32, grad func(int) float32, m, v []float32) {
	c := u.C
	bias := len(delta) - 1
	for i := range delta {
		x := grad(i)
		if i != bias {
			delta[i] -= float32(c[7] * weight(delta, w0, i))
		}
		m[i] = float32(c[1]*m[i]) + float32(c[2]*x)
		v[i] = float32(c[3]*v[i]) + float32(c[4]*float32(x*x))
		delta[i] -= quotient(float32(c[0]*m[i])+float32(c[6]*x), sqrt(v[i])+c[5])
	}
}

// scheduleFree holds w, the point that gradients are taken at, in delta. Written as a
// step from z towards x, w is z to the bit where the two agree.
func (u Update) scheduleFree(delta, w0 []float32, grad func(int) float32, slots [][]float32) {
	c := u.C
	v, z, x := slots[0], slots[1], slots[2]
	bias := len(delta) - 1
	for i := range delta {
		g := grad(i)
		v[i] = float32(c[3]*v[i]) + float32(c[4]*float32(g*g))
		if i != bias {
			z[i] -= float32(c[6] * weight(delta, w0, i))
		}
		z[i] -= quotient(float32(c[0]*g), sqrt(v[i])+c[5])
		x[i] += float32(c[2] * (z[i] - x[i]))
		w := z[i] + float32(c[1]*(x[i]-z[i]))
		if w0 != nil {
			w -= w0[i]
		}
		delta[i] = w
	}
}

// quotient is a/b with 0/0 = 0, so that a zero gradient gives a zero update where ε
// is 0 too.
func quotient(a, b float32) float32 {
	if a == 0 {
		return 0
	}
	return a / b
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
