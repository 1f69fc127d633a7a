// The updates with a number for each row and column: against the formulas in double, and the
// same bits in every layout.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

constexpr float kRate = 0.125f, kMu = 0.75f, kShare = 0.25f;

struct Sm3 {
  Matrix w, g, m, r, c, top, b;

  Sm3(int64_t rows, int64_t cols, Layout layout)
      : w(rows, cols, layout),
        g(rows, cols, layout),
        m(rows, cols, layout),
        r(1, rows, layout),
        c(1, cols - 1, layout),
        top(1, cols - 1, layout),
        b(1, rows, layout) {
    Random random(3);
    const auto symmetric = [&] { return random.Uniform(-1, 1); };
    const auto positive = [&] { return random.Uniform(0, 2); };
    for (Matrix* x : {&w, &g, &m}) x->Fill(symmetric);
    for (Matrix* x : {&r, &c, &top, &b}) x->Fill(positive);
  }

  lp_status Step(bool momentum) {
    return lp_sm3(w.rows(), w.cols(), w.data(), w.stride(), g.data(), g.stride(),
                  momentum ? m.data() : nullptr, m.stride(), r.data(), c.data(), top.data(),
                  b.data(), kRate, kMu, kShare, nullptr);
  }

  bool Intact() const {
    return w.Intact() && g.Intact() && m.Intact() && r.Intact() && c.Intact() && top.Intact() &&
           b.Intact();
  }

  bool SameAs(const Sm3& x) const {
    return w.SameAs(x.w) && m.SameAs(x.m) && r.SameAs(x.r) && top.SameAs(x.top) && b.SameAs(x.b);
  }
};

// A step rounds fewer than 8 times, of numbers below 4.
constexpr double kBound = 8 * kEpsilon * 4;

void CheckStep(const Sm3& from, const Sm3& x, bool momentum, int64_t i, int64_t j, double nu) {
  double u = from.g(i, j) / std::sqrt(nu + 1e-30);
  if (momentum) {
    u = kMu * from.m(i, j) + kShare * u;
    ASSERT_NEAR(u, x.m(i, j), kBound);
  }
  ASSERT_NEAR(from.w(i, j) - kRate * u, x.w(i, j), kBound) << "column " << j;
}

void CheckSm3(int64_t rows, int64_t cols, bool momentum) {
  const int64_t n = cols - 1;
  const Sm3 from(rows, cols, {});
  Sm3 x = from;
  ASSERT_EQ(LP_OK, x.Step(momentum));
  std::vector<double> top;
  for (int64_t j = 0; j < n; ++j) top.push_back(from.top(0, j));
  for (int64_t i = 0; i < rows; ++i) {
    double largest = 0;
    for (int64_t j = 0; j < n; ++j) {
      const double g = from.g(i, j);
      const double nu = std::min(from.r(0, i), from.c(0, j)) + g * g;
      largest = std::max(largest, nu);
      top[static_cast<size_t>(j)] = std::max(top[static_cast<size_t>(j)], nu);
      CheckStep(from, x, momentum, i, j, nu);
    }
    const double b = from.b(0, i) + static_cast<double>(from.g(i, n)) * from.g(i, n);
    CheckStep(from, x, momentum, i, n, b);
    ASSERT_NEAR(b, x.b(0, i), kBound);
    ASSERT_NEAR(largest, x.r(0, i), kBound);
  }
  for (int64_t j = 0; j < n; ++j) ASSERT_NEAR(top[static_cast<size_t>(j)], x.top(0, j), kBound);
}

TEST(Factored, Sm3Formula) {
  for (const int64_t cols : {1, 2, 8, 9, 17, 34, 65}) {
    for (const int64_t rows : {1, 3, 20}) {
      CheckSm3(rows, cols, true);
      CheckSm3(rows, cols, false);
    }
  }
}

