// lp_solve_gram: all iterations of LocoProp-S's local problem of one block of units by way
// of the input's second moment.
#include "fpmode.h"
#include "solve.h"

int64_t lp_solve_gram_scratch(int64_t cols, int64_t units) noexcept {
  return lp::ScratchLen(0, cols, units, 0, 3);
}

lp_status lp_solve_gram(int64_t batch, int64_t cols, int64_t units, const float* x, int64_t ldx,
                        const float* c, int64_t ldc, const float* d, int64_t ldd, float* w,
                        int64_t ldw, float* s0, int64_t lds0, float* s1, int64_t lds1, float* s2,
                        int64_t lds2, float gamma, const lp_rule* rules, int64_t steps,
                        float* scratch, int64_t scratch_len, lp_error* err) noexcept {
  lp::Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, x, batch, cols, ldx, lp::kBlasMax)
      .Matrix(6, c, cols, cols, ldc, lp::kBlasMax)
      .Matrix(8, d, batch, units, ldd, lp::kBlasMax)
      .Matrix(10, w, units, cols, ldw)
      .Size(20, steps)
      .Require(steps <= 0 || rules != nullptr, LP_NULL, 19, 0, 0);
  if (check.failed()) return check.status();
  const int slots = lp::CheckRules(check, 19, rules, steps);
  if (slots > 0) check.Matrix(12, s0, units, cols, lds0);
  if (slots > 1) check.Matrix(14, s1, units, cols, lds1);
  if (slots > 2) check.Matrix(16, s2, units, cols, lds2);
  const int64_t need = lp_solve_gram_scratch(cols, units);
  lp::CheckScratch(check, 21, scratch, scratch_len, need);
  if (check.failed() || units == 0 || cols == 0) return check.status();

  lp::FpMode mode;
  lp::Carver carver(scratch);
  const lp::Out first = carver.Next(units, cols);
  const lp::Out delta = carver.Next(units, cols);
  const lp::Out g = carver.Next(units, cols);
  const int64_t count = units * cols;
  lp::Zero(count, delta.data);
  lp::Gemm(true, false, units, cols, batch, gamma, {d, ldd}, {x, ldx}, 0, first);
  for (int64_t t = 0; t < steps; ++t) {
    if (t > 0) {
      for (int64_t i = 0; i < count; ++i) g.data[i] = first.data[i];
      lp::Gemm(false, false, units, cols, cols, 1, delta, {c, ldc}, 1, g);
    }
    lp::Update(rules[t], units, cols, delta, {w, ldw}, t > 0 ? g : first, {s0, lds0}, {s1, lds1},
               {s2, lds2});
  }
  lp::AddInto(units, cols, {w, ldw}, delta);
  return LP_OK;
}
