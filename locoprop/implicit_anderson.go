package locoprop

// mixer is what Anderson acceleration solves its small systems in.
type mixer struct {
	system, weight []float64
}

func newMixer(memory int) mixer {
	return mixer{make([]float64, memory*memory), make([]float64, memory)}
}

// remember puts an iterate and its residual into a part's memory, in place of the oldest
// where that is full, and takes the products of the residual with the others.
func (t *iteration) remember(p *part, w, r []float32) {
	at := p.next
	copy(t.pastW[at].Data[p.lo:p.hi], w)
	copy(t.pastR[at].Data[p.lo:p.hi], r)
	p.held = max(p.held, at+1)
	p.next = (at + 1) % t.memory
	for i := range p.held {
		v := inner(r, t.pastR[i].Data[p.lo:p.hi])
		p.products[i*t.memory+at], p.products[at*t.memory+i] = v, v
	}
}

// mix sets w to Anderson's combination of the iterates in memory,
//
//	w = Σ cᵢ(wᵢ + αrᵢ),  c minimising ‖Σ cᵢrᵢ‖² + ε·max‖rᵢ‖²·‖c‖² where Σ cᵢ = 1
//
// so c = H⁻¹1/(1ᵀH⁻¹1), H = (⟨rᵢ, rⱼ⟩) + ε·max‖rᵢ‖²·I. The ridge is relative, as large as
// what residuals in float32 can tell: an absolute one stops all progress where residuals
// become small against it.
func (t *iteration) mix(p *part, w []float32) {
	c := t.weights(p)
	for j := range w {
		var sum float64
		for i, weight := range c {
			from, along := t.pastW[i].Data[p.lo+j], t.pastR[i].Data[p.lo+j]
			sum += float64(weight * (float64(from) + float64(p.relax*float64(along))))
		}
		w[j] = float32(sum)
	}
}

// weights are the c of a part.
func (t *iteration) weights(p *part) []float64 {
	n, c := p.held, t.mixer.weight[:p.held]
	h := t.mixer.system[:n*n]
	var most float64
	for i := range n {
		most = max(most, p.products[i*t.memory+i])
	}
	for i := range n {
		for j := range n {
			h[i*n+j] = p.products[i*t.memory+j] / most
		}
		h[i*n+i] += andersonRidge
		c[i] = 1
	}
	if t.kernels.Cholesky(h, n) != nil {
		clear(c) // a plain step from the newest iterate
		c[(p.next+t.memory-1)%t.memory] = 1
		return c
	}
	t.kernels.Solve(h, n, c, 1)
	var sum float64
	for _, v := range c {
		sum += v
	}
	for i := range c {
		c[i] /= sum
	}
	return c
}

// inner is Σ xᵢyᵢ in float64, in a fixed order.
func inner(x, y []float32) float64 {
	var sum [4]float64
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		for j := range 4 {
			sum[j] += float64(float64(x[i+j]) * float64(y[i+j]))
		}
	}
	for ; i < len(x); i++ {
		sum[0] += float64(float64(x[i]) * float64(y[i]))
	}
	return (sum[0] + sum[1]) + (sum[2] + sum[3])
}
