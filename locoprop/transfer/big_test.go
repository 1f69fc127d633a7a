package transfer_test

import (
	"math"
	"math/big"
	"sync"

	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Functions in 1200 bits, for tests of potentials and divergences: enough for what is left
// of F(a) − F(â) − f(â)(a − â), 1e-290 of terms of any size, where a and â are neighbours.

const bits = 1200

func wide(x float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(x) }

func plus(a, b *big.Float) *big.Float  { return wide(0).Add(a, b) }
func minus(a, b *big.Float) *big.Float { return wide(0).Sub(a, b) }
func times(a, b *big.Float) *big.Float { return wide(0).Mul(a, b) }
func over(a, b *big.Float) *big.Float  { return wide(0).Quo(a, b) }
func neg(a *big.Float) *big.Float      { return wide(0).Neg(a) }
func size(a *big.Float) *big.Float     { return wide(0).Abs(a) }

// small reports whether x no longer counts beside 1.
func small(x *big.Float) bool { return x.Sign() == 0 || x.MantExp(nil) < -bits-16 }

// bigExp is eˣ for x ≤ 0, and for moderate x above: (e^(x/2ᵏ))^(2ᵏ), the inner by
// Taylor's series. Below −10⁶ it is 0.
func bigExp(x *big.Float) *big.Float {
	if x.Cmp(wide(-1e6)) < 0 {
		return wide(0)
	}
	halvings := max(0, x.MantExp(nil)+48)
	r := wide(0).SetMantExp(x, -halvings)
	sum, term := wide(1), wide(1)
	for n := 1.0; !small(term); n++ {
		term = over(times(term, r), wide(n))
		sum = plus(sum, term)
	}
	for range halvings {
		sum = times(sum, sum)
	}
	return sum
}

// bigLog is log x = y + log(x·e⁻ʸ), y nearly log x, the latter as 2 artanh s.
func bigLog(x *big.Float) *big.Float {
	start, _ := x.Float64()
	y := wide(math.Log(start))
	r := minus(times(x, bigExp(neg(y))), wide(1))
	s := over(r, plus(wide(2), r))
	square, power, sum := times(s, s), s, s
	for k := 3.0; !small(power); k += 2 {
		power = times(power, square)
		sum = plus(sum, over(power, wide(k)))
	}
	return plus(y, times(wide(2), sum))
}

// bigAtan halves the angle until Taylor's series is short.
func bigAtan(x *big.Float) *big.Float {
	doublings := 0
	for x.Sign() != 0 && x.MantExp(nil) > -16 {
		x = over(x, plus(wide(1), wide(0).Sqrt(plus(wide(1), times(x, x)))))
		doublings++
	}
	square, power, sum := neg(times(x, x)), x, x
	for n := 3.0; !small(power); n += 2 {
		power = times(power, square)
		sum = plus(sum, over(power, wide(n)))
	}
	return wide(0).SetMantExp(sum, doublings)
}

// debye are Bₙ/(n+1)! for n = 2, 4, …, with Bernoulli's numbers by their recursion
// Σ C(n+1, k)·Bₖ = 0.
var debye = sync.OnceValue(func() []*big.Float {
	const last = 220
	b := []*big.Rat{big.NewRat(1, 1)}
	for n := int64(1); n <= last; n++ {
		sum, choose := new(big.Rat), big.NewInt(1)
		for k := range n {
			sum.Add(sum, new(big.Rat).Mul(new(big.Rat).SetInt(choose), b[k]))
			choose.Mul(choose, big.NewInt(n+1-k))
			choose.Div(choose, big.NewInt(k+1))
		}
		b = append(b, sum.Mul(sum, big.NewRat(-1, n+1)))
	}
	var c []*big.Float
	factorial := big.NewInt(1)
	for n := int64(1); n <= last; n++ {
		factorial.Mul(factorial, big.NewInt(n+1))
		if n%2 == 0 {
			c = append(c, wide(0).SetRat(new(big.Rat).Quo(b[n], new(big.Rat).SetInt(factorial))))
		}
	}
	return c
})

// bigDilog is −Li₂(−z), 0 ≤ z ≤ 1: u + u²/4 + Σ Bₙuⁿ⁺¹/(n+1)!, u = log(1 + z).
func bigDilog(z *big.Float) *big.Float {
	u := bigLog(plus(wide(1), z))
	square := times(u, u)
	sum, power := plus(u, over(square, wide(4))), u
	for _, c := range debye() {
		if power = times(power, square); small(power) {
			break
		}
		sum = plus(sum, times(power, c))
	}
	return sum
}

var (
	bigLog2 = sync.OnceValue(func() *big.Float { return bigLog(wide(2)) })
	bigPi   = sync.OnceValue(func() *big.Float { return times(wide(4), bigAtan(wide(1))) })
)

// bigF is F at a.
func bigF(f transfer.Func, at float64) *big.Float {
	a, one := wide(at), wide(1)
	x, alpha := size(a), wide(float64(f.Param()))
	half := func(v *big.Float) *big.Float { return over(v, wide(2)) }
	tail := func(v *big.Float) *big.Float { return bigLog(plus(one, bigExp(neg(v)))) } // log(1 + e⁻ᵛ)
	positive := at > 0
	switch f.Kind() {
	case transfer.KindIdentity:
		return half(times(a, a))
	case transfer.KindTanh:
		return minus(plus(x, tail(times(wide(2), x))), bigLog2())
	case transfer.KindLeakyReLU:
		if positive {
			return half(times(a, a))
		}
		return half(times(alpha, times(a, a)))
	case transfer.KindSigmoid:
		if positive {
			return plus(a, tail(x))
		}
		return tail(x)
	case transfer.KindReLU2:
		if positive {
			return over(times(a, times(a, a)), wide(3))
		}
		return wide(0)
	case transfer.KindArctan:
		return minus(times(a, bigAtan(a)), half(bigLog(plus(one, times(a, a)))))
	case transfer.KindSoftplus:
		if !positive {
			return bigDilog(bigExp(a))
		}
		return minus(plus(half(times(a, a)), over(times(bigPi(), bigPi()), wide(6))), bigDilog(bigExp(neg(a))))
	case transfer.KindSoftsign:
		return minus(x, bigLog(plus(one, x)))
	case transfer.KindELU:
		if positive {
			return half(times(a, a))
		}
		return times(alpha, minus(minus(bigExp(a), one), a))
	case transfer.KindHardTanh:
		if x.Cmp(one) > 0 {
			return minus(x, wide(0.5))
		}
		return half(times(a, a))
	case transfer.KindExp:
		return bigExp(a)
	}
	panic("no F")
}

// bigAt is f at a.
func bigAt(f transfer.Func, at float64) *big.Float {
	a, one := wide(at), wide(1)
	x, positive := size(a), at > 0
	sign := wide(math.Copysign(1, at))
	switch f.Kind() {
	case transfer.KindTanh:
		e := bigExp(times(wide(-2), x))
		return times(sign, over(minus(one, e), plus(one, e)))
	case transfer.KindSigmoid:
		e := bigExp(neg(x))
		if positive {
			return over(one, plus(one, e))
		}
		return over(e, plus(one, e))
	case transfer.KindArctan:
		return bigAtan(a)
	case transfer.KindSoftplus:
		return bigF(transfer.Sigmoid, at)
	case transfer.KindSoftsign:
		return over(a, plus(one, x))
	case transfer.KindELU:
		if positive {
			return a
		}
		return times(wide(float64(f.Param())), minus(bigExp(a), one))
	case transfer.KindExp:
		return bigExp(a)
	case transfer.KindReLU2:
		if positive {
			return times(a, a)
		}
		return wide(0)
	case transfer.KindLeakyReLU:
		if positive {
			return a
		}
		return times(wide(float64(f.Param())), a)
	case transfer.KindHardTanh:
		if x.Cmp(one) > 0 {
			return sign
		}
		return a
	case transfer.KindIdentity:
		return a
	}
	panic("no f")
}
