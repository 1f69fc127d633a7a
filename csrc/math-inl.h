// exp, log1p, tanh and sigmoid on vectors, compiled once per Highway target.
//
// Highway's own tanh and exp cost more and flush denormals. These are good to 2.6 units in
// the last place for every float, of every sign and size; csrc/tests sweeps them. Polynomials:
// minimax fits (Remez) of the relative error.
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

// x = k ln 2 + r with integer k and |r| ≤ ½ ln 2; for |k| < 2²¹.
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

template <class Tag>
HWY_INLINE Reduced<Tag> Reduce(Tag d, hn::Vec<Tag> x) {
  const hn::Rebind<int32_t, Tag> di;
  const auto biased = hn::MulAdd(x, hn::Set(d, 1.44269504f), hn::Set(d, kMagic));
  const auto k = hn::Sub(biased, hn::Set(d, kMagic));
  // ln 2 in two parts; the first has so few bits that k times it is exact.
  auto r = hn::NegMulAdd(k, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(k, hn::Set(d, -2.12194440e-4f), r);
  // e^r − 1 = r + r² q(r), off by at most 1.3e-8 of itself.
  auto q = hn::MulAdd(hn::Set(d, 0.00138825411f), r, hn::Set(d, 0.00836653728f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.0416672006f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.166665435f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.49999997f));
  return {hn::MulAdd(hn::Mul(r, r), q, r), hn::BitCast(di, biased)};
}

// e^x for x ≤ 0, −∞ and NaN included, down to the smallest denormal.
template <class Tag>
HWY_INLINE hn::Vec<Tag> ExpNegative(Tag d, hn::Vec<Tag> x) {
  const auto lowest = hn::Set(d, -104.0f);           // e^-104 rounds to 0
  x = hn::IfThenElse(hn::Lt(x, lowest), lowest, x);  // keeps NaN, as Max doesn't
  const auto [p, k] = Reduce(d, x);
  // 64 powers of 2 too large, so that the one rounding to a denormal is the last.
  const auto scale = Exp2<127 + 64>(d, k);
  return hn::Mul(hn::MulAdd(scale, p, scale), hn::Set(d, 5.42101086e-20f));  // 2⁻⁶⁴
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

// log(1 + z) for 0 ≤ z ≤ 1 and NaN, as 2 atanh s with s = z/(2 + z) ≤ 1/3.
template <class Tag>
HWY_INLINE hn::Vec<Tag> Log1pUnit(Tag d, hn::Vec<Tag> z) {
  const auto s = hn::Div(z, hn::Add(z, hn::Set(d, 2.0f)));
  const auto u = hn::Mul(s, s);
  // 2 atanh s = 2s + s³ l(s²), off by at most 1.2e-10 of itself.
  auto l = hn::MulAdd(hn::Set(d, 0.243559018f), u, hn::Set(d, 0.214144886f));
  l = hn::MulAdd(l, u, hn::Set(d, 0.286179513f));
  l = hn::MulAdd(l, u, hn::Set(d, 0.399988443f));
  l = hn::MulAdd(l, u, hn::Set(d, 0.666666746f));
  return hn::MulAdd(hn::Mul(s, u), l, hn::Add(s, s));
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_MATH_INL_H_
