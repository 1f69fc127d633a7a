// lp_gemm64, lp_cholesky, lp_solve, lp_invert, lp_symeig: dense float64, by OpenBLAS's LAPACK.
//
// LAPACK's matrices are column-major: it sees our A transposed, so our lower triangle is
// its upper one.
#include <cmath>
#include <initializer_list>

#include "blas.h"
#include "check.h"
#include "dense.h"
#include "fpmode.h"
#include "locoprop.h"

namespace lp {
namespace {

// dsyevd wants 1 + 6n + 2n² doubles, a number that must fit 32 bits, and 3 + 5n integers.
constexpr int64_t kSymEigMax = 32766;
constexpr int64_t RealWork(int64_t n) { return n <= 1 ? 1 : 1 + 6 * n + 2 * n * n; }
constexpr int64_t IntegerWork(int64_t n) { return n <= 1 ? 1 : 3 + 5 * n; }
static_assert(RealWork(kSymEigMax) <= INT32_MAX && RealWork(kSymEigMax + 1) > INT32_MAX, "limit");

// The first pivot that isn't positive, from 1, or 0: info is dpotrf's, which lets NaN pass.
int64_t BadPivot(int64_t n, const double* a, int64_t info) noexcept {
  const int64_t passed = info != 0 ? info - 1 : n;
  for (int64_t i = 0; i < passed; ++i) {
    if (!(a[i * n + i] > 0)) return i + 1;
  }
  return info;
}

bool LowerIsFinite(int64_t n, const double* a) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      if (!std::isfinite(a[i * n + j])) return false;
    }
  }
  return true;
}

void Transpose(int64_t n, double* a) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      const double v = a[i * n + j];
      a[i * n + j] = a[j * n + i];
      a[j * n + i] = v;
    }
  }
}

}  // namespace
}  // namespace lp

using lp::Check;
using lp::FpMode;
using lp::kBlasMax;

lp_status lp_cholesky(int64_t n, double* a, lp_error* err) noexcept {
  Check check(err);
  check.Size(1, n, kBlasMax).Matrix(2, a, n, n, n);
  if (check.failed() || n == 0) return check.status();
  FpMode mode;
  const int order = static_cast<int>(n);
  int info = 0;
  dpotrf_("U", &order, a, &order, &info, 1);
  const int64_t minor = lp::BadPivot(n, a, info);
  return check.Require(minor == 0, LP_NOT_POSITIVE, 2, minor, 0).status();
}

lp_status lp_solve(int64_t n, int64_t k, const double* l, double* b, lp_error* err) noexcept {
  Check check(err);
  check.Size(1, n, kBlasMax).Size(2, k, kBlasMax).Matrix(3, l, n, n, n).Matrix(4, b, n, k, k);
  if (check.failed() || n == 0 || k == 0) return check.status();
  FpMode mode;
  const blasint rows = static_cast<blasint>(n);
  const blasint cols = static_cast<blasint>(k);
  for (const auto trans : {CblasNoTrans, CblasTrans}) {  // L Y = B, then L' X = Y
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, trans, CblasNonUnit, rows, cols, 1, l, rows,
                b, cols);
  }
  return LP_OK;
}

lp_status lp_invert(int64_t n, double* l, lp_error* err) noexcept {
  Check check(err);
  check.Size(1, n, kBlasMax).Matrix(2, l, n, n, n);
  if (check.failed() || n == 0) return check.status();
  FpMode mode;
  const int order = static_cast<int>(n);
  int info = 0;
  dpotri_("U", &order, l, &order, &info, 1);
  if (info == 0) lp::Mirror(n, l, n);
  return check.Require(info == 0, LP_NOT_POSITIVE, 2, info, 0).status();
}

lp_status lp_gemm64(int32_t trans_a, int32_t trans_b, int64_t m, int64_t n, int64_t k, double alpha,
                    const double* a, int64_t lda, const double* b, int64_t ldb, double beta,
                    double* c, int64_t ldc, lp_error* err) noexcept {
  const bool ta = trans_a != 0;
  const bool tb = trans_b != 0;
  Check check(err);
  check.Size(3, m, kBlasMax)
      .Size(4, n, kBlasMax)
      .Size(5, k, kBlasMax)
      .Matrix(7, a, ta ? k : m, ta ? m : k, lda, kBlasMax)
      .Matrix(9, b, tb ? n : k, tb ? k : n, ldb, kBlasMax)
      .Matrix(12, c, m, n, ldc, kBlasMax);
  if (check.failed() || m == 0 || n == 0) return check.status();
  FpMode mode;
  if (k == 0) {  // no terms: op(A) and op(B) may be null
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
    }
    return LP_OK;
  }
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(m), static_cast<blasint>(n), static_cast<blasint>(k), alpha, a,
              static_cast<blasint>(lda), b, static_cast<blasint>(ldb), beta, c,
              static_cast<blasint>(ldc));
  return LP_OK;
}

int64_t lp_symeig_work(int64_t n) noexcept {
  if (n < 0 || n > lp::kSymEigMax) return INT64_MAX;
  return lp::RealWork(n) + (lp::IntegerWork(n) + 1) / 2;
}

lp_status lp_symeig(int64_t n, double* a, double* w, double* work, int64_t work_len,
                    lp_error* err) noexcept {
  Check check(err);
  check.Size(1, n, lp::kSymEigMax)
      .Matrix(2, a, n, n, n)
      .Matrix(3, w, 1, n, n)
      .Matrix(4, work, 1, n, n)
      .Require(work_len >= lp_symeig_work(n), LP_SCRATCH, 5, work_len, lp_symeig_work(n));
  if (check.failed() || n == 0) return check.status();
  FpMode mode;
  // LAPACK reports a NaN on stderr.
  if (!lp::LowerIsFinite(n, a)) {
    return check.Require(false, LP_NO_CONVERGENCE, 2, 0, 0).status();
  }
  const int order = static_cast<int>(n);
  const int real = static_cast<int>(lp::RealWork(n));
  const int integer = static_cast<int>(lp::IntegerWork(n));
  int info = 0;
  dsyevd_("V", "U", &order, a, &order, w, work, &real, reinterpret_cast<int*>(work + real),
          &integer, &info, 1, 1);
  if (info != 0) return check.Require(false, LP_NO_CONVERGENCE, 2, info, 0).status();
  lp::Transpose(n, a);  // LAPACK's columns are our rows
  return LP_OK;
}
