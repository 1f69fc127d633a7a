// lp_residual: the gradient in A of a local problem, fused with the transfer function.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residual.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "simd-inl.h"
#include "transfer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

template <class F>
HWY_INLINE void Matching(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e,
                         const F f) {
  const D d;
  Map(
      rows, cols,
      [=](const float* pda, const float* pa, const float* py, const float* pe, float* pr) HWY_ATTR {
        const V a = hn::Add(hn::LoadU(d, pa), hn::LoadU(d, pda));
        const V moved = hn::Sub(f.Value(a), hn::LoadU(d, py));
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

// For f that couple a row.
HWY_INLINE void RowMatching(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e, int f,
                            float alpha) {
  const D d;
  for (int64_t i = 0; i < rows; ++i) {
    Run(
        cols,
        [=](const float* pda, const float* pa, float* pr)
            HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, pa), hn::LoadU(d, pda)), d, pr); },
        da.Row(i), ahat.Row(i), r.Row(i));
    const Out row{r.Row(i), cols};
    Apply(1, cols, row, row, f, alpha);
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
  if (f == LP_IDENTITY) return Squared(rows, cols, r, da, e);
  if (CouplesRows(f)) return RowMatching(rows, cols, r, da, ahat, yhat, e, f, alpha);
  WithTransfer(f, alpha, [=](auto function) HWY_ATTR {
    Matching(rows, cols, r, da, ahat, yhat, e, function);
  });
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
      .Kind(13, f, lp::kLastTransfer);
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
