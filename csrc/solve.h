// What the solvers of local problems share.
#ifndef LP_SOLVE_H_
#define LP_SOLVE_H_

#include "blas.h"
#include "check.h"
#include "dense.h"
#include "kernels.h"
#include "locoprop.h"

namespace lp {

constexpr int64_t RoundUp(int64_t n) { return (n + 15) & ~INT64_C(15); }

// Cuts matrices without gaps between rows from the caller's scratch, each from a multiple
// of 16 floats.
class Carver {
 public:
  explicit Carver(float* memory) noexcept : memory_(memory) {}
  Out Next(int64_t rows, int64_t cols) noexcept {
    const Out m{memory_, cols};
    memory_ += RoundUp(rows * cols);
    return m;
  }

 private:
  float* memory_;
};

// A length of scratch: `activations` matrices of batch x units and `weights` of units x
// cols; INT64_MAX where a size is out of range.
inline int64_t ScratchLen(int64_t batch, int64_t cols, int64_t units, int64_t activations,
                          int64_t weights) noexcept {
  Check check(nullptr);
  if (check.Size(1, batch, kBlasMax).Size(2, cols, kBlasMax).Size(3, units, kBlasMax).failed()) {
    return INT64_MAX;
  }
  const int64_t a = RoundUp(batch * units);  // below 2^63, as is w
  const int64_t w = RoundUp(units * cols);
  if (a > INT64_MAX / 8 || w > INT64_MAX / 8) return INT64_MAX;
  return activations * a + weights * w;
}

inline void Zero(int64_t count, float* p) noexcept {
  for (int64_t i = 0; i < count; ++i) p[i] = 0;
}

// Every rule known and with as many slots as the first, which is returned.
inline int CheckRules(Check& check, int arg, const lp_rule* rules, int64_t steps) noexcept {
  int slots = 0;
  for (int64_t t = 0; t < steps && !check.failed(); ++t) {
    const int kind = rules[t].kind;
    check.Kind(arg, kind, kLastRule);
    if (t == 0) slots = Slots(kind);
    check.Require(Slots(kind) == slots, LP_KIND, arg, kind, rules[0].kind);
  }
  return slots;
}

// The scratch of a solver: arguments arg and arg + 1.
inline void CheckScratch(Check& check, int arg, const float* scratch, int64_t len,
                         int64_t need) noexcept {
  check.Require(len >= need, LP_SCRATCH, arg + 1, len, need)
      .Require(scratch != nullptr || need == 0, LP_NULL, arg, 0, need);
}

inline In Rows(In m, int64_t from) noexcept {
  return m.data == nullptr ? m
                           : In{m.data + from * m.stride, m.stride};  // not all problems have all
}
inline Out Rows(Out m, int64_t from) noexcept { return {m.data + from * m.stride, m.stride}; }

// A dual problem's matrices, all batch x units: A0 = Ahat, Y = Yhat, E = gamma D; the
// variable Z, its slot U (unused by SGD), and R, which holds dA.
struct Dual {
  int64_t batch, units;
  In ahat, yhat;
  Out e, z, u, r;
  int f;
  float alpha;
};

// R = lp_residual(dA = R), Z, U = lp_update(rule, Z, R, U), a few rows at a time: what a
// pass writes, the next finds in the nearest cache.
inline void ResidualUpdate(const Dual& p, const lp_rule& rule) noexcept {
  constexpr int64_t kRows = 16;
  for (int64_t i = 0; i < p.batch; i += kRows) {
    const int64_t rows = p.batch - i < kRows ? p.batch - i : kRows;
    const Out r = Rows(p.r, i);
    Residual(rows, p.units, r, r, Rows(p.ahat, i), Rows(p.yhat, i), Rows(p.e, i), p.f, p.alpha);
    const Out u = Slots(rule.kind) > 0 ? Rows(p.u, i) : p.u;
    Update(rule, rows, p.units, Rows(p.z, i), {nullptr, 0}, r, u, {nullptr, 0}, {nullptr, 0});
  }
}

}  // namespace lp

#endif  // LP_SOLVE_H_
