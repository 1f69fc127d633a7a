// lp_scale and lp_add_into.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "scale.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

void ScaleT(int64_t rows, int64_t cols, Out e, In grad, float gamma) {
  const D d;
  Map(
      rows, cols,
      [=](const float* in, float* out)
          HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, in), hn::Set(d, gamma)), d, out); },
      grad, e);
}

void AddIntoT(int64_t rows, int64_t cols, Out w, In delta) {
  const D d;
  Map(
      rows, cols,
      [=](const float* in, float* out)
          HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, out), hn::LoadU(d, in)), d, out); },
      delta, w);
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(ScaleT);
HWY_EXPORT(AddIntoT);

void Scale(int64_t rows, int64_t cols, Out e, In d, float gamma) noexcept {
  HWY_DYNAMIC_DISPATCH(ScaleT)(rows, cols, e, d, gamma);
}
void AddInto(int64_t rows, int64_t cols, Out w, In delta) noexcept {
  HWY_DYNAMIC_DISPATCH(AddIntoT)(rows, cols, w, delta);
}
}  // namespace lp

lp_status lp_scale(int64_t rows, int64_t cols, float* e, int64_t lde, const float* d, int64_t ldd,
                   float gamma, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, e, rows, cols, lde).Matrix(5, d, rows, cols, ldd);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::Scale(rows, cols, {e, lde}, {d, ldd}, gamma);
  return LP_OK;
}

lp_status lp_add_into(int64_t rows, int64_t cols, float* w, int64_t ldw, const float* delta,
                      int64_t lddelta, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows)
      .Size(2, cols)
      .Matrix(3, w, rows, cols, ldw)
      .Matrix(5, delta, rows, cols, lddelta);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::AddInto(rows, cols, {w, ldw}, {delta, lddelta});
  return LP_OK;
}
#endif  // HWY_ONCE
