// Cholesky, Solve and SymEig in double.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

using Dense = std::vector<double>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A symmetric positive definite matrix, its strict upper triangle NaN: no function may
// look there.
Dense Definite(int64_t n) {
  Random random(static_cast<uint32_t>(n));
  Dense m(static_cast<size_t>(n * n)), a(m.size(), kNan);
  for (double& v : m) v = random.Normal();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? 0.1 : 0;
      for (int64_t k = 0; k < n; ++k) sum += m[i * n + k] * m[j * n + k];
      a[i * n + j] = sum;
    }
  }
  return a;
}

double At(const Dense& lower, int64_t n, int64_t i, int64_t j) {
  return i >= j ? lower[i * n + j] : lower[j * n + i];
}

constexpr int64_t kSizes[] = {1, 2, 3, 5, 31, 64, 65, 130};

// Backward errors are a modest multiple of n·2⁻⁵³ of the magnitudes (Higham 2002, ch. 10).
double Bound(int64_t n, double size) { return 8 * static_cast<double>(n) * 1.2e-16 * size; }

TEST(Dense, CholeskyAndSolve) {
  for (const int64_t n : kSizes) {
    const Dense a = Definite(n);
    Dense l = a;
    ASSERT_EQ(LP_OK, lp_cholesky(n, l.data(), nullptr));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k <= j; ++k) {
          sum += l[i * n + k] * l[j * n + k];
          size += std::fabs(l[i * n + k] * l[j * n + k]);
        }
        ASSERT_NEAR(sum, a[i * n + j], Bound(n, size)) << n;
      }
      for (int64_t j = i + 1; j < n; ++j) ASSERT_TRUE(std::isnan(l[i * n + j]));
    }
    // A X for a known X, of size up to Σ|A||X|; the solution's own error is that times ‖A⁻¹‖,
    // so the residual is what is checked.
    const int64_t k = 3;
    Random random(5);
    Dense x(static_cast<size_t>(n * k));
    for (double& v : x) v = random.Normal();
    const Dense b = x;
    ASSERT_EQ(LP_OK, lp_solve(n, k, l.data(), x.data(), nullptr));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < k; ++c) {
        double sum = 0, size = std::fabs(b[i * k + c]);
        for (int64_t j = 0; j < n; ++j) {
          sum += At(a, n, i, j) * x[j * k + c];
          size += std::fabs(At(a, n, i, j) * x[j * k + c]);
        }
        ASSERT_NEAR(sum, b[i * k + c], 10 * Bound(n, size)) << n;
      }
    }
  }
}

// A P = I to the rounding of its factors, whose condition is part of the bound; P symmetric
// to the bit.
TEST(Dense, Invert) {
  for (const int64_t n : kSizes) {
    const Dense a = Definite(n);
    Dense p = a;
    ASSERT_EQ(LP_OK, lp_cholesky(n, p.data(), nullptr));
    ASSERT_EQ(LP_OK, lp_invert(n, p.data(), nullptr));
    double norm_a = 0, norm_p = 0;
    for (int64_t i = 0; i < n; ++i) {
      double row_a = 0, row_p = 0;
      for (int64_t j = 0; j < n; ++j) {
        ASSERT_EQ(p[i * n + j], p[j * n + i]);
        row_a += std::fabs(At(a, n, i, j));
        row_p += std::fabs(p[i * n + j]);
      }
      norm_a = std::max(norm_a, row_a);
      norm_p = std::max(norm_p, row_p);
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < n; ++k) sum += At(a, n, i, k) * p[k * n + j];
        ASSERT_NEAR(sum, i == j ? 1 : 0, Bound(n, norm_a * norm_p)) << n;
      }
    }
  }
  Dense singular(4, 0.0);
  lp_error err{};
  EXPECT_EQ(LP_NOT_POSITIVE, lp_invert(2, singular.data(), &err));
  EXPECT_EQ(1, err.got);
}

