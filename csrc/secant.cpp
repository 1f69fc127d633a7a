// What quasi-Newton updates of symmetric matrices are made of, in float64 on matrices of
// float32: lp_column_sums, lp_times and lp_rank_two.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "secant.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math-inl.h"
#include "math64-inl.h"
#include "simd-inl.h"
#include "softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

void ColumnSumsT(int64_t rows, int64_t cols, In x, double* sums) {
  const D64 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < cols; ++j) sums[j] = 0;
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kRowsAhead < rows) Fetch(x.Row(i + kRowsAhead), cols);
    const float* const p = x.Row(i);
    int64_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, sums + j), Load64(p + j)), d, sums + j);
    }
    for (; j < cols; ++j) sums[j] += static_cast<double>(p[j]);
  }
}

void TimesT(int64_t rows, int64_t cols, In h, const double* x, double* y) {
  const D64 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kRowsAhead < rows) Fetch(h.Row(i + kRowsAhead), cols);
    const float* const p = h.Row(i);
    V64 even = hn::Zero(d), odd = hn::Zero(d);  // two chains of additions
    int64_t j = 0;
    for (; j + 2 * lanes <= cols; j += 2 * lanes) {
      even = hn::MulAdd(Load64(p + j), hn::LoadU(d, x + j), even);
      odd = hn::MulAdd(Load64(p + j + lanes), hn::LoadU(d, x + j + lanes), odd);
    }
    double rest = 0;
    for (; j < cols; ++j) rest += static_cast<double>(p[j]) * x[j];
    y[i] = SumLanes(hn::Add(even, odd)) + rest;
  }
}

// A vector of row i. Nothing in it changes where i and j are exchanged.
HWY_INLINE void RankTwoVector(V64 a, V64 b, V64 si, V64 ti, const double* s, const double* t,
                              float* h) {
  const D64 d;
  const V64 sj = hn::LoadU(d, s);
  const V64 both = hn::Add(Product(d, si, hn::LoadU(d, t)), Product(d, ti, sj));
  const V64 moved = hn::NegMulAdd(b, both, Product(d, a, Product(d, si, sj)));
  hn::StoreU(Narrow(hn::Add(Load64(h), moved)), DH(), h);
}

void RankTwoT(int64_t rows, int64_t cols, Out h, int64_t first, double a, double b, const double* s,
              const double* t) {
  constexpr int64_t kMost = kMaxLanes / 2;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D64()));
  const int64_t whole = cols - cols % lanes;
  // The rest of s and t, and in a row that of h, before zeros: it takes the way of the others.
  double s_rest[kMost] = {}, t_rest[kMost] = {};
  for (int64_t j = whole; j < cols; ++j) {
    s_rest[j - whole] = s[j];
    t_rest[j - whole] = t[j];
  }
  const V64 va = Set64(a), vb = Set64(b);
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kRowsAhead < rows) Fetch(h.Row(i + kRowsAhead), cols);
    const V64 si = Set64(s[first + i]), ti = Set64(t[first + i]);
    float* const p = h.Row(i);
    for (int64_t j = 0; j < whole; j += lanes) RankTwoVector(va, vb, si, ti, s + j, t + j, p + j);
    if (whole == cols) continue;
    float h_rest[kMost] = {};
    for (int64_t j = whole; j < cols; ++j) h_rest[j - whole] = p[j];
    RankTwoVector(va, vb, si, ti, s_rest, t_rest, h_rest);
    for (int64_t j = whole; j < cols; ++j) p[j] = h_rest[j - whole];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(ColumnSumsT);
HWY_EXPORT(TimesT);
HWY_EXPORT(RankTwoT);

namespace {
void ColumnSums(int64_t rows, int64_t cols, In x, double* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(ColumnSumsT)(rows, cols, x, sums);
}
void Times(int64_t rows, int64_t cols, In h, const double* x, double* y) noexcept {
  HWY_DYNAMIC_DISPATCH(TimesT)(rows, cols, h, x, y);
}
void RankTwo(int64_t rows, int64_t cols, Out h, int64_t first, double a, double b, const double* s,
             const double* t) noexcept {
  HWY_DYNAMIC_DISPATCH(RankTwoT)(rows, cols, h, first, a, b, s, t);
}
}  // namespace
}  // namespace lp

lp_status lp_column_sums(int64_t rows, int64_t cols, const float* x, int64_t ldx, double* sums,
                         lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, x, rows, cols, ldx);
  if (cols > 0) check.NotNull(5, sums);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::ColumnSums(rows, cols, {x, ldx}, sums);
  return LP_OK;
}

lp_status lp_times(int64_t rows, int64_t cols, const float* h, int64_t ldh, const double* x,
                   double* y, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, h, rows, cols, ldh);
  if (cols > 0) check.NotNull(5, x);
  if (rows > 0) check.NotNull(6, y);
  if (check.failed()) return check.status();
  lp::FpMode mode;
  lp::Times(rows, cols, {h, ldh}, x, y);
  return LP_OK;
}

lp_status lp_rank_two(int64_t rows, int64_t cols, float* h, int64_t ldh, int64_t first, double a,
                      double b, const double* s, const double* t, lp_error* err) noexcept {
  lp::Check check(err);
  check.Size(1, rows).Size(2, cols).Matrix(3, h, rows, cols, ldh).Size(5, first);
  if (!check.failed()) check.Require(rows <= cols && first <= cols - rows, LP_SIZE, 5, first, cols);
  if (rows > 0 && cols > 0) check.NotNull(8, s).NotNull(9, t);
  if (check.failed() || rows == 0 || cols == 0) return check.status();
  lp::FpMode mode;
  lp::RankTwo(rows, cols, {h, ldh}, first, a, b, s, t);
  return LP_OK;
}
#endif  // HWY_ONCE
