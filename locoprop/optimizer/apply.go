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
	case AdamTF1, AdamTorch, AdamW:
		u.adam(delta, w0, grad, slots[0], slots[1])
	}
}

func (u Update) adam(delta, w0 []float32, grad func(int) float32, m, v []float32) {
	c := u.C
	bias := len(delta) - 1
	scale := float32(1)
	if u.Kind != AdamTF1 {
		scale = c[6]
	}
	for i := range delta {
		x := grad(i)
		if u.Kind == AdamW && i != bias {
			w := delta[i]
			if w0 != nil {
				w += w0[i]
			}
			delta[i] -= float32(c[7] * w)
		}
		m[i] = float32(c[1]*m[i]) + float32(c[2]*x)
		v[i] = float32(c[3]*v[i]) + float32(c[4]*float32(x*x))
		delta[i] -= quotient(float32(c[0]*m[i]), sqrt(float32(v[i]*scale))+c[5])
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
