// What quasi-Newton updates are made of, against the formulas in double.
#include <gtest/gtest.h>

#include <vector>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

std::vector<double> Vector(int64_t length, Random& random) {
  std::vector<double> v(static_cast<size_t>(length));
  for (double& x : v) x = static_cast<double>(random.Uniform(-1, 1));
  return v;
}

TEST(Secant, SumsAndProducts) {
  for (const int64_t cols : {0, 1, 3, 8, 13, 33, 70}) {
    Random random(6);
    const Matrix h = Matrix(5, cols, {3, 2}).Fill([&] { return random.Uniform(-1, 1); });
    const std::vector<double> x = Vector(cols, random);
    std::vector<double> sums(static_cast<size_t>(cols), NAN), y(5, NAN);
    ASSERT_EQ(LP_OK, lp_column_sums(5, cols, h.data(), h.stride(), sums.data(), nullptr));
    ASSERT_EQ(LP_OK, lp_times(5, cols, h.data(), h.stride(), x.data(), y.data(), nullptr));
    for (int64_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < 5; ++i) sum += static_cast<double>(h(i, j));
      ASSERT_EQ(sum, sums[static_cast<size_t>(j)]) << "in the order of the rows";
    }
    for (int64_t i = 0; i < 5; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < cols; ++j) {
        sum += static_cast<double>(h(i, j)) * x[static_cast<size_t>(j)];
      }
      ASSERT_NEAR(sum, y[static_cast<size_t>(i)], 1e-14 * static_cast<double>(cols));
    }
  }
}

// In parts of rows as in one call, and a symmetric matrix stays symmetric to the bit.
TEST(Secant, RankTwo) {
  for (const int64_t n : {1, 2, 7, 8, 9, 31, 66}) {
    Random random(7);
    Matrix from(n, n, {1, 4});
    from.Fill([&] { return random.Uniform(-1, 1); });
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < i; ++j) from(j, i) = from(i, j);
    }
    const std::vector<double> s = Vector(n, random), t = Vector(n, random);
    Matrix h = from, parts = from;
    ASSERT_EQ(LP_OK,
              lp_rank_two(n, n, h.data(), h.stride(), 0, 1.25, 0.75, s.data(), t.data(), nullptr));
    const int64_t half = n / 2;
    ASSERT_EQ(LP_OK, lp_rank_two(half, n, parts.data(), h.stride(), 0, 1.25, 0.75, s.data(),
                                 t.data(), nullptr));
    ASSERT_EQ(LP_OK, lp_rank_two(n - half, n, parts.data() + half * h.stride(), h.stride(), half,
                                 1.25, 0.75, s.data(), t.data(), nullptr));
    ASSERT_TRUE(h.Intact());
    ASSERT_TRUE(h.SameAs(parts));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const double si = s[static_cast<size_t>(i)], sj = s[static_cast<size_t>(j)];
        const double ti = t[static_cast<size_t>(i)], tj = t[static_cast<size_t>(j)];
        const double want = from(i, j) + 1.25 * si * sj - 0.75 * (si * tj + ti * sj);
        ASSERT_NEAR(want, h(i, j), kEpsilon * std::abs(want) + 1e-14);
        ASSERT_EQ(h(i, j), h(j, i));
      }
    }
  }
}

}  // namespace
}  // namespace lp_test
