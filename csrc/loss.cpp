// lp_loss: a loss summed in float64, and its derivative.
#include <cmath>

#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loss.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math-inl.h"
#include "simd-inl.h"
#include "softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// max(a, 0) − a t + log(1 + e^−|a|), the first two as |a|(1 − t) or |a| t: no cancellation
// for a target in [0, 1], so float terms are good to a few ulp each.
V64 SigmoidCrossEntropy(int64_t cols, const float* a, const float* t, V64 acc) {
  const DH d;
  RunHalf(
      cols,
      [&](int64_t count, const float* pa, const float* pt) HWY_ATTR {
        const VH x = hn::LoadU(d, pa);
        const VH target = hn::LoadU(d, pt);
        const VH magnitude = hn::Abs(x);
        const VH share =
            hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Sub(hn::Set(d, 1.0f), target), target);
        const VH rest = Log1pUnit(d, ExpNegative(d, hn::Neg(magnitude)));
        acc = hn::Add(acc, Widen(count, hn::MulAdd(magnitude, share, rest)));
      },
      a, t);
  return acc;
}

// log Σe^a · Σt − ⟨t, a⟩ = log Σe^(a − top) · Σt + Σ t (top − a), where the second form
// doesn't cancel.
double SoftmaxCrossEntropy(int64_t cols, const float* a, const float* t) {
  const DH d;
  const D64 d64;
  const float top = RowMax(cols, a);
  V64 exps = hn::Zero(d64);
  V64 targets = hn::Zero(d64);
  V64 below = hn::Zero(d64);
  RunHalf(
      cols,
      [&](int64_t count, const float* pa, const float* pt) HWY_ATTR {
        const VH x = hn::LoadU(d, pa);
        const V64 target = Widen(count, hn::LoadU(d, pt));
        exps = hn::Add(exps, Widen(count, ExpBelow(x, top)));
        targets = hn::Add(targets, target);
        const V64 gap = hn::Sub(hn::Set(d64, static_cast<double>(top)), hn::PromoteTo(d64, x));
        below = hn::MulAdd(target, gap, below);
      },
      a, t);
  return std::log(SumLanes(exps)) * SumLanes(targets) + SumLanes(below);
}

V64 SquaredError(int64_t cols, const float* y, const float* t, V64 acc) {
  const DH d;
  const D64 d64;
  RunHalf(
      cols,
      [&](int64_t, const float* py, const float* pt) HWY_ATTR {  // padding is 0 − 0
        const V64 e =
            hn::Sub(hn::PromoteTo(d64, hn::LoadU(d, py)), hn::PromoteTo(d64, hn::LoadU(d, pt)));
        acc = hn::MulAdd(e, e, acc);
      },
      y, t);
  return acc;
}

double SumT(int64_t rows, int64_t cols, In a, In y, In t, int loss) {
  V64 acc = hn::Zero(D64());
  double sum = 0;
  for (int64_t i = 0; i < rows; ++i) {
    switch (loss) {
      case LP_SIGMOID_CE:
        acc = SigmoidCrossEntropy(cols, a.Row(i), t.Row(i), acc);
        break;
      case LP_SOFTMAX_CE:
        sum += SoftmaxCrossEntropy(cols, a.Row(i), t.Row(i));
        break;
      case LP_SQUARED:
        acc = SquaredError(cols, y.Row(i), t.Row(i), acc);
        break;
    }
  }
  if (loss == LP_SOFTMAX_CE) return sum;
  return (loss == LP_SQUARED ? 0.5 : 1.0) * SumLanes(acc);
}

void DifferenceT(int64_t rows, int64_t cols, Out g, In y, In t, float scale) {
  const D d;
  Map(
      rows, cols,
      [=](const float* py, const float* pt, float* pg) HWY_ATTR {
        const V e = hn::Sub(hn::LoadU(d, py), hn::LoadU(d, pt));
        hn::StoreU(hn::Mul(e, hn::Set(d, scale)), d, pg);
      },
      y, t, g);
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(SumT);
HWY_EXPORT(DifferenceT);
}  // namespace lp

lp_status lp_loss(int64_t rows, int64_t cols, float* d, int64_t ldd, const float* a, int64_t lda,
                  const float* y, int64_t ldy, const float* t, int64_t ldt, int32_t f, float alpha,
                  int32_t loss, float t1, float scale, double* sum, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows)
      .Size(2, cols)
      .Matrix(5, a, rows, cols, lda)
      .Matrix(7, y, rows, cols, ldy)
      .Matrix(9, t, rows, cols, ldt)
      .Kind(11, f, lp::kLastTransfer)
      .Kind(13, loss, lp::kLastLoss)
      .NotNull(16, sum);
  if (d != nullptr) check.Matrix(3, d, rows, cols, ldd);
  if (loss == LP_SIGMOID_CE) check.Require(f == LP_SIGMOID, LP_KIND, 11, f, LP_SIGMOID);
  if (loss == LP_SOFTMAX_CE) check.Require(f == LP_SOFTMAX, LP_KIND, 11, f, LP_SOFTMAX);
  if (loss == LP_BI_TEMPERED) {
    check.Require(lp::CouplesRows(f), LP_KIND, 11, f, LP_TEMPERED_SOFTMAX);
  }
  if (check.failed()) return check.status();
  lp::FpMode mode;
  *sum = 0;
  if (rows == 0 || cols == 0) return LP_OK;
  using namespace lp;
  if (loss == LP_BI_TEMPERED) {
    const float t2 = f == LP_SOFTMAX ? 1 : alpha;
    *sum = BiTempered(rows, cols, {d, ldd}, {a, lda}, {t, ldt}, t1, t2, scale);
    return LP_OK;
  }
  const In y_in{y, ldy};
  const In t_in{t, ldt};
  *sum = HWY_DYNAMIC_DISPATCH(SumT)(rows, cols, {a, lda}, y_in, t_in, loss);
  if (d == nullptr) return LP_OK;
  HWY_DYNAMIC_DISPATCH(DifferenceT)(rows, cols, {d, ldd}, y_in, t_in, scale);
  if (loss == LP_SQUARED) Chain(rows, cols, {d, ldd}, {a, lda}, y_in, f, alpha);
  return LP_OK;
}
#endif  // HWY_ONCE
