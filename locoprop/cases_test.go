package locoprop_test

import (
	"slices"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/precond"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// setup is a whole experiment: a network of two layers, a batch and what trains on it.
type setup struct {
	problem
	o      locoprop.Options
	scales [batchesOfSetup]float64 // the schedule's factors
	layer  map[int]func(*locoprop.Options)

	perExample bool // γ is given per example
	short      int  // examples of the batches that are the last of an epoch; 0: dropped
}

const (
	batchesOfSetup  = 3
	examplesOfSetup = 7 // of momentum on D, whose batches overlap
)

// choice is a value of an option; the first of a factor is its default.
type choice struct {
	name string
	set  func(*setup)
}

type factor struct {
	name    string
	choices []choice
}

// factors are all options of LocoProp, with values that a network of a few units feels.
func factors() []factor {
	on := func(name string, set func(*setup)) factor {
		return factor{name, []choice{{"off", func(*setup) {}}, {"on", set}}}
	}
	return []factor{
		{"method", []choice{
			{"m", func(*setup) {}},
			{"s", func(s *setup) { s.o.Loss = locoprop.Squared }},
		}},
		{"form", formChoices()},
		{"optimizer", optimizerChoices()},
		{"prox", []choice{
			{"off", func(*setup) {}},
			{"auto", func(s *setup) { s.o.Prox = locoprop.ProxAuto }},
			{"0.3", func(s *setup) { s.o.Prox = 0.3 }},
		}},
		on("reset", func(s *setup) { s.o.Reset = true }),
		{"gamma-rule", []choice{
			{"auto", func(*setup) {}},
			{"fixed", func(s *setup) { s.o.GammaRule = locoprop.GammaFixed }},
			{"fisher", func(s *setup) { s.o.GammaRule = locoprop.GammaFisher }},
		}},
		on("armijo", func(s *setup) { s.o.Safety.Armijo = true; s.o.Eta *= 30 }),
		on("tolerance", func(s *setup) { s.o.Safety.Tolerance = 0.9 }),
		on("cap", func(s *setup) { s.o.Safety.Cap = 0.02 }),
		on("reject", func(s *setup) { s.o.Safety.Reject = true; s.o.Eta *= 10 }),
		on("clip", func(s *setup) { s.o.Clip = true; s.o.Gamma *= 4 }),
		on("correction", func(s *setup) { s.o.Correction = 0.01 }),
		on("momentum-on-d", func(s *setup) { s.o.Momentum = locoprop.Momentum{Factor: 0.7, Examples: examplesOfSetup} }),
		{"transfer", transferChoices()},
		{"loss", []choice{
			{"sigmoid-ce", func(*setup) {}},
			{"softmax-ce", lossChoice(loss.SoftmaxCE, transfer.Softmax)},
			{"squared", lossChoice(loss.Squared, transfer.Identity)},
			{"squared-tanh", lossChoice(loss.Squared, transfer.Tanh)},
			{"bi-tempered", lossChoice(loss.BiTempered(0.8, 1.2), transfer.TemperedSoftmax(1.2))},
		}},
		{"schedule", []choice{
			{"constant", func(*setup) {}},
			{"falling", func(s *setup) { s.scales = [batchesOfSetup]float64{1, 0.5, 0.25} }},
			{"from-zero", func(s *setup) { s.scales = [batchesOfSetup]float64{0, 0.5, 1} }},
		}},
		{"layers", []choice{
			{"alike", func(*setup) {}},
			{"rates", func(s *setup) {
				s.layer = map[int]func(*locoprop.Options){1: func(o *locoprop.Options) {
					o.Eta, o.Gamma, o.GammaPerExample, o.Steps = o.Eta/2, o.Gamma*2, o.GammaPerExample*2, o.Steps+1
				}}
			}},
			{"squared-momentum", func(s *setup) {
				s.layer = map[int]func(*locoprop.Options){0: func(o *locoprop.Options) {
					*o = locoprop.Options{Loss: locoprop.Squared, Eta: 0.02, Gamma: 2, Steps: 3, Optimizer: optimizer.New(optimizer.Momentum)}
				}}
			}},
		}},
		{"steps", []choice{
			{"5", func(*setup) {}},
			{"1", func(s *setup) { s.o.Steps = 1 }},
			{"2", func(s *setup) { s.o.Steps = 2 }},
		}},
		{"floor", []choice{
			{"quarter", func(*setup) {}},
			{"none", func(s *setup) { s.o.NoFloor = true }},
			{"0.7", func(s *setup) { s.o.Floor = 0.7 }},
		}},
		on("gamma-per-example", func(s *setup) { s.perExample = true }),
		on("weight-decay", func(s *setup) { s.o.WeightDecay = 0.05 / s.o.Eta }), // after what changes η
		{"drop-last", []choice{
			{"on", func(*setup) {}},
			{"off", func(s *setup) { s.short = 3 }},
		}},
	}
}

func lossChoice(l loss.Loss, f transfer.Func) func(*setup) {
	return func(s *setup) { s.loss, s.arch.Transfer[1] = l, f }
}

// formChoices are the forms, some with a setting of their own.
func formChoices() []choice {
	form := func(name string, set func(*locoprop.Options)) choice {
		return choice{name, func(s *setup) {
			i := slices.Index(locoprop.Forms, strings.Split(name, "-")[0])
			s.o.Form = locoprop.Form(i)
			if set != nil {
				set(&s.o)
			}
		}}
	}
	solver := func(s locoprop.ImplicitSolver) func(*locoprop.Options) {
		return func(o *locoprop.Options) { o.Implicit = locoprop.Implicit{Solver: s, Tolerance: 1e-6} }
	}
	return []choice{
		form("auto", nil), form("direct", nil), form("gram", nil), form("kernel", nil),
		form("exact", nil), form("spectral", nil), form("mm", nil),
		form("implicit-anderson", solver(locoprop.SolverAnderson)),
		form("implicit-newton", solver(locoprop.SolverNewton)),
		form("implicit-fixed", solver(locoprop.SolverFixed)),
		form("implicit-relaxed", func(o *locoprop.Options) {
			o.Implicit = locoprop.Implicit{Tolerance: 1e-6, Iterations: 1000, Memory: 2, Relax: 0.5}
		}),
		form("statistics", nil),
		form("statistics-relative", func(o *locoprop.Options) { o.Statistics.Relative, o.Statistics.Refresh = 0.2, 2 }),
		form("statistics-damping", func(o *locoprop.Options) {
			o.Statistics = locoprop.Statistics{Damping: 0.1, Structure: precond.Diagonal, NoAverage: true}
		}),
		form("statistics-blocks", func(o *locoprop.Options) {
			o.Statistics = locoprop.Statistics{Structure: precond.BlockDiagonal, Columns: 2}
		}),
		form("statistics-steps", func(o *locoprop.Options) { o.Statistics.Iterate = true }),
		form("metric", func(o *locoprop.Options) {
			o.Eta, o.Gamma, o.Metric = 1, 0.01, locoprop.Metric{Every: 2}
		}),
		form("metric-constants", func(o *locoprop.Options) {
			o.Eta, o.Gamma, o.Metric = 0.5, 0.02, locoprop.Metric{Damping: 0.6, Step: 0.4, Average: 0.6, Every: 1, OuterMomentum: 0.5}
		}),
	}
}

func optimizerChoices() []choice {
	var all []choice
	for _, r := range rules() {
		name := ruleName(r)
		if r.Kind == optimizer.RMSPropTF1 {
			r.Momentum = 0.9
		}
		all = append(all, choice{name, func(s *setup) { s.o.Optimizer = r }})
	}
	return all
}

func transferChoices() []choice {
	var all []choice
	for _, f := range hiddenTransfers() {
		all = append(all, choice{f.String(), func(s *setup) { s.arch.Transfer[0] = f }})
	}
	return all
}

// hiddenTransfers are the transfer functions that a hidden layer may have, tanh first.
func hiddenTransfers() []transfer.Func {
	return []transfer.Func{
		transfer.Tanh, transfer.Identity, transfer.ReLU, leaky, transfer.Sigmoid, transfer.ReLU2, transfer.Arctan,
		transfer.Softplus, transfer.Softsign, transfer.ELU(0.5), transfer.HardTanh, transfer.Exp, transfer.GELU, transfer.SiLU,
	}
}

// newSetup makes the choices of every factor, by number.
func newSetup(all []factor, pick []int) setup {
	s := setup{
		problem: problem{
			arch: nn.Arch{Widths: []int{3, 4, 2}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}},
			loss: loss.SigmoidCE, batch: 4, // fewer rows than the second layer's columns, as many as the first's
		},
		o:      locoprop.Options{Eta: 0.02, Gamma: 2.5, Steps: 5, Block: 3},
		scales: [batchesOfSetup]float64{1, 1, 1},
	}
	for i, f := range all {
		if f.name == "form" { // it sets rates that others change
			f.choices[pick[i]].set(&s)
		}
	}
	for i, f := range all {
		if f.name != "form" {
			f.choices[pick[i]].set(&s)
		}
	}
	if s.o.Form == locoprop.FormMetric && s.o.GammaRule == locoprop.GammaFixed {
		s.o.Gamma *= 50
	}
	if s.perExample {
		s.o.Gamma, s.o.GammaPerExample = 0, s.o.Gamma/float64(s.batch)
	}
	if s.layer != nil {
		s.o.Layers = map[int]locoprop.Options{}
		for ℓ, change := range s.layer {
			o := s.o
			o.Layers = nil
			change(&o)
			s.o.Layers[ℓ] = o
		}
	}
	return s
}