TEST(Factored, Sm3BitsDontDependOnLayout) {
  for (const bool momentum : {false, true}) {
    for (const int64_t cols : {1, 8, 22, 65}) {
      Sm3 first(3, cols, {});
      first.Step(momentum);
      for (int64_t offset = 0; offset < 16; ++offset) {
        Sm3 x(3, cols, {offset, offset % 3});
        ASSERT_EQ(LP_OK, x.Step(momentum));
        ASSERT_TRUE(x.Intact());
        ASSERT_TRUE(x.SameAs(first)) << cols << " columns, offset " << offset;
      }
    }
  }
}

// A NaN, of either sign, stays in its row's and its column's number, whatever comes behind it.
TEST(Factored, Sm3KeepsNaN) {
  for (const uint32_t bits : {0x7fc00000u, 0xffc00000u}) {
    Sm3 x(3, 40, {});
    x.g(0, 2) = FromBits(bits);
    ASSERT_EQ(LP_OK, x.Step(true));
    EXPECT_TRUE(std::isnan(x.w(0, 2)) && std::isnan(x.m(0, 2)));
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(i == 0, std::isnan(x.r(0, i)));
    for (int64_t j = 0; j < 39; ++j) EXPECT_EQ(j == 2, std::isnan(x.top(0, j)));
    for (int64_t j = 0; j < 40; ++j) EXPECT_EQ(j == 2, std::isnan(x.w(0, j)));
  }
}

// Nothing moves where nothing was ever seen.
TEST(Factored, Sm3ZeroGradient) {
  Sm3 x(2, 19, {});
  for (Matrix* y : {&x.g, &x.r, &x.c, &x.b}) y->Fill([] { return 0; });
  const Matrix before = x.w;
  ASSERT_EQ(LP_OK, x.Step(false));
  EXPECT_TRUE(x.w.SameAs(before));
}

TEST(Factored, SquareSums) {
  for (const int64_t cols : {0, 1, 3, 8, 13, 33}) {
    Random random(4);
    const Matrix g = Matrix(5, cols, {3, 2}).Fill([&] { return random.Uniform(-1, 1); });
    std::vector<double> rows(5, NAN), columns(static_cast<size_t>(cols), NAN);
    ASSERT_EQ(LP_OK,
              lp_square_sums(5, cols, g.data(), g.stride(), rows.data(), columns.data(), nullptr));
    for (int64_t i = 0; i < 5; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < cols; ++j) sum += static_cast<double>(g(i, j)) * g(i, j);
      ASSERT_NEAR(sum, rows[static_cast<size_t>(i)], 1e-14 * sum);
    }
    for (int64_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < 5; ++i) sum += static_cast<double>(g(i, j)) * g(i, j);
      ASSERT_EQ(sum, columns[static_cast<size_t>(j)]) << "exact squares in the order of the rows";
    }
  }
}

TEST(Factored, ScaledSquaresAndStep) {
  for (const int64_t cols : {0, 1, 3, 8, 13, 33}) {
    Random random(5);
    const auto symmetric = [&] { return random.Uniform(-1, 1); };
    const Matrix g = Matrix(5, cols, {3, 2}).Fill(symmetric), a = Matrix(1, 5).Fill(symmetric);
    const Matrix b = Matrix(1, cols).Fill(symmetric),
                 from = Matrix(5, cols, {1, 4}).Fill(symmetric);
    Matrix w = from;
    double sum = NAN, want = 0;
    ASSERT_EQ(LP_OK,
              lp_scaled_squares(5, cols, g.data(), g.stride(), a.data(), b.data(), &sum, nullptr));
    ASSERT_EQ(LP_OK, lp_scaled_step(5, cols, w.data(), w.stride(), g.data(), g.stride(), a.data(),
                                    b.data(), nullptr));
    for (int64_t i = 0; i < 5; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        const double u = static_cast<double>(a(0, i)) * g(i, j) * b(0, j);
        want += u * u;
        ASSERT_NEAR(from(i, j) - u, w(i, j), 4 * kEpsilon * 2);
      }
    }
    ASSERT_NEAR(want, sum, 8 * kEpsilon * want);
    ASSERT_TRUE(w.Intact());
  }
}

}  // namespace
}  // namespace lp_test
