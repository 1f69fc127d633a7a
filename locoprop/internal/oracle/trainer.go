package oracle

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Form is what a layer's update is, whatever way it is computed.
type Form uint8

// The forms.
const (
	Iterated   Form = iota // T steps of the optimiser: direct, Gram and kernel; spectral where that is SGD from Δ = 0
	Minimised              // the minimum of the local loss with its proximal term: exact, implicit
	Majorised              // T steps of majorisation and minimisation
	Statistics             // LocoProp-S from a running second moment
	Metric                 // T steps in the metric of a running second moment, then Nesterov's on Δ
)

// Settings are those of a layer's local problem.
type Settings struct {
	LocoProp
	Form  Form
	Rule  optimizer.Rule // of Iterated
	Reset bool           // the rule's state starts anew at every batch

	Clip           bool
	Armijo, Reject bool
	Tolerance, Cap float64 // 0: off

	Second Second
	Fisher bool // γ over the layer's own gradient scale; Metric only

	WeightDecay float64 // wd of W ← (1 − ηs·wd)W before a batch; 0: off

	// Of Metric.
	Step, OuterMomentum float64
	Every               int
}

// Second says how a running second moment of the input is kept, for the forms
// Statistics and Metric.
type Second struct {
	Average           float64
	Refresh           int
	Block             int     // order of the diagonal blocks; 0: one
	Damping, Relative float64 // ρ, or its ratio to tr(C̄)/(n+1); both 0: 1/(λB)
	Steps             bool    // T steps instead of the converged update
}

// Trainer trains a network with every option of LocoProp.
type Trainer struct {
	Net        *Network
	Layers     []Settings
	Correction float64 // c of the forward correction; 0: off
	MomentumD  float64 // μ of the average over an example's D; 0: off

	batches int
	state   []layerState
}

// layerState is what a layer carries from batch to batch.
type layerState struct {
	opt     *Optimizer
	mean    map[int][]float64 // D̄ by row of X̃, were all examples in one batch
	second  Mat               // C̄
	inverse Mat               // (C̄ + ρI)⁻¹
	stale   bool
	updates int
	outer   Mat
	scale   float64
}

// NewTrainer returns a trainer whose layers have settings of their own, in order.
func NewTrainer(n *Network, layers []Settings) *Trainer {
	t := &Trainer{Net: n, Layers: layers}
	for ℓ, l := range n.Layers {
		cols := l.W.Cols
		t.state = append(t.state, layerState{
			opt: NewOptimizer(layers[ℓ].Rule, l.W.Rows, cols), mean: map[int][]float64{},
			second: New(cols, cols), inverse: New(cols, cols), outer: New(l.W.Rows, cols),
		})
	}
	return t
}

// Step trains on a batch and returns its mean loss before that. ids name the examples
// where MomentumD is on.
func (t *Trainer) Step(x, target Mat, ids []int, scale float64) float64 {
	t.Decay(scale)
	before := t.Net.MeanLoss(x, target)
	t.Solve(t.Net.Backward(x, target), x.Rows, ids, scale)
	return before
}

// Decay takes the weights' decay off them, not the biases': what a batch begins with.
func (t *Trainer) Decay(scale float64) {
	for ℓ, s := range t.Layers {
		w := t.Net.Layers[ℓ].W
		for u := range w.Rows {
			for j := range w.Cols - 1 {
				w.Set(u, j, (1-s.Eta*scale*s.WeightDecay)*w.At(u, j))
			}
		}
	}
}

// Solve is Step for passes that are given, made after Decay: their X may have several rows
// for an example, those of an example together.
func (t *Trainer) Solve(passes []Pass, examples int, ids []int, scale float64) {
	for ℓ := range passes {
		p := &passes[ℓ]
		l := &t.Net.Layers[ℓ]
		p.A = Mul(p.X, l.W.T()) // of the corrected input
		t.remember(ℓ, p.D, examples, ids)
		l.W = Plus(l.W, 1, t.update(ℓ, *p, examples, scale))
		if t.Correction > 0 && ℓ+1 < len(passes) {
			correct(passes[ℓ+1].X, Apply(l.F, Mul(p.X, l.W.T())), t.Correction)
		}
	}
	t.batches++
}