// of gives the settings of a layer.
func (s setup) of(ℓ int) locoprop.Options {
	if o, ok := s.o.Layers[ℓ]; ok {
		return o
	}
	return s.o
}

func (s setup) valid() bool {
	for ℓ, f := range s.arch.Transfer {
		if a, b := refusals(s.of(ℓ), f); len(a)+len(b) > 0 {
			return false
		}
	}
	return true
}

// refusals lists why a layer can't be trained with settings: what New says, and, where it
// says nothing, what Plan does. It is the table of docs/method.md, written apart from the
// library's.
func refusals(o locoprop.Options, f transfer.Func) (atNew, atPlan []string) {
	add := func(list *[]string, wrong bool, text string) {
		if wrong {
			*list = append(*list, text)
		}
	}
	form, kind := o.Form, o.Optimizer.Kind
	in := func(forms ...locoprop.Form) bool { return slices.Contains(forms, form) }
	any4 := in(locoprop.FormAuto, locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel)
	statistics := form == locoprop.FormStatistics
	damped := o.Statistics.Damping > 0 || o.Statistics.Relative > 0
	proxOn := o.Prox != locoprop.ProxOff

	add(&atNew, o.GammaRule == locoprop.GammaFisher && form != locoprop.FormMetric, "gamma rule fisher needs form metric, not "+form.String())
	add(&atNew, o.GammaPerExample > 0 && form == locoprop.FormMetric && o.GammaRule != locoprop.GammaFixed, "gamma rule fisher takes gamma")
	add(&atNew, o.GammaPerExample > 0 && form != locoprop.FormMetric && o.GammaRule == locoprop.GammaFisher, "gamma rule fisher takes gamma")
	add(&atNew, o.WeightDecay > 0 && any4 && (kind == optimizer.AdamW || kind == optimizer.NadamW), "decays weights by itself")
	add(&atNew, o.WeightDecay > 0 && any4 && kind == optimizer.EGUGD, "forgets the decay")
	add(&atNew, kind.Averages() && any4, "doesn't solve local problems")
	add(&atNew, statistics && o.Statistics.Iterate && kind != optimizer.SGD, "local steps need optimizer sgd, not "+o.Optimizer.Name())
	add(&atNew, statistics && !o.Statistics.Iterate && damped && proxOn, "damping is given and a proximal term has its own; give one of both")
	add(&atNew, statistics && !o.Statistics.Iterate && !damped && !proxOn, "the converged update needs a proximal term (prox auto or a λ), damping or relative damping")

	matching := o.Loss == locoprop.Matching
	if matching && !f.Monotone() {
		return atNew, []string{"LocoProp-M needs a non-decreasing transfer function, which " + f.String() + " isn't; use locoprop-s"}
	}
	squared := !matching || f == transfer.Identity
	add(&atPlan, !squared && in(locoprop.FormGram, locoprop.FormExact, locoprop.FormSpectral, locoprop.FormStatistics), "the squared local loss (locoprop-s)")
	add(&atPlan, !matching && in(locoprop.FormImplicit, locoprop.FormMajorised), "the matching local loss (locoprop-m)")
	add(&atPlan, !proxOn && in(locoprop.FormImplicit, locoprop.FormMajorised, locoprop.FormExact), "a proximal term (prox auto or a λ)")
	add(&atPlan, proxOn && in(locoprop.FormMetric), "no proximal term (prox off)")
	add(&atPlan, o.Reset && in(locoprop.FormMetric), "reset off")
	linear := kind == optimizer.SGD || kind == optimizer.Momentum || kind == optimizer.Nesterov || kind == optimizer.MomentumBuffer
	add(&atPlan, in(locoprop.FormKernel) && !linear, "optimizer sgd, or momentum, or nesterov, not "+o.Optimizer.Name())
	add(&atPlan, in(locoprop.FormSpectral, locoprop.FormMetric) && kind != optimizer.SGD, "optimizer sgd, not "+o.Optimizer.Name())
	direct := in(locoprop.FormAuto, locoprop.FormDirect)
	add(&atPlan, o.Safety.Armijo && !direct, "Armijo backtracking off, or form direct")
	add(&atPlan, o.Safety.Tolerance > 0 && !direct, "tolerance off, or form direct")
	add(&atPlan, o.Safety.Cap > 0 && in(locoprop.FormMetric), "cap of the update off, or form direct")
	add(&atPlan, o.Safety.Reject && in(locoprop.FormMetric), "rejection off, or form direct")
	add(&atPlan, o.Clip && in(locoprop.FormMetric, locoprop.FormExact, locoprop.FormSpectral, locoprop.FormStatistics), "target clipping off, or form direct")
	add(&atPlan, o.Clip && !matching, "the matching local loss (locoprop-m) where targets are clipped")
	if len(atPlan) == 0 { // what a form itself looks at comes last
		_, bounded := f.MaxSlope()
		add(&atPlan, form == locoprop.FormMajorised && !bounded, "form mm needs a transfer function whose slope has a bound, which "+f.String()+" has not: use form implicit")
		add(&atPlan, form == locoprop.FormImplicit && o.Implicit.Solver == locoprop.SolverNewton && f.RowCoupled(),
			"solver newton needs independent units, which "+f.String()+" doesn't give: use solver anderson or fixed")
	}
	return atNew, atPlan
}

