// lp_solve_kernel: all iterations of the local problem of one block of units in the
// kernel (dual) form.
#include "fpmode.h"
#include "solve.h"

namespace lp {
namespace {

constexpr bool IsLinear(int kind) {
  return kind == LP_SGD || kind == LP_MOMENTUM || kind == LP_NESTEROV || kind == LP_MOMENTUM_BUFFER;
}

}  // namespace
}  // namespace lp

int64_t lp_solve_kernel_scratch(int64_t batch, int64_t cols, int64_t units) noexcept {
  return lp::ScratchLen(batch, cols, units, 5, 1);
}

lp_status lp_solve_kernel(int64_t batch, int64_t cols, int64_t units, const float* x, int64_t ldx,
                          const float* k, int64_t ldk, const float* ahat, int64_t ldahat,
                          const float* yhat, int64_t ldyhat, const float* d, int64_t ldd, float* w,
                          int64_t ldw, float* v, int64_t ldv, const float* share, float velocity,
                          int32_t f, float alpha, float gamma, const lp_rule* rules, int64_t steps,
                          float* scratch, int64_t scratch_len, lp_error* err) noexcept {
  lp::Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, x, batch, cols, ldx, lp::kBlasMax)
      .Matrix(6, k, batch, batch, ldk, lp::kBlasMax)
      .Matrix(12, d, batch, units, ldd)
      .Matrix(14, w, units, cols, ldw)
      .Kind(20, f, lp::kLastTransfer)
      .Size(24, steps)
      .Require(steps <= 0 || rules != nullptr, LP_NULL, 23, 0, 0);
  if (f != LP_IDENTITY) {
    check.Matrix(8, ahat, batch, units, ldahat).Matrix(10, yhat, batch, units, ldyhat);
  }
  const bool carried = v != nullptr;
  if (carried) check.Matrix(16, v, units, cols, ldv, lp::kBlasMax).NotNull(18, share);
  if (check.failed()) return check.status();
  const int slots = lp::CheckRules(check, 23, rules, steps);
  for (int64_t t = 0; t < steps; ++t) {
    check.Require(lp::IsLinear(rules[t].kind), LP_KIND, 23, rules[t].kind, LP_NESTEROV);
  }
  const int64_t need = lp_solve_kernel_scratch(batch, cols, units);
  lp::CheckScratch(check, 25, scratch, scratch_len, need);
  if (check.failed() || units == 0 || cols == 0) return check.status();

  lp::FpMode mode;
  lp::Carver carver(scratch);
  lp::Dual p{batch, units, {ahat, ldahat}, {yhat, ldyhat}, {}, {}, {}, {}, f, alpha};
  p.e = carver.Next(batch, units);
  p.z = carver.Next(batch, units);
  p.r = carver.Next(batch, units);
  const lp::Out start = carver.Next(batch, units);  // A0 = X V0'
  p.u = carver.Next(batch, units);
  const lp::Out delta = carver.Next(units, cols);
  const lp::In x_in{x, ldx};
  const lp::Out velocities{v, ldv};

  lp::Scale(batch, units, p.e, {d, ldd}, gamma);
  lp::Zero(batch * units, p.z.data);
  if (slots > 0) lp::Zero(batch * units, p.u.data);
  if (carried) lp::Affine(batch, cols, units, start, x_in, velocities);
  for (int64_t t = 0; t < steps; ++t) {
    if (t == 0) {
      lp::Update(rules[t], batch, units, p.z, {nullptr, 0}, p.e, p.u, {nullptr, 0}, {nullptr, 0});
      continue;
    }
    if (carried) lp::Scale(batch, units, p.r, start, share[t]);
    lp::Gemm(false, false, batch, units, batch, 1, {k, ldk}, p.z, carried ? 1 : 0, p.r);
    lp::ResidualUpdate(p, rules[t]);
  }
  if (carried) lp::Scale(units, cols, delta, velocities, share[steps]);
  lp::Gemm(true, false, units, cols, batch, 1, p.z, x_in, carried ? 1 : 0, delta);
  if (carried && slots > 0) {
    lp::Gemm(true, false, units, cols, batch, 1, p.u, x_in, velocity, velocities);
  }
  lp::AddInto(units, cols, {w, ldw}, delta);
  return LP_OK;
}