// remember replaces D by its examples' averages.
func (t *Trainer) remember(ℓ int, d Mat, examples int, ids []int) {
	if t.MomentumD == 0 {
		return
	}
	positions := d.Rows / examples
	for i := range d.Rows {
		row := ids[i/positions]*positions + i%positions
		if mean, visited := t.state[ℓ].mean[row]; visited {
			for j, v := range mean {
				d.Set(i, j, t.MomentumD*v+(1-t.MomentumD)*d.At(i, j))
			}
		}
		t.state[ℓ].mean[row] = append([]float64(nil), d.Row(i)...)
	}
}

// correct moves the rows of x, whose last column is the bias, toward those of y by at
// most c·√n each.
func correct(x, y Mat, c float64) {
	for i := range y.Rows {
		var squares float64
		for j := range y.Cols {
			squares += math.Pow(y.At(i, j)-x.At(i, j), 2)
		}
		share := 1.0
		if bound := c * math.Sqrt(float64(y.Cols)); squares > bound*bound {
			share = bound / math.Sqrt(squares)
		}
		for j := range y.Cols {
			x.Set(i, j, x.At(i, j)+share*(y.At(i, j)-x.At(i, j)))
		}
	}
}

// update is Δ of a layer.
func (t *Trainer) update(ℓ int, pass Pass, examples int, scale float64) Mat {
	s, w := t.Layers[ℓ], t.Net.Layers[ℓ].W
	rates := s.Rates(scale)
	p := Problem{F: transfer.Identity, X: pass.X, Ahat: pass.A, D: pass.D, Gamma: s.Gamma, Prox: s.prox(rates)}
	if s.Matching {
		p.F = t.Net.Layers[ℓ].F
	}
	if s.Clip {
		p.clip()
	}
	var delta Mat
	switch still := New(w.Rows, w.Cols); s.Form {
	case Iterated:
		delta = t.iterate(ℓ, p, rates)
	case Minimised:
		delta = still
		if p.Prox > 0 {
			delta = p.Minimum()
		}
	case Majorised:
		delta = still
		if slope, _ := p.F.MaxSlope(); p.Prox > 0 {
			delta = p.Majorised(slope, s.T)
		}
	case Statistics:
		delta = t.statistics(ℓ, p, rates)
	case Metric:
		delta = t.metric(ℓ, p, examples, s.Eta*scale)
	}
	return t.guard(ℓ, p, delta)
}

// prox is 1/λ; 0 where there is no proximal term, or where λ = Σηₜ is 0.
func (c LocoProp) prox(rates []float64) float64 {
	lambda := c.Lambda
	if lambda == 0 {
		for _, r := range rates {
			lambda += r
		}
	}
	if !c.Prox || lambda == 0 {
		return 0
	}
	return 1 / lambda
}

// clip puts E = Ŷ − Y* with Y* clipped into the range of f in the place of γD.
func (p *Problem) clip() {
	lo, hi, bounded := p.F.Clip()
	y, e := Apply(p.F, p.Ahat), p.D.Map(func(d float64) float64 { return p.Gamma * d })
	for i := 0; bounded && i < e.Rows; i++ {
		targets, sum, changed := make([]float64, e.Cols), 0.0, false
		for j := range targets {
			full := y.At(i, j) - e.At(i, j)
			targets[j] = math.Min(math.Max(full, math.Min(lo, y.At(i, j))), math.Max(hi, y.At(i, j)))
			sum += targets[j]
			changed = changed || targets[j] != full
		}
		for j, v := range targets {
			if p.F.RowCoupled() {
				v /= sum
			}
			if changed {
				e.Set(i, j, y.At(i, j)-v)
			}
		}
	}
	p.D, p.Gamma = e, 1
}

// groups are the units that are decided on together.
func (p Problem) groups() [][2]int {
	if p.F.RowCoupled() {
		return [][2]int{{0, p.Ahat.Cols}}
	}
	var all [][2]int
	for u := range p.Ahat.Cols {
		all = append(all, [2]int{u, u + 1})
	}
	return all
}

// part is the problem of units lo ≤ u < hi.
func (p Problem) part(lo, hi int) Problem {
	p.Ahat, p.D = p.Ahat.Columns(lo, hi), p.D.Columns(lo, hi)
	return p
}

// terms is the sum of the absolute values of what ℓ(Δ) is the sum of.
func (p Problem) terms(delta Mat) float64 {
	moved := Plus(p.Pre(delta), -1, p.Ahat)
	sum := p.Value(delta)
	for i, d := range p.D.Data {
		linear := p.Gamma * d * moved.Data[i]
		sum += math.Abs(linear) - linear
	}
	return sum
}

// Between views rows lo to hi−1, sharing m's memory.
func (m Mat) Between(lo, hi int) Mat { return Mat{hi - lo, m.Cols, m.Data[lo*m.Cols : hi*m.Cols]} }

