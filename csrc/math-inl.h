// exp, log1p, tanh and the other functions that transfer functions are made of, on vectors,
// compiled once per Highway target.
//
// Highway's own tanh and exp cost more and flush denormals. These hold for every float, of
// every sign and size, within the bounds that locoprop.h gives; csrc/tests sweeps them.
// Polynomials: minimax fits (Remez) of the relative error.
#if defined(LP_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LP_MATH_INL_H_
#undef LP_MATH_INL_H_
#else
#define LP_MATH_INL_H_
#endif

#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// x = k ln 2 + r with integer k and |r| ≤ ½ ln 2; for |k| < 2²¹. With two factors, their
// product is added to r, where x would lose it.
template <class Tag>
struct Reduced {
  hn::Vec<Tag> p;                       // e^r − 1
  hn::Vec<hn::Rebind<int32_t, Tag>> k;  // k + kMagicBits, as an integer
};

// Adding 1.5·2²³ leaves an integer in the low bits of the sum, without the conversion
// instructions that treat NaN and overflow apart.
constexpr float kMagic = 12582912.0f;

// 2^(k + bias − 127), by building the exponent: the bits of kMagic shift out.
template <int kBias, class Tag>
HWY_INLINE hn::Vec<Tag> Exp2(Tag d, hn::Vec<hn::Rebind<int32_t, Tag>> k) {
  const hn::Rebind<int32_t, Tag> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(k, hn::Set(di, kBias))));
}

template <class Tag, class... Factors>
HWY_INLINE Reduced<Tag> Reduce(Tag d, hn::Vec<Tag> x, Factors... factors) {
  const hn::Rebind<int32_t, Tag> di;
  const auto biased = hn::MulAdd(x, hn::Set(d, 1.44269504f), hn::Set(d, kMagic));
  const auto k = hn::Sub(biased, hn::Set(d, kMagic));
  // ln 2 in two parts; the first has so few bits that k times it is exact.
  auto r = hn::NegMulAdd(k, hn::Set(d, 0.693359375f), x);
  if constexpr (sizeof...(factors) == 2) r = hn::MulAdd(factors..., r);
  r = hn::NegMulAdd(k, hn::Set(d, -2.12194440e-4f), r);
  // e^r − 1 = r + r² q(r), off by at most 1.3e-8 of itself.
  auto q = hn::MulAdd(hn::Set(d, 0.00138825411f), r, hn::Set(d, 0.00836653728f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.0416672006f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.166665435f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.49999997f));
  return {hn::MulAdd(hn::Mul(r, r), q, r), hn::BitCast(di, biased)};
}

// 2⁶⁴ e^x, or 2⁶⁴ e^(x + u v) with small factors u, v, for x ≤ 0, −∞ and NaN included; below
// −120, where 120 times it is still 0 as a float, as at −120. Times kUnscale it rounds to a
// denormal, once.
constexpr float kUnscale = 5.42101086e-20f;  // 2⁻⁶⁴

template <class Tag, class... Factors>
HWY_INLINE hn::Vec<Tag> ExpScaled(Tag d, hn::Vec<Tag> x, Factors... factors) {
  const auto lowest = hn::Set(d, -120.0f);
  x = hn::IfThenElse(hn::Lt(x, lowest), lowest, x);  // keeps NaN, as Max doesn't
  const auto [p, k] = Reduce(d, x, factors...);
  const auto scale = Exp2<127 + 64>(d, k);
  return hn::MulAdd(scale, p, scale);
}

// e^x for x ≤ 0, −∞ and NaN included, down to the smallest denormal.
template <class Tag>
HWY_INLINE hn::Vec<Tag> ExpNegative(Tag d, hn::Vec<Tag> x) {
  return hn::Mul(ExpScaled(d, x), hn::Set(d, kUnscale));
}

// a b as a result: a compiler would fuse a bare product with the sum that a kernel makes of
// it, and then f(Â + 0) − Ŷ isn't 0.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Product(Tag d, hn::Vec<Tag> a, hn::Vec<Tag> b) {
  return hn::MulAdd(a, b, hn::Zero(d));
}

