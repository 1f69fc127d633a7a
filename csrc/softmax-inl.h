// Softmax over a row, its Jacobian, and log-sum-exp; sums in float64, in an order that
// only the row's length decides. Compiled once per Highway target.
#if defined(LP_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LP_SOFTMAX_INL_H_
#undef LP_SOFTMAX_INL_H_
#else
#define LP_SOFTMAX_INL_H_
#endif

#include "math-inl.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// Calls f(count, p + i ...) for every DH vector of a row, of which count lanes are the
// row's: the last one, in padded copies, may have fewer than all.
template <class F, class... P>
HWY_INLINE void RunHalf(int64_t cols, const F& f, P*... p) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(DH()));
  int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) f(lanes, (p + i)...);
  if (i < cols) f(cols - i, Padded<P>(p + i, cols - i).lanes()...);
}

HWY_INLINE double SumLanes(V64 v) { return hn::GetLane(hn::SumOfLanes(D64(), v)); }

// v widened, with lanes from count on at 0.
HWY_INLINE V64 Widen(int64_t count, VH v) {
  const DH d;
  return hn::PromoteTo(D64(), hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(count)), v));
}

// The largest element; where there are NaNs, of some others.
HWY_INLINE float RowMax(int64_t cols, const float* a) {
  const DH d;
  const VH lowest = hn::Neg(hn::Inf(d));
  VH top = lowest;
  RunHalf(
      cols,
      [&](int64_t count, const float* p) HWY_ATTR {
        const auto valid = hn::FirstN(d, static_cast<size_t>(count));
        top = hn::Max(top, hn::IfThenElse(valid, hn::LoadU(d, p), lowest));
      },
      a);
  return hn::GetLane(hn::MaxOfLanes(d, top));
}

// e^(a − top) for a ≤ top. The difference's own rounding error, up to ½ ulp of a large
// number, would become a relative error of the result, so it is put back.
HWY_INLINE VH ExpBelow(VH a, float top) {
  const DH d;
  const VH t = hn::Set(d, top);
  const VH x = hn::Sub(a, t);
  const VH b = hn::Sub(x, a);
  const VH rest = hn::Sub(hn::Sub(a, hn::Sub(x, b)), hn::Add(t, b));
  const VH e = ExpNegative(d, x);
  // Below −104 e is 0, and at −∞ the rest is NaN.
  return hn::MulAdd(e, hn::IfThenElseZero(hn::Gt(x, hn::Set(d, -104.0f)), rest), e);
}

// y = softmax(a); y may be a.
HWY_INLINE void Softmax(int64_t cols, float* y, const float* a) {
  const DH d;
  const float top = RowMax(cols, a);
  V64 acc = hn::Zero(D64());
  RunHalf(
      cols,
      [&](int64_t count, const float* in, float* out) HWY_ATTR {
        const VH e = ExpBelow(hn::LoadU(d, in), top);
        hn::StoreU(e, d, out);
        acc = hn::Add(acc, Widen(count, e));
      },
      a, y);
  const float sum = static_cast<float>(SumLanes(acc));
  RunHalf(
      cols,
      [&](int64_t, float* out)
          HWY_ATTR { hn::StoreU(hn::Div(hn::LoadU(d, out), hn::Set(d, sum)), d, out); },
      y);
}

// g = (diag(y) − y yᵀ) g, in float64.
HWY_INLINE void SoftmaxJacobian(int64_t cols, float* g, const float* y) {
  const DH d;
  const D64 d64;
  V64 acc = hn::Zero(d64);
  RunHalf(
      cols,
      [&](int64_t count, const float* py, const float* pg) HWY_ATTR {
        acc = hn::MulAdd(Widen(count, hn::LoadU(d, py)), Widen(count, hn::LoadU(d, pg)), acc);
      },
      y, static_cast<const float*>(g));
  const double dot = SumLanes(acc);
  RunHalf(
      cols,
      [&](int64_t, const float* py, float* pg) HWY_ATTR {
        const V64 rest = hn::Sub(hn::PromoteTo(d64, hn::LoadU(d, pg)), hn::Set(d64, dot));
        const V64 v = hn::Mul(hn::PromoteTo(d64, hn::LoadU(d, py)), rest);
        hn::StoreU(Narrow(v), d, pg);
      },
      y, g);
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_SOFTMAX_INL_H_
