// Update rules that keep a number for each row and each column: lp_sm3, and what Adafactor is
// made of, lp_square_sums, lp_scaled_squares and lp_scaled_step.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "factored.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math64-inl.h"
#include "simd-inl.h"
#include "softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// The larger of two numbers of 0 or more, by their bits, which are in the same order: a NaN, of
// either sign, is above them all and stays.
HWY_INLINE V Larger(V a, V b) {
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(D(), hn::Max(hn::BitCast(du, a), hn::BitCast(du, b)));
}

HWY_INLINE float LargestLane(V v) {
  const hn::RebindToUnsigned<D> du;
  return hn::GetLane(hn::BitCast(D(), hn::MaxOfLanes(du, hn::BitCast(du, v))));
}

// The step of a vector of weights whose accumulators are nu.
template <bool kMomentum>
HWY_INLINE void Step(const Sm3& u, V nu, const float* pg, float* pm, float* pw) {
  V step = hn::Div(Load(pg), hn::Sqrt(hn::Add(nu, Const(1e-30f))));
  if constexpr (kMomentum) {
    step = hn::MulAdd(Const(u.mu), Load(pm), hn::Mul(Const(u.share), step));
    Store(step, pm);
  }
  Store(hn::NegMulAdd(Const(u.rate), step, Load(pw)), pw);
}

// u by value: a local that no store to the matrices can change.
template <bool kMomentum>
HWY_NOINLINE void RunSm3(Sm3 u) {
  const int64_t n = u.cols - 1;
  for (int64_t i = 0; i < u.rows; ++i) {
    const float* const g = u.g.Row(i);
    float* const w = u.w.Row(i);
    const V limit = Const(u.r[i]);
    V largest = hn::Zero(D());
    const auto weight = [&](const float* pc, const float* pg, float* pt, float* pm, float* pw)
                            HWY_ATTR {
                              const V c = Load(pc);
                              const V low = hn::IfThenElse(hn::Lt(limit, c), limit, c);
                              const V nu = hn::MulAdd(Load(pg), Load(pg), low);
                              largest = Larger(largest, nu);  // 0 where there is no element
                              Store(Larger(Load(pt), nu), pt);
                              Step<kMomentum>(u, nu, pg, pm, pw);
                            };
    const auto bias = [&](const float* pg, float* pb, float* pm, float* pw) HWY_ATTR {
      const V nu = hn::MulAdd(Load(pg), Load(pg), Load(pb));
      Store(nu, pb);
      Step<kMomentum>(u, nu, pg, pm, pw);
    };
    if constexpr (kMomentum) {
      float* const m = u.m.Row(i);
      Run(n, weight, u.c, g, u.top, m, w);
      Run(1, bias, g + n, u.b + i, m + n, w + n);
    } else {
      Run(
          n,
          [&](const float* pc, const float* pg, float* pt, float* pw)
              HWY_ATTR { weight(pc, pg, pt, nullptr, pw); },
          u.c, g, u.top, w);
      Run(
          1, [&](const float* pg, float* pb, float* pw) HWY_ATTR { bias(pg, pb, nullptr, pw); },
          g + n, u.b + i, w + n);
    }
    u.r[i] = LargestLane(largest);
  }
}

void Sm3T(const Sm3& u) { u.m.data != nullptr ? RunSm3<true>(u) : RunSm3<false>(u); }

// The square of a float is exact in float64, so that a column's sum doesn't depend on vectors.
void SquareSumsT(int64_t rows, int64_t cols, In g, double* row_sums, double* col_sums) {
  const D64 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < cols; ++j) col_sums[j] = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const float* const p = g.Row(i);
    V64 sum = hn::Zero(d);
    int64_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
      const V64 x = Load64(p + j);
      sum = hn::MulAdd(x, x, sum);
      hn::StoreU(hn::MulAdd(x, x, hn::LoadU(d, col_sums + j)), d, col_sums + j);
    }
    double rest = 0;
    for (; j < cols; ++j) {
      const double square = static_cast<double>(p[j]) * static_cast<double>(p[j]);
      rest += square;
      col_sums[j] += square;
    }
    row_sums[i] = SumLanes(sum) + rest;
  }
}

