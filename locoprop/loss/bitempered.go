package loss

import (
	"math"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Temperatures that "bi-tempered" without parameters takes.
const (
	DefaultT1 = 0.8
	DefaultT2 = 1.2
)

// BiTempered returns the bi-tempered logistic loss of Amid, Warmuth, Anil, Koren, "Robust
// Bi-Tempered Logistic Loss Based on Bregman Divergences", NeurIPS 2019: bounded for
// t1 < 1, so that an outlier costs only so much, and heavy-tailed for t2 > 1, so that a
// wrong label pulls less on the boundary. With y = tempered softmax of temperature t2 and
// log_t x = (x^(1−t) − 1)/(1−t),
//
//	ℓ(a, t) = Σ t (log_t1 t − log_t1 y) − (t^(2−t1) − y^(2−t1))/(2 − t1)
//	∂ℓ/∂a = δ − e Σδ,   δ = (y − t) y^(t2−t1),   e = y^t2/Σ y^t2
//
// Targets of an example sum to 1. t1 = t2 = 1 is softmax cross-entropy less the targets'
// entropy. It panics unless 0 ≤ t1 ≤ 1 ≤ t2 ≤ transfer.MaxTemperature.
func BiTempered(t1, t2 float64) Loss {
	if !validTemperatures(t1, t2) {
		panic("loss: bi-tempered needs 0 ≤ t1 ≤ 1 ≤ t2 ≤ transfer.MaxTemperature")
	}
	return Loss{kind: KindBiTempered, t1: float32(t1), t2: float32(t2)}
}

func validTemperatures(t1, t2 float64) bool {
	return t1 >= 0 && t1 <= 1 && t2 >= 1 && t2 <= transfer.MaxTemperature
}

// Temperatures are t1 and t2 of a bi-tempered loss, 0 of any other.
func (l Loss) Temperatures() (t1, t2 float64) { return float64(l.t1), float64(l.t2) }

// biTempered starts from the pre-activations: the logarithm of a rounded y would lose
// the small ones.
func (l Loss) biTempered(d, a, t []float32, scale float32) float64 {
	t1, t2 := l.Temperatures()
	top, shift := transfer.Normaliser(a, t2)
	var sum, deltas, escort float64
	for j, v := range a {
		log := transfer.LogExpT(float64(v)-top-shift, t2)
		y, p := math.Exp(log), float64(t[j])
		sum += biTerm(p, y, log, t1)
		deltas += (y - p) * math.Exp((t2-t1)*log)
		escort += math.Exp(t2 * log)
	}
	if d == nil {
		return sum
	}
	mean := deltas / escort
	for j, v := range a {
		log := transfer.LogExpT(float64(v)-top-shift, t2)
		delta := (math.Exp(log) - float64(t[j])) * math.Exp((t2-t1)*log)
		d[j] = float32(float64(scale) * (delta - math.Exp(t2*log)*mean))
	}
	return sum
}

// biTerm is one output's part of the loss: target p, prediction y with its logarithm.
func biTerm(p, y, log, t1 float64) float64 {
	rest := (math.Pow(p, 2-t1) - math.Pow(y, 2-t1)) / (2 - t1)
	if p == 0 {
		return -rest
	}
	return p*(logT(math.Log(p), t1)-logT(log, t1)) - rest
}

// logT is log_t x from log x; as expm1 it keeps its digits near t = 1.
func logT(log, t float64) float64 {
	if t == 1 {
		return log
	}
	return math.Expm1((1-t)*log) / (1 - t)
}
