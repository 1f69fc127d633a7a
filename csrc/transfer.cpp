// lp_apply and lp_chain: transfer functions and their derivatives.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "transfer.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "simd-inl.h"
#include "softmax-inl.h"
#include "transfer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

void ApplyT(int64_t rows, int64_t cols, Out y, In a, int f, float alpha) {
  const D d;
  if (f == LP_SOFTMAX) {
    for (int64_t i = 0; i < rows; ++i) Softmax(cols, y.Row(i), a.Row(i));
    return;
  }
  if (f == LP_IDENTITY) {
    return Map(
        rows, cols,
        [=](const float* in, float* out) HWY_ATTR { hn::StoreU(hn::LoadU(d, in), d, out); }, a, y);
  }
  WithTransfer(f, alpha, [=](auto function) HWY_ATTR {
    Map(
        rows, cols,
        [=](const float* in, float* out)
            HWY_ATTR { hn::StoreU(function.Value(hn::LoadU(d, in)), d, out); },
        a, y);
  });
}

void ChainT(int64_t rows, int64_t cols, Out grad, In a, In y, int f, float alpha) {
  const D d;
  if (f == LP_SOFTMAX) {
    for (int64_t i = 0; i < rows; ++i) SoftmaxJacobian(cols, grad.Row(i), y.Row(i));
    return;
  }
  WithTransfer(f, alpha, [=](auto function) HWY_ATTR {  // none for the identity
    Map(
        rows, cols,
        [=](const float* x, float* g)
            HWY_ATTR { hn::StoreU(function.Chained(hn::LoadU(d, g), hn::LoadU(d, x)), d, g); },
        function.kSlopeOfOutput ? y : a, grad);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(ApplyT);
HWY_EXPORT(ChainT);

void Apply(int64_t rows, int64_t cols, Out y, In a, int f, float alpha) noexcept {
  if (f == LP_TEMPERED_SOFTMAX) return TemperedSoftmax(rows, cols, y, a, alpha);
  HWY_DYNAMIC_DISPATCH(ApplyT)(rows, cols, y, a, f, alpha);
}
void Chain(int64_t rows, int64_t cols, Out d, In a, In y, int f, float alpha) noexcept {
  if (f == LP_TEMPERED_SOFTMAX) return TemperedJacobian(rows, cols, d, y, alpha);
  HWY_DYNAMIC_DISPATCH(ChainT)(rows, cols, d, a, y, f, alpha);
}
}  // namespace lp

lp_status lp_apply(int64_t rows, int64_t cols, float* y, int64_t ldy, const float* a, int64_t lda,
                   int32_t f, float alpha, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, y, rows, cols, ldy).Matrix(5, a, rows, cols, lda);
  if (check.Kind(7, f, lp::kLastTransfer).failed()) return check.status();
  lp::FpMode mode;
  lp::Apply(rows, cols, {y, ldy}, {a, lda}, f, alpha);
  return LP_OK;
}

lp_status lp_chain(int64_t rows, int64_t cols, float* d, int64_t ldd, const float* a, int64_t lda,
                   const float* y, int64_t ldy, int32_t f, float alpha, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows)
      .Size(2, cols)
      .Matrix(3, d, rows, cols, ldd)
      .Matrix(5, a, rows, cols, lda)
      .Matrix(7, y, rows, cols, ldy)
      .Kind(9, f, lp::kLastTransfer);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::Chain(rows, cols, {d, ldd}, {a, lda}, {y, ldy}, f, alpha);
  return LP_OK;
}
#endif  // HWY_ONCE