func norm(m Mat) float64 { return math.Sqrt(Dot(m, m)) }

// iterate takes T steps of the layer's optimiser with Armijo's rule and the tolerance.
func (t *Trainer) iterate(ℓ int, p Problem, rates []float64) Mat {
	s, st, w := t.Layers[ℓ], &t.state[ℓ], t.Net.Layers[ℓ].W
	if s.Reset {
		st.opt = NewOptimizer(s.Rule, w.Rows, w.Cols)
	}
	now, groups := w.Clone(), p.groups()
	first, frozen := make([]float64, len(groups)), make([]bool, len(groups))
	for i, eta := range rates {
		delta := Plus(now, -1, w)
		g := p.Gradient(delta)
		was, slots := now.Clone(), []Mat(nil)
		for _, slot := range st.opt.Slots {
			slots = append(slots, slot.Clone())
		}
		st.opt.Step(now, g, eta)
		for j, u := range groups {
			lo, hi := u[0], u[1]
			length := norm(g.Between(lo, hi))
			if i == 0 {
				first[j] = length
			}
			frozen[j] = frozen[j] || i > 0 && s.Tolerance > 0 && length <= s.Tolerance*first[j]
			if frozen[j] {
				copy(now.Between(lo, hi).Data, was.Between(lo, hi).Data)
				for k, slot := range slots {
					copy(st.opt.Slots[k].Between(lo, hi).Data, slot.Between(lo, hi).Data)
				}
			} else if s.Armijo {
				step := Plus(now.Between(lo, hi), -1, was.Between(lo, hi))
				share := p.part(lo, hi).armijo(delta.Between(lo, hi), g.Between(lo, hi), step)
				copy(now.Between(lo, hi).Data, Plus(was.Between(lo, hi), share, step).Data)
				switch s.Rule.Kind {
				case optimizer.RMSPropTF1, optimizer.MomentumBuffer:
					v := st.opt.Slots[st.opt.velocity()].Between(lo, hi)
					copy(v.Data, v.Map(func(x float64) float64 { return share * x }).Data)
				}
				if share != 1 {
					st.opt.follow(now, lo, hi)
				}
			}
		}
	}
	return Plus(now, -1, w)
}

// armijo is the first of 1, ½, … 2⁻²⁰ that shortens a step enough for the loss to fall,
// else 0. What float32 can't tell, 1e-6 of the loss's terms, is allowed.
func (p Problem) armijo(delta, g, step Mat) float64 {
	limit := p.Value(delta) + 1e-6*p.terms(delta)
	slope := math.Min(Dot(g, step), 0)
	for share := 1.0; share >= 0x1p-20; share /= 2 {
		if p.Value(Plus(delta, share, step)) <= limit+1e-4*share*slope {
			return share
		}
	}
	return 0
}

// guard caps and rejects units' updates.
func (t *Trainer) guard(ℓ int, p Problem, delta Mat) Mat {
	s, w, opt := t.Layers[ℓ], t.Net.Layers[ℓ].W, t.state[ℓ].opt
	for _, u := range p.groups() {
		change, changed := delta.Between(u[0], u[1]), false
		if s.Cap > 0 {
			least := 1e-3 * math.Sqrt(float64(len(change.Data)))
			if bound := s.Cap * math.Max(norm(w.Between(u[0], u[1])), least); norm(change) > bound {
				share := bound / norm(change)
				copy(change.Data, change.Map(func(v float64) float64 { return share * v }).Data)
				changed = true
			}
		}
		if s.Reject && !(p.part(u[0], u[1]).Value(change) <= 0) {
			clear(change.Data)
			if i := opt.velocity(); s.Form == Iterated && i >= 0 {
				clear(opt.Slots[i].Between(u[0], u[1]).Data)
			}
			changed = true
		}
		if changed && s.Form == Iterated {
			opt.follow(Plus(w, 1, delta), u[0], u[1])
		}
	}
	return delta
}

// velocity is the slot that holds a direction, −1 where none does.
func (o *Optimizer) velocity() int {
	switch o.Rule.Kind {
	case optimizer.Momentum, optimizer.Nesterov, optimizer.MomentumBuffer,
		optimizer.AdamTF1, optimizer.AdamTorch, optimizer.AdamW, optimizer.NadamW, optimizer.AMSGrad:
		return 0
	case optimizer.RMSPropTF1, optimizer.RMSPropTorch:
		return 1
	}
	return -1
}
