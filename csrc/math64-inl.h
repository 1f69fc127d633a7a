// exp and log on vectors of float64, good to about 1e-15 of themselves: for results in float32,
// where the last bits don't count but an absolute error of a logarithm does. Compiled once per
// Highway target.
#if defined(LP_MATH64_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LP_MATH64_INL_H_
#undef LP_MATH64_INL_H_
#else
#define LP_MATH64_INL_H_
#endif

#include <limits>

#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

HWY_INLINE V64 Set64(double v) { return hn::Set(D64(), v); }
HWY_INLINE V64 Load64(const float* p) { return hn::PromoteTo(D64(), hn::LoadU(DH(), p)); }

// v with lanes from count on at 0.
HWY_INLINE V64 KeepFirst(int64_t count, V64 v) {
  return hn::IfThenElseZero(hn::FirstN(D64(), static_cast<size_t>(count)), v);
}

// c[0] + c[1] x + … by Horner's rule.
template <size_t kCount>
HWY_INLINE V64 Polynomial(D64 d, V64 x, const double (&c)[kCount]) {
  V64 p = hn::Set(d, c[kCount - 1]);
  for (size_t i = kCount - 1; i-- > 0;) p = hn::MulAdd(p, x, hn::Set(d, c[i]));
  return p;
}

struct Exponential {
  V64 value, minus_one;  // e^x and e^x − 1, the latter without cancellation
};

// e^x for x up to 700; below −700 as at −700, which is 0 as a float.
HWY_INLINE Exponential Exp(D64 d, V64 x) {
  const hn::Rebind<int64_t, D64> di;
  const V64 lowest = hn::Set(d, -700.0);
  x = hn::IfThenElse(hn::Lt(x, lowest), lowest, x);  // keeps NaN
  // x = k ln 2 + r, k in the low bits of a sum and ln 2 in two parts, as in math-inl.h.
  const V64 magic = hn::Set(d, 6755399441055744.0);  // 1.5·2⁵²
  const V64 biased = hn::MulAdd(x, hn::Set(d, 1.4426950408889634), magic);
  const V64 k = hn::Sub(biased, magic);
  V64 r = hn::NegMulAdd(k, hn::Set(d, 0.693147180369123816), x);
  r = hn::NegMulAdd(k, hn::Set(d, 1.90821492927058770e-10), r);
  // e^r − 1 = r + r² q(r), Taylor's series.
  constexpr double kInverse[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,       1.0 / 120,
                                 1.0 / 720,     1.0 / 5040,     1.0 / 40320,    1.0 / 362880,
                                 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600};
  const V64 p = hn::MulAdd(hn::Mul(r, r), Polynomial(d, r, kInverse), r);
  const V64 scale = hn::BitCast(
      d, hn::ShiftLeft<52>(hn::Add(hn::BitCast(di, biased), hn::Set(di, int64_t{1023}))));
  return {hn::MulAdd(scale, p, scale), hn::MulAdd(scale, p, hn::Sub(scale, hn::Set(d, 1.0)))};
}

// log x for normal x > 0, ∞ and NaN; at 0 it is −709, as good as −∞ where float32 results are
// made of it.
HWY_INLINE V64 Log(D64 d, V64 x) {
  const hn::Rebind<uint64_t, D64> du;
  // x = 2^e m with m between √½ and √2.
  const auto bits = hn::BitCast(du, x);
  const auto one = hn::BitCast(du, hn::Set(d, 1.0));
  const auto half_root = hn::BitCast(du, hn::Set(d, 0.70710678118654752));
  const auto e = hn::ShiftRight<52>(hn::Add(bits, hn::Sub(one, half_root)));  // with its bias
  const V64 m = hn::BitCast(d, hn::Add(hn::Sub(bits, hn::ShiftLeft<52>(e)), one));
  const V64 high = hn::Set(d, 4503599627370496.0);  // 2⁵², whose low bits hold an integer
  const V64 k = hn::Sub(hn::BitCast(d, hn::Or(e, hn::BitCast(du, high))),
                        hn::Set(d, 4503599627370496.0 + 1023));
  // log m = 2 atanh s with s = (m − 1)/(m + 1) ≤ 0.172: 2s + s³ q(s²), Taylor's series.
  const V64 s = hn::Div(hn::Sub(m, hn::Set(d, 1.0)), hn::Add(m, hn::Set(d, 1.0)));
  const V64 u = hn::Mul(s, s);
  constexpr double kOdd[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9, 2.0 / 11,
                             2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19};
  const V64 log_m = hn::MulAdd(hn::Mul(s, u), Polynomial(d, u, kOdd), hn::Add(s, s));
  const V64 log = hn::MulAdd(k, hn::Set(d, 0.69314718055994531), log_m);
  return hn::IfThenElse(hn::Lt(x, hn::Inf(d)), log, x);
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_MATH64_INL_H_
