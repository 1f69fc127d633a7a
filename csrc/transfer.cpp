// lp_apply and lp_chain: transfer functions and their derivatives.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "transfer.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math-inl.h"
#include "simd-inl.h"
#include "softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

void ApplyT(int64_t rows, int64_t cols, Out y, In a, int f, float alpha) {
  const D d;
  switch (f) {
    case LP_IDENTITY:
      return Map(
          rows, cols,
          [=](const float* in, float* out) HWY_ATTR { hn::StoreU(hn::LoadU(d, in), d, out); }, a,
          y);
    case LP_TANH:
      return Map(
          rows, cols,
          [=](const float* in, float* out)
              HWY_ATTR { hn::StoreU(Tanh(d, hn::LoadU(d, in)), d, out); },
          a, y);
    case LP_LEAKY_RELU:
      return Map(
          rows, cols,
          [=](const float* in, float* out)
              HWY_ATTR { hn::StoreU(LeakyRelu(d, hn::LoadU(d, in), alpha), d, out); },
          a, y);
    case LP_SIGMOID:
      return Map(
          rows, cols,
          [=](const float* in, float* out)
              HWY_ATTR { hn::StoreU(Sigmoid(d, hn::LoadU(d, in)), d, out); },
          a, y);
    case LP_SOFTMAX:
      for (int64_t i = 0; i < rows; ++i) Softmax(cols, y.Row(i), a.Row(i));
  }
}

void SoftmaxT(int64_t cols, float* y, const float* a) { Softmax(cols, y, a); }

void ChainT(int64_t rows, int64_t cols, Out grad, In a, In y, int f, float alpha) {
  const D d;
  switch (f) {
    case LP_TANH:  // 1 − y²
      return Map(
          rows, cols,
          [=](const float* out, float* g) HWY_ATTR {
            const V v = hn::LoadU(d, out);
            const V slope = hn::NegMulAdd(v, v, hn::Set(d, 1.0f));
            hn::StoreU(hn::Mul(hn::LoadU(d, g), slope), d, g);
          },
          y, grad);
    case LP_LEAKY_RELU:
      return Map(
          rows, cols,
          [=](const float* in, float* g) HWY_ATTR {
            const V v = hn::LoadU(d, g);
            const auto above = hn::Gt(hn::LoadU(d, in), hn::Zero(d));
            hn::StoreU(hn::IfThenElse(above, v, hn::Mul(v, hn::Set(d, alpha))), d, g);
          },
          a, grad);
    case LP_SIGMOID:  // y(1 − y)
      return Map(
          rows, cols,
          [=](const float* out, float* g) HWY_ATTR {
            const V v = hn::LoadU(d, out);
            const V slope = hn::Mul(v, hn::Sub(hn::Set(d, 1.0f), v));
            hn::StoreU(hn::Mul(hn::LoadU(d, g), slope), d, g);
          },
          y, grad);
    case LP_SOFTMAX:
      for (int64_t i = 0; i < rows; ++i) SoftmaxJacobian(cols, grad.Row(i), y.Row(i));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(ApplyT);
HWY_EXPORT(SoftmaxT);
HWY_EXPORT(ChainT);

void Apply(int64_t rows, int64_t cols, Out y, In a, int f, float alpha) noexcept {
  HWY_DYNAMIC_DISPATCH(ApplyT)(rows, cols, y, a, f, alpha);
}
void SoftmaxRow(int64_t cols, float* y, const float* a) noexcept {
  HWY_DYNAMIC_DISPATCH(SoftmaxT)(cols, y, a);
}
void Chain(int64_t rows, int64_t cols, Out d, In a, In y, int f, float alpha) noexcept {
  HWY_DYNAMIC_DISPATCH(ChainT)(rows, cols, d, a, y, f, alpha);
}
}  // namespace lp

lp_status lp_apply(int64_t rows, int64_t cols, float* y, int64_t ldy, const float* a, int64_t lda,
                   int32_t f, float alpha, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, y, rows, cols, ldy).Matrix(5, a, rows, cols, lda);
  if (check.Kind(7, f, LP_SOFTMAX).failed()) return check.status();
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
      .Kind(9, f, LP_SOFTMAX);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::Chain(rows, cols, {d, ldd}, {a, lda}, {y, ldy}, f, alpha);
  return LP_OK;
}
#endif  // HWY_ONCE