double ScaledSquaresT(int64_t rows, int64_t cols, In g, const float* a, const float* b) {
  const DH d;
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const VH scale = hn::Set(d, a[i]);
    V64 sum = hn::Zero(D64());
    RunHalf(
        cols,
        [&](int64_t count, const float* pg, const float* pb) HWY_ATTR {
          const VH u = hn::Mul(hn::Mul(hn::LoadU(d, pg), scale), hn::LoadU(d, pb));
          const V64 wide = Widen(count, u);
          sum = hn::MulAdd(wide, wide, sum);
        },
        g.Row(i), b);
    total += SumLanes(sum);
  }
  return total;
}

void ScaledStepT(int64_t rows, int64_t cols, Out w, In g, const float* a, const float* b) {
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kRowsAhead < rows) {
      Fetch(w.Row(i + kRowsAhead), cols);
      Fetch(g.Row(i + kRowsAhead), cols);
    }
    const V scale = Const(a[i]);
    Run(
        cols,
        [&](const float* pg, const float* pb, float* pw)
            HWY_ATTR { Store(hn::NegMulAdd(hn::Mul(Load(pg), scale), Load(pb), Load(pw)), pw); },
        g.Row(i), b, w.Row(i));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(Sm3T);
HWY_EXPORT(SquareSumsT);
HWY_EXPORT(ScaledSquaresT);
HWY_EXPORT(ScaledStepT);

void StepSm3(const Sm3& u) noexcept { HWY_DYNAMIC_DISPATCH(Sm3T)(u); }
void SquareSums(int64_t rows, int64_t cols, In g, double* row_sums, double* col_sums) noexcept {
  HWY_DYNAMIC_DISPATCH(SquareSumsT)(rows, cols, g, row_sums, col_sums);
}
double ScaledSquares(int64_t rows, int64_t cols, In g, const float* a, const float* b) noexcept {
  return HWY_DYNAMIC_DISPATCH(ScaledSquaresT)(rows, cols, g, a, b);
}
void ScaledStep(int64_t rows, int64_t cols, Out w, In g, const float* a, const float* b) noexcept {
  HWY_DYNAMIC_DISPATCH(ScaledStepT)(rows, cols, w, g, a, b);
}
}  // namespace lp

lp_status lp_sm3(int64_t rows, int64_t cols, float* w, int64_t ldw, const float* g, int64_t ldg,
                 float* m, int64_t ldm, float* r, const float* c, float* top, float* b, float rate,
                 float mu, float share, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, w, rows, cols, ldw).Matrix(5, g, rows, cols, ldg);
  if (m != nullptr) check.Matrix(7, m, rows, cols, ldm);
  if (rows > 0 && cols > 0) check.NotNull(9, r).NotNull(12, b);
  if (rows > 0 && cols > 1) check.NotNull(10, c).NotNull(11, top);
  if (check.failed() || rows == 0 || cols == 0) return check.status();
  lp::FpMode mode;
  lp::StepSm3({rows, cols, {w, ldw}, {g, ldg}, {m, ldm}, r, c, top, b, rate, mu, share});
  return LP_OK;
}

lp_status lp_square_sums(int64_t rows, int64_t cols, const float* g, int64_t ldg, double* row_sums,
                         double* col_sums, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, g, rows, cols, ldg);
  if (rows > 0) check.NotNull(5, row_sums);
  if (cols > 0) check.NotNull(6, col_sums);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::SquareSums(rows, cols, {g, ldg}, row_sums, col_sums);
  return LP_OK;
}

lp_status lp_scaled_squares(int64_t rows, int64_t cols, const float* g, int64_t ldg, const float* a,
                            const float* b, double* sum, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, g, rows, cols, ldg).NotNull(7, sum);
  if (rows > 0) check.NotNull(5, a);
  if (cols > 0) check.NotNull(6, b);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  *sum = lp::ScaledSquares(rows, cols, {g, ldg}, a, b);
  return LP_OK;
}

lp_status lp_scaled_step(int64_t rows, int64_t cols, float* w, int64_t ldw, const float* g,
                         int64_t ldg, const float* a, const float* b, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, w, rows, cols, ldw).Matrix(5, g, rows, cols, ldg);
  if (rows > 0) check.NotNull(7, a);
  if (cols > 0) check.NotNull(8, b);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::ScaledStep(rows, cols, {w, ldw}, {g, ldg}, a, b);
  return LP_OK;
}
#endif  // HWY_ONCE
