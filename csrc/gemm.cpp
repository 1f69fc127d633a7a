// lp_affine, lp_backprop, lp_grad, lp_gemm, lp_syrk: products, by OpenBLAS.
#include "blas.h"
#include "check.h"
#include "dense.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

namespace lp {
namespace {

// C = β C. With β = 0, C isn't read.
void Multiply(int64_t m, int64_t n, float beta, Out c) noexcept {
  if (beta != 0) return Scale(m, n, c, c, beta);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) c.Row(i)[j] = 0;
  }
}

}  // namespace

// C = α op(A) op(B) + β C. OpenBLAS is only called with sizes and strides that its own
// checks accept: those print and return.
void Gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, In a, In b,
          float beta, Out c) noexcept {
  if (m == 0 || n == 0) return;
  if (k == 0) return Multiply(m, n, beta, c);  // no terms: op(A) and op(B) may be null
  const auto stride = [](int64_t s) { return static_cast<blasint>(s > 0 ? s : 1); };
  cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
              trans_b ? CblasTrans : CblasNoTrans, static_cast<blasint>(m), static_cast<blasint>(n),
              static_cast<blasint>(k), alpha, a.data, stride(a.stride), b.data, stride(b.stride),
              beta, c.data, stride(c.stride));
}

void Affine(int64_t batch, int64_t cols, int64_t units, Out a, In x, In w) noexcept {
  Gemm(false, true, batch, units, cols, 1, x, w, 0, a);
}

void Grad(int64_t batch, int64_t cols, int64_t units, Out g, In r, In x) noexcept {
  Gemm(true, false, units, cols, batch, 1, r, x, 0, g);
}

}  // namespace lp

using lp::Check;
using lp::FpMode;
using lp::kBlasMax;

lp_status lp_affine(int64_t batch, int64_t cols, int64_t units, float* a, int64_t lda,
                    const float* x, int64_t ldx, const float* w, int64_t ldw,
                    lp_error* err) noexcept {
  Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, a, batch, units, lda, kBlasMax)
      .Matrix(6, x, batch, cols, ldx, kBlasMax)
      .Matrix(8, w, units, cols, ldw, kBlasMax);
  if (check.failed()) return check.status();
  FpMode mode;
  lp::Affine(batch, cols, units, {a, lda}, {x, ldx}, {w, ldw});
  return LP_OK;
}

lp_status lp_backprop(int64_t batch, int64_t cols, int64_t units, float* dx, int64_t lddx,
                      const float* d, int64_t ldd, const float* w, int64_t ldw,
                      lp_error* err) noexcept {
  Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, dx, batch, cols, lddx, kBlasMax)
      .Matrix(6, d, batch, units, ldd, kBlasMax)
      .Matrix(8, w, units, cols, ldw, kBlasMax);
  if (check.failed()) return check.status();
  FpMode mode;
  lp::Gemm(false, false, batch, cols, units, 1, {d, ldd}, {w, ldw}, 0, {dx, lddx});
  return LP_OK;
}

lp_status lp_grad(int64_t batch, int64_t cols, int64_t units, float* g, int64_t ldg, const float* r,
                  int64_t ldr, const float* x, int64_t ldx, lp_error* err) noexcept {
  Check check(err);
  lp::Sizes(check, batch, cols, units)
      .Matrix(4, g, units, cols, ldg, kBlasMax)
      .Matrix(6, r, batch, units, ldr, kBlasMax)
      .Matrix(8, x, batch, cols, ldx, kBlasMax);
  if (check.failed()) return check.status();
  FpMode mode;
  lp::Grad(batch, cols, units, {g, ldg}, {r, ldr}, {x, ldx});
  return LP_OK;
}

lp_status lp_gemm(int32_t trans_a, int32_t trans_b, int64_t m, int64_t n, int64_t k, float alpha,
                  const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                  int64_t ldc, lp_error* err) noexcept {
  const bool ta = trans_a != 0;
  const bool tb = trans_b != 0;
  Check check(err);
  check.Size(3, m, kBlasMax)
      .Size(4, n, kBlasMax)
      .Size(5, k, kBlasMax)
      .Matrix(7, a, ta ? k : m, ta ? m : k, lda, kBlasMax)
      .Matrix(9, b, tb ? n : k, tb ? k : n, ldb, kBlasMax)
      .Matrix(12, c, m, n, ldc, kBlasMax);
  if (check.failed()) return check.status();
  FpMode mode;
  lp::Gemm(ta, tb, m, n, k, alpha, {a, lda}, {b, ldb}, beta, {c, ldc});
  return LP_OK;
}

lp_status lp_syrk(int32_t trans, int64_t rows, int64_t cols, float alpha, const float* x,
                  int64_t ldx, float beta, float* c, int64_t ldc, lp_error* err) noexcept {
  const int64_t n = trans != 0 ? cols : rows;
  const int64_t k = trans != 0 ? rows : cols;
  Check check(err);
  check.Size(2, rows, kBlasMax)
      .Size(3, cols, kBlasMax)
      .Matrix(5, x, rows, cols, ldx, kBlasMax)
      .Matrix(8, c, n, n, ldc, kBlasMax);
  if (check.failed()) return check.status();
  FpMode mode;
  if (n == 0) return LP_OK;
  if (k == 0) {  // no terms
    lp::Multiply(n, n, beta, {c, ldc});
    return LP_OK;
  }
  cblas_ssyrk(CblasRowMajor, CblasLower, trans != 0 ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(n), static_cast<blasint>(k), alpha, x, static_cast<blasint>(ldx),
              beta, c, static_cast<blasint>(ldc));
  lp::Mirror(n, c, ldc);
  return LP_OK;
}
