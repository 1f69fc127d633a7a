// lp_solve_direct: all iterations of the local problem of one block of units.
#include "blas.h"
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

namespace lp {
namespace {

// The four matrices of a block in the caller's scratch, without gaps between rows, each
// from a multiple of 16 floats.
constexpr int64_t RoundUp(int64_t n) { return (n + 15) & ~INT64_C(15); }

struct Scratch {
  Out e, da, delta, g;

  Scratch(float* memory, int64_t batch, int64_t cols, int64_t units) noexcept {
    const int64_t activations = RoundUp(batch * units);
    const int64_t weights = RoundUp(units * cols);
    e = {memory, units};
    da = {memory + activations, units};
    delta = {memory + 2 * activations, cols};
    g = {memory + 2 * activations + weights, cols};
  }
};

void Zero(int64_t count, float* p) noexcept {
  for (int64_t i = 0; i < count; ++i) p[i] = 0;
}

Check& Sizes(Check& check, int64_t batch, int64_t cols, int64_t units) noexcept {
  return check.Size(1, batch, kBlasMax).Size(2, cols, kBlasMax).Size(3, units, kBlasMax);
}

// Every rule known and with as many slots as the first, which is returned.
int CheckRules(Check& check, int arg, const lp_rule* rules, int64_t steps) noexcept {
  int slots = 0;
  for (int64_t t = 0; t < steps && !check.failed(); ++t) {
    const int kind = rules[t].kind;
    check.Kind(arg, kind, kLastRule);
    if (t == 0) slots = Slots(kind);
    check.Require(Slots(kind) == slots, LP_KIND, arg, kind, rules[0].kind);
  }
  return slots;
}

}  // namespace
}  // namespace lp

int64_t lp_solve_direct_scratch(int64_t batch, int64_t cols, int64_t units) noexcept {
  lp::Check check(nullptr);
  if (lp::Sizes(check, batch, cols, units).failed()) return INT64_MAX;
  const int64_t half = lp::RoundUp(batch * units) + lp::RoundUp(units * cols);  // below 2⁶³
  return half > INT64_MAX / 2 ? INT64_MAX : 2 * half;
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
  check.Require(scratch_len >= need, LP_SCRATCH, 26, scratch_len, need)
      .Require(scratch != nullptr || need == 0, LP_NULL, 25, 0, need);
  if (check.failed() || units == 0 || cols == 0) return check.status();

  lp::FpMode mode;
  const lp::Scratch m(scratch, batch, cols, units);
  const lp::In x_in{x, ldx};
  lp::Zero(units * cols, m.delta.data);
  lp::Scale(batch, units, m.e, {d, ldd}, gamma);
  for (int64_t t = 0; t < steps; ++t) {
    lp::In r = m.e;
    if (t > 0) {
      lp::Affine(batch, cols, units, m.da, x_in, m.delta);
      lp::Residual(batch, units, m.da, m.da, {ahat, ldahat}, {yhat, ldyhat}, m.e, f, alpha);
      r = m.da;
    }
    lp::Grad(batch, cols, units, m.g, r, x_in);
    lp::Update(rules[t], units, cols, m.delta, {w, ldw}, m.g, {s0, lds0}, {s1, lds1}, {s2, lds2});
  }
  lp::AddInto(units, cols, {w, ldw}, m.delta);
  return LP_OK;
}