// settingsOf translates settings for the oracle. They have their defaults.
func settingsOf(o locoprop.Options, batch int) oracle.Settings {
	if o.GammaPerExample != 0 {
		o.Gamma = o.GammaPerExample * float64(batch)
	}
	s := oracle.Settings{
		LocoProp: oracle.LocoProp{
			Matching: o.Loss == locoprop.Matching, Gamma: o.Gamma, Eta: o.Eta, T: o.Steps, Floor: o.Floor,
			Prox: o.Prox != locoprop.ProxOff, Lambda: max(o.Prox, 0),
		},
		Rule: o.Optimizer, Reset: o.Reset, Clip: o.Clip,
		Armijo: o.Safety.Armijo, Reject: o.Safety.Reject, Tolerance: o.Safety.Tolerance, Cap: o.Safety.Cap,
		Fisher: o.GammaRule == locoprop.GammaFisher, WeightDecay: o.WeightDecay,
	}
	switch o.Form {
	case locoprop.FormExact, locoprop.FormImplicit:
		s.Form = oracle.Minimised
	case locoprop.FormMajorised:
		s.Form = oracle.Majorised
	case locoprop.FormMetric:
		s.Form = oracle.Metric
		s.Step, s.OuterMomentum, s.Every = o.Metric.Step, o.Metric.OuterMomentum, o.Metric.Every
		s.Second = oracle.Second{Average: o.Metric.Average, Refresh: o.Metric.Refresh, Relative: o.Metric.Damping}
	case locoprop.FormStatistics:
		s.Form = oracle.Statistics
		c := o.Statistics
		s.Second = oracle.Second{Average: c.Average, Refresh: c.Refresh, Damping: c.Damping, Relative: c.Relative, Steps: c.Iterate}
		switch c.Structure {
		case precond.BlockDiagonal:
			s.Second.Block = c.Columns
		case precond.Diagonal:
			s.Second.Block = 1
		}
		if c.NoAverage {
			s.Second.Average = 0
		}
	}
	return s
}

// trainerOf is the oracle's side of a method on a network as it is.
func trainerOf(p problem, n *nn.Network, m *locoprop.Method) *oracle.Trainer {
	var all []oracle.Settings
	o := m.Options()
	for ℓ := range n.Layers {
		l, ok := o.Layers[ℓ]
		if !ok {
			l = o
		}
		all = append(all, settingsOf(l, p.batch))
	}
	t := oracle.NewTrainer(oracleOf(p, n), all)
	t.Correction, t.MomentumD = o.Correction, o.Momentum.Factor
	return t
}
