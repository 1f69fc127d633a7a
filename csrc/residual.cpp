// lp_residual: the gradient in A of a local problem, fused with the transfer function.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residual.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math-inl.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

struct TanhF {
  HWY_INLINE V operator()(V a) const { return Tanh(D(), a); }
};

struct SigmoidF {
  HWY_INLINE V operator()(V a) const { return Sigmoid(D(), a); }
};

struct LeakyReluF {
  float alpha;
  HWY_INLINE V operator()(V a) const { return LeakyRelu(D(), a, alpha); }
};

template <class F>
HWY_INLINE void Matching(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e,
                         const F f) {
  const D d;
  Map(
      rows, cols,
      [=](const float* pda, const float* pa, const float* py, const float* pe, float* pr) HWY_ATTR {
        const V a = hn::Add(hn::LoadU(d, pa), hn::LoadU(d, pda));
        const V moved = hn::Sub(f(a), hn::LoadU(d, py));
        hn::StoreU(hn::Add(moved, hn::LoadU(d, pe)), d, pr);
      },
      da, ahat, yhat, e, r);
}

HWY_INLINE void Squared(int64_t rows, int64_t cols, Out r, In da, In e) {
  const D d;
  Map(
      rows, cols,
      [=](const float* pda, const float* pe, float* pr)
          HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, pda), hn::LoadU(d, pe)), d, pr); },
      da, e, r);
}

HWY_INLINE void SoftmaxMatching(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e) {
  const D d;
  for (int64_t i = 0; i < rows; ++i) {
    Run(
        cols,
        [=](const float* pda, const float* pa, float* pr)
            HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, pa), hn::LoadU(d, pda)), d, pr); },
        da.Row(i), ahat.Row(i), r.Row(i));
    SoftmaxRow(cols, r.Row(i), r.Row(i));
    Run(
        cols,
        [=](const float* py, const float* pe, float* pr) HWY_ATTR {
          const V moved = hn::Sub(hn::LoadU(d, pr), hn::LoadU(d, py));
          hn::StoreU(hn::Add(moved, hn::LoadU(d, pe)), d, pr);
        },
        yhat.Row(i), e.Row(i), r.Row(i));
  }
}

void ResidualT(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e, int f,
               float alpha) {
  switch (f) {
    case LP_IDENTITY:
      return Squared(rows, cols, r, da, e);
    case LP_TANH:
      return Matching(rows, cols, r, da, ahat, yhat, e, TanhF{});
    case LP_LEAKY_RELU:
      return Matching(rows, cols, r, da, ahat, yhat, e, LeakyReluF{alpha});
    case LP_SIGMOID:
      return Matching(rows, cols, r, da, ahat, yhat, e, SigmoidF{});
    case LP_SOFTMAX:
      return SoftmaxMatching(rows, cols, r, da, ahat, yhat, e);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(ResidualT);

void Residual(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e, int f,
              float alpha) noexcept {
  HWY_DYNAMIC_DISPATCH(ResidualT)(rows, cols, r, da, ahat, yhat, e, f, alpha);
}
}  // namespace lp

lp_status lp_residual(int64_t rows, int64_t cols, float* r, int64_t ldr, const float* da,
                      int64_t ldda, const float* ahat, int64_t ldahat, const float* yhat,
                      int64_t ldyhat, const float* e, int64_t lde, int32_t f, float alpha,
                      lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows)
      .Size(2, cols)
      .Matrix(3, r, rows, cols, ldr)
      .Matrix(5, da, rows, cols, ldda)
      .Matrix(11, e, rows, cols, lde)
      .Kind(13, f, LP_SOFTMAX);
  if (f != LP_IDENTITY) {
    check.Matrix(7, ahat, rows, cols, ldahat).Matrix(9, yhat, rows, cols, ldyhat);
  }
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::Residual(rows, cols, {r, ldr}, {da, ldda}, {ahat, ldahat}, {yhat, ldyhat}, {e, lde}, f,
               alpha);
  return LP_OK;
}
#endif  // HWY_ONCE
