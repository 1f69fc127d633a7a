// lp_solve_metric: all iterations of the local problem of one block of units in the metric
// of the input's second moment, and the outer step.
#include "fpmode.h"
#include "solve.h"

int64_t lp_solve_metric_scratch(int64_t batch, int64_t cols, int64_t units) noexcept {
  return lp::ScratchLen(batch, cols, units, 3, 1);
}

lp_status lp_solve_metric(int64_t batch, int64_t cols, int64_t units, const float* k, int64_t ldk,
                          const float* xp, int64_t ldxp, const float* ahat, int64_t ldahat,
                          const float* yhat, int64_t ldyhat, const float* d, int64_t ldd, float* w,
                          int64_t ldw, float* v, int64_t ldv, int32_t f, float alpha, float gamma,
                          float eta, float rate, float mu, int64_t steps, float* scratch,
                          int64_t scratch_len, lp_error* err) noexcept {
  lp::Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, k, batch, batch, ldk, lp::kBlasMax)
      .Matrix(6, xp, batch, cols, ldxp, lp::kBlasMax)
      .Matrix(12, d, batch, units, ldd)
      .Matrix(14, w, units, cols, ldw)
      .Matrix(16, v, units, cols, ldv)
      .Kind(18, f, lp::kLastTransfer)
      .Size(24, steps);
  if (f != LP_IDENTITY) {
    check.Matrix(8, ahat, batch, units, ldahat).Matrix(10, yhat, batch, units, ldyhat);
  }
  const int64_t need = lp_solve_metric_scratch(batch, cols, units);
  lp::CheckScratch(check, 25, scratch, scratch_len, need);
  if (check.failed() || steps == 0 || units == 0 || cols == 0) return check.status();

  lp::FpMode mode;
  lp::Carver carver(scratch);
  lp::Dual p{batch, units, {ahat, ldahat}, {yhat, ldyhat}, {}, {}, {}, {}, f, alpha};
  p.e = carver.Next(batch, units);
  p.z = carver.Next(batch, units);
  p.r = carver.Next(batch, units);
  const lp::Out delta = carver.Next(units, cols);

  lp::Scale(batch, units, p.e, {d, ldd}, gamma);
  lp::Scale(batch, units, p.z, p.e, -eta);
  lp_rule step{};
  step.kind = LP_SGD;
  step.c[0] = eta;
  for (int64_t t = 1; t < steps; ++t) {
    lp::Gemm(false, false, batch, units, batch, 1, {k, ldk}, p.z, 0, p.r);
    lp::ResidualUpdate(p, step);
  }
  lp::Gemm(true, false, units, cols, batch, rate, p.z, {xp, ldxp}, 0, delta);
  // V <- mu V + Delta, W <- W + mu V + Delta is Nesterov's update with rate -1.
  lp_rule outer{};
  outer.kind = LP_NESTEROV;
  outer.c[0] = -1;
  outer.c[1] = mu;
  lp::Update(outer, units, cols, {w, ldw}, {nullptr, 0}, delta, {v, ldv}, {nullptr, 0},
             {nullptr, 0});
  return LP_OK;
}
