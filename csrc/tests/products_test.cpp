// The products against naive double loops, over the shared shapes, in several layouts.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

const Layout kLayouts[] = {{0, 0}, {0, 3}, {5, 7}};

Matrix Uniform(int64_t rows, int64_t cols, uint32_t seed, Layout layout) {
  Random random(seed);
  return Matrix(rows, cols, layout).Fill([&] { return random.Uniform(-1, 1); });
}

// What C must be: α op(A) op(B) + β C, naively, and how far off it may be.
void ExpectProduct(const Matrix& c, const Matrix& a, bool trans_a, const Matrix& b, bool trans_b,
                   double alpha = 1, double beta = 0, const Matrix* before = nullptr) {
  const int64_t inner = trans_a ? a.rows() : a.cols();
  for (int64_t i = 0; i < c.rows(); ++i) {
    for (int64_t j = 0; j < c.cols(); ++j) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < inner; ++k) {
        const double term = double{trans_a ? a(k, i) : a(i, k)} * (trans_b ? b(j, k) : b(k, j));
        sum += term;
        size += std::fabs(term);
      }
      sum *= alpha;
      size *= std::fabs(alpha);
      if (beta != 0) {
        sum += beta * (*before)(i, j);
        size += std::fabs(beta * (*before)(i, j));
      }
      // Each of the k roundings is at most ε of a partial sum; their signs vary, hence √k.
      const double bound = (4 + std::sqrt(static_cast<double>(inner))) * kEpsilon * size + kTiny;
      ASSERT_NEAR(c(i, j), sum, bound) << "(" << i << ", " << j << ")";
    }
  }
}

TEST(Products, Layer) {
  for (const Shape& s : Shapes()) {
    SCOPED_TRACE(s.Name());
    const int64_t b = s.batch, n = s.cols(), m = s.units;
    Matrix first[3] = {Matrix(b, m), Matrix(b, n), Matrix(m, n)};
    for (const Layout& layout : kLayouts) {
      const Matrix x = Uniform(b, n, 1, layout), w = Uniform(m, n, 2, layout);
      const Matrix d = Uniform(b, m, 3, layout);
      Matrix a(b, m, layout), dx(b, n, layout), g(m, n, layout);
      ASSERT_EQ(LP_OK, lp_affine(b, n, m, a.data(), a.stride(), x.data(), x.stride(), w.data(),
                                 w.stride(), nullptr));
      ASSERT_EQ(LP_OK, lp_backprop(b, n, m, dx.data(), dx.stride(), d.data(), d.stride(), w.data(),
                                   w.stride(), nullptr));
      ASSERT_EQ(LP_OK, lp_grad(b, n, m, g.data(), g.stride(), d.data(), d.stride(), x.data(),
                               x.stride(), nullptr));
      ASSERT_TRUE(a.Intact() && dx.Intact() && g.Intact());
      if (&layout == kLayouts) {
        ExpectProduct(a, x, false, w, true);
        ExpectProduct(dx, d, false, w, false);
        ExpectProduct(g, d, true, x, false);
        first[0] = a;
        first[1] = dx;
        first[2] = g;
      }
      EXPECT_TRUE(a.SameAs(first[0]) && dx.SameAs(first[1]) && g.SameAs(first[2]));
    }
  }
}

TEST(Products, Gemm) {
  const int64_t m = 19, n = 33, k = 70;
  for (int trans = 0; trans < 4; ++trans) {
    const bool ta = (trans & 1) != 0, tb = (trans & 2) != 0;
    for (const float beta : {0.0f, 1.0f, -0.5f}) {
      const Matrix a = Uniform(ta ? k : m, ta ? m : k, 4, {1, 2});
      const Matrix b = Uniform(tb ? n : k, tb ? k : n, 5, {0, 1});
      const Matrix before = beta == 0 ? Matrix(m, n, {2, 2}).Fill([] { return std::nanf(""); })
                                      : Uniform(m, n, 6, {2, 2});
      Matrix c = before;
      ASSERT_EQ(LP_OK, lp_gemm(ta, tb, m, n, k, 1.5f, a.data(), a.stride(), b.data(), b.stride(),
                               beta, c.data(), c.stride(), nullptr));
      ASSERT_TRUE(c.Intact());
      ExpectProduct(c, a, ta, b, tb, 1.5, beta, &before);
    }
  }
}

TEST(Products, Syrk) {
  for (const auto& size : {std::pair<int64_t, int64_t>{1, 1}, {7, 33}, {70, 65}, {65, 100}}) {
    for (const bool trans : {false, true}) {
      for (const float beta : {0.0f, 0.75f}) {
        const Matrix x = Uniform(size.first, size.second, 7, {3, 1});
        const int64_t n = trans ? size.second : size.first;
        Matrix before = Uniform(n, n, 8, {0, 2});
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < i; ++j) before(j, i) = before(i, j);
        }
        if (beta == 0) before.Fill([] { return std::nanf(""); });
        Matrix c = before;
        ASSERT_EQ(LP_OK, lp_syrk(trans, size.first, size.second, -0.5f, x.data(), x.stride(), beta,
                                 c.data(), c.stride(), nullptr));
        ASSERT_TRUE(c.Intact());
        ExpectProduct(c, x, trans, x, !trans, -0.5, beta, &before);
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < i; ++j) ASSERT_EQ(Bits(c(i, j)), Bits(c(j, i)));
        }
      }
    }
  }
}

// A product over no terms is β C, and memory without elements may be null.
TEST(Products, Empty) {
  Matrix c = Uniform(3, 5, 9, {0, 1});
  const Matrix before = c;
  ASSERT_EQ(LP_OK,
            lp_gemm(0, 1, 3, 5, 0, 1, nullptr, 0, nullptr, 0, 0.5f, c.data(), c.stride(), nullptr));
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 5; ++j) EXPECT_EQ(before(i, j) / 2, c(i, j));
  }
  c.Fill([] { return std::nanf(""); });
  ASSERT_EQ(LP_OK, lp_grad(0, 5, 3, c.data(), c.stride(), nullptr, 3, nullptr, 5, nullptr));
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 5; ++j) EXPECT_EQ(0, c(i, j));
  }
  EXPECT_EQ(LP_OK, lp_affine(0, 5, 3, nullptr, 3, nullptr, 5, before.data(), 6, nullptr));
  EXPECT_EQ(LP_OK, lp_affine(4, 5, 0, nullptr, 0, before.data(), 5, nullptr, 5, nullptr));
}

}  // namespace
}  // namespace lp_test
