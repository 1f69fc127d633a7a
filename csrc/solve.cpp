// lp_solve_direct: all iterations of the local problem of one block of units.
#include "solve.h"
#include "fpmode.h"

int64_t lp_solve_direct_scratch(int64_t batch, int64_t cols, int64_t units) noexcept {
  return lp::ScratchLen(batch, cols, units, 2, 2);
}

lp_status lp_solve_direct(int64_t batch, int64_t cols, int64_t units, const float* x, int64_t ldx,
                          const float* ahat, int64_t ldahat, const float* yhat, int64_t ldyhat,
                          const float* d, int64_t ldd, float* w, int64_t ldw, float* s0,
                          int64_t lds0, float* s1, int64_t lds1, float* s2, int64_t lds2, int32_t f,
                          float alpha, float gamma, const lp_rule* rules, int64_t steps,
                          float* scratch, int64_t scratch_len, lp_error* err) noexcept {
  lp::Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, x, batch, cols, ldx, lp::kBlasMax)
      .Matrix(10, d, batch, units, ldd)
      .Matrix(12, w, units, cols, ldw)
      .Kind(20, f, lp::kLastTransfer)
      .Size(24, steps)
      .Require(steps <= 0 || rules != nullptr, LP_NULL, 23, 0, 0);
  if (f != LP_IDENTITY) {
    check.Matrix(6, ahat, batch, units, ldahat).Matrix(8, yhat, batch, units, ldyhat);
  }
  if (check.failed()) return check.status();
  const int slots = lp::CheckRules(check, 23, rules, steps);
  if (slots > 0) check.Matrix(14, s0, units, cols, lds0);
  if (slots > 1) check.Matrix(16, s1, units, cols, lds1);
  if (slots > 2) check.Matrix(18, s2, units, cols, lds2);
  const int64_t need = lp_solve_direct_scratch(batch, cols, units);
  lp::CheckScratch(check, 25, scratch, scratch_len, need);
  if (check.failed() || units == 0 || cols == 0) return check.status();

  lp::FpMode mode;
  lp::Carver carver(scratch);
  const lp::Out e = carver.Next(batch, units);
  const lp::Out da = carver.Next(batch, units);
  const lp::Out delta = carver.Next(units, cols);
  const lp::Out g = carver.Next(units, cols);
  const lp::In x_in{x, ldx};
  lp::Zero(units * cols, delta.data);
  lp::Scale(batch, units, e, {d, ldd}, gamma);
  for (int64_t t = 0; t < steps; ++t) {
    lp::In r = e;
    if (t > 0) {
      lp::Affine(batch, cols, units, da, x_in, delta);
      lp::Residual(batch, units, da, da, {ahat, ldahat}, {yhat, ldyhat}, e, f, alpha);
      r = da;
    }
    lp::Grad(batch, cols, units, g, r, x_in);
    lp::Update(rules[t], units, cols, delta, {w, ldw}, g, {s0, lds0}, {s1, lds1}, {s2, lds2});
  }
  lp::AddInto(units, cols, {w, ldw}, delta);
  return LP_OK;
}