// x within lo … hi; keeps NaN.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Within(Tag d, hn::Vec<Tag> x, float lo, float hi) {
  x = hn::IfThenElse(hn::Lt(x, hn::Set(d, lo)), hn::Set(d, lo), x);
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, hi)), hn::Set(d, hi), x);
}

// e^x. The power of 2 goes in two halves, since neither it nor its inverse need be a float.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Exp(Tag d, hn::Vec<Tag> x) {
  const hn::Rebind<int32_t, Tag> di;
  const auto [p, bits] = Reduce(d, Within(d, x, -120, 89));  // e^89 is above every float
  const auto k = hn::Sub(bits, hn::BitCast(di, hn::Set(d, kMagic)));
  const auto half = hn::ShiftRight<1>(k);
  const auto scale = Exp2<127>(d, half);
  return Product(d, hn::MulAdd(scale, p, scale), Exp2<127>(d, hn::Sub(k, half)));
}

// e^x − 1 for x ≤ 0, −∞ and NaN included; never below −1.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Expm1Negative(Tag d, hn::Vec<Tag> x) {
  const auto lowest = hn::Set(d, -20.0f);  // from −17.4 down it rounds to −1
  const auto [p, k] = Reduce(d, hn::IfThenElse(hn::Lt(x, lowest), lowest, x));
  const auto scale = Exp2<127>(d, k);
  return hn::MulAdd(scale, p, hn::Sub(scale, hn::Set(d, 1.0f)));
}

// tanh x = t/(t + 2) with t = e^(2|x|) − 1.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Tanh(Tag d, hn::Vec<Tag> x) {
  const auto magnitude = hn::Abs(x);
  const auto highest = hn::Set(d, 10.0f);  // from 9.02 on tanh rounds to 1
  const auto a = hn::IfThenElse(hn::Gt(magnitude, highest), highest, magnitude);
  const auto [p, k] = Reduce(d, hn::Add(a, a));
  const auto scale = Exp2<127>(d, k);
  const auto t = hn::MulAdd(scale, p, hn::Sub(scale, hn::Set(d, 1.0f)));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, 2.0f))), x);
}

// 1/(1 + e^-x), from e^-|x| ≤ 1.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Sigmoid(Tag d, hn::Vec<Tag> x) {
  const auto one = hn::Set(d, 1.0f);
  const auto z = ExpNegative(d, hn::Neg(hn::Abs(x)));
  const auto numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), z, one);
  return hn::Div(numerator, hn::Add(one, z));
}

// x for x > 0, else αx, where α = 0 gives 0 at −∞ too. NaN stays NaN.
template <class Tag>
HWY_INLINE hn::Vec<Tag> LeakyRelu(Tag d, hn::Vec<Tag> x, float alpha) {
  const auto zero = hn::Zero(d);
  const auto below =
      alpha == 0 ? hn::IfThenElse(hn::Le(x, zero), zero, x) : hn::Mul(x, hn::Set(d, alpha));
  return hn::IfThenElse(hn::Gt(x, zero), x, below);
}

// log(1 + z) for 0 ≤ z ≤ 1 and NaN.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Log1pUnit(Tag d, hn::Vec<Tag> z) {
  // z − z²/2 + z³ l(z), off by at most 7.5e-9 of itself.
  auto l = hn::MulAdd(hn::Set(d, -0.0036775035784f), z, hn::Set(d, 0.021875584679f));
  l = hn::MulAdd(l, z, hn::Set(d, -0.060921767261f));
  l = hn::MulAdd(l, z, hn::Set(d, 0.11025157872f));
  l = hn::MulAdd(l, z, hn::Set(d, -0.15569551373f));
  l = hn::MulAdd(l, z, hn::Set(d, 0.19774327791f));
  l = hn::MulAdd(l, z, hn::Set(d, -0.24975098741f));
  l = hn::MulAdd(l, z, hn::Set(d, 0.33332250603f));
  l = hn::MulAdd(l, z, hn::Set(d, -0.5f));
  return hn::MulAdd(hn::Mul(z, z), l, z);
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_MATH_INL_H_