TEST(Dense, Gemm64) {
  constexpr int64_t m = 7, n = 5, gap = 2;
  for (const int64_t k : {int64_t{0}, int64_t{1}, int64_t{70}}) {
    for (int variant = 0; variant < 8; ++variant) {
      const bool ta = (variant & 1) != 0, tb = (variant & 2) != 0;
      const double beta = variant < 4 ? 0 : 0.5;
      Random random(3);
      const int64_t lda = (ta ? m : k) + gap, ldb = (tb ? k : n) + gap, ldc = n + gap;
      Dense a(static_cast<size_t>((ta ? k : m) * lda)), b(static_cast<size_t>((tb ? n : k) * ldb));
      Dense c(static_cast<size_t>(m * ldc), beta == 0 ? kNan : 2.0);
      for (double& v : a) v = random.Normal();
      for (double& v : b) v = random.Normal();
      const Dense before = c;
      ASSERT_EQ(LP_OK, lp_gemm64(ta, tb, m, n, k, 0.75, a.data(), lda, b.data(), ldb, beta,
                                 c.data(), ldc, nullptr));
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = beta == 0 ? 0 : beta * 2.0, size = 1;
          for (int64_t q = 0; q < k; ++q) {
            const double term = 0.75 * (ta ? a[q * lda + i] : a[i * lda + q]) *
                                (tb ? b[j * ldb + q] : b[q * ldb + j]);
            sum += term;
            size += std::fabs(term);
          }
          ASSERT_NEAR(sum, c[i * ldc + j], Bound(k + 1, size));
        }
        for (int64_t j = n; j < ldc; ++j) {
          ASSERT_EQ(0, std::memcmp(&before[i * ldc + j], &c[i * ldc + j], sizeof(double)));
        }
      }
    }
  }
}

TEST(Dense, NotPositiveDefinite) {
  const int64_t n = 90;
  for (const int64_t pivot : {0, 1, 40, 64, 89}) {
    for (const double bad : {-1.0, 0.0, kNan}) {
      Dense a(static_cast<size_t>(n * n));
      for (int64_t i = 0; i < n; ++i) a[i * n + i] = i == pivot ? bad : 1;
      lp_error err{};
      ASSERT_EQ(LP_NOT_POSITIVE, lp_cholesky(n, a.data(), &err));
      EXPECT_EQ(LP_NOT_POSITIVE, err.status);
      EXPECT_EQ(pivot + 1, err.got);
    }
  }
}

TEST(Dense, SymEig) {
  for (const int64_t n : kSizes) {
    Dense a = Definite(n);
    for (int64_t i = 0; i < n; ++i) a[i * n + i] -= static_cast<double>(n);  // both signs
    Dense v = a, w(static_cast<size_t>(n)), work(static_cast<size_t>(lp_symeig_work(n)));
    ASSERT_EQ(LP_OK, lp_symeig(n, v.data(), w.data(), work.data(), lp_symeig_work(n), nullptr));
    double norm = 0;
    for (int64_t j = 0; j < n; ++j) {
      norm = std::max(norm, std::fabs(w[j]));
      if (j > 0) {
        EXPECT_LE(w[j - 1], w[j]);
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double av = 0, dot = 0;
        for (int64_t k = 0; k < n; ++k) {
          av += At(a, n, i, k) * v[k * n + j];
          dot += v[k * n + i] * v[k * n + j];
        }
        ASSERT_NEAR(av, w[j] * v[i * n + j], Bound(n, norm)) << n;
        ASSERT_NEAR(dot, i == j ? 1 : 0, Bound(n, 1)) << n;
      }
    }
  }
}

TEST(Dense, SymEigOfNanFails) {
  Dense a = Definite(5), w(5), work(static_cast<size_t>(lp_symeig_work(5)));
  a[12] = kNan;
  EXPECT_EQ(LP_NO_CONVERGENCE,
            lp_symeig(5, a.data(), w.data(), work.data(), lp_symeig_work(5), nullptr));
}

}  // namespace
}  // namespace lp_test
