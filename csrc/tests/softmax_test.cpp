// Softmax, its Jacobian and its residual, row by row, against double.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<double> Softmax(const std::vector<double>& a) {
  double top = -kInf, sum = 0;
  for (const double v : a) top = std::max(top, v);
  std::vector<double> y;
  for (const double v : a) y.push_back(std::exp(v - top));
  for (const double v : y) sum += v;
  for (double& v : y) v /= sum;
  return y;
}

std::vector<double> Row(const Matrix& m, int64_t i) {
  std::vector<double> row;
  for (int64_t j = 0; j < m.cols(); ++j) row.push_back(m(i, j));
  return row;
}

TEST(Softmax, Apply) {
  Random random(3);
  for (int64_t cols = 1; cols <= 40; ++cols) {
    for (const double scale : {0.0, 1.0, 30.0, 1e4}) {
      const Layout layout{cols % 7, cols % 3};
      Matrix a = Matrix(3, cols, layout).Fill([&] { return scale * random.Normal(); });
      Matrix y(3, cols, layout);
      ASSERT_EQ(LP_OK, lp_apply(3, cols, y.data(), y.stride(), a.data(), a.stride(), LP_SOFTMAX, 0,
                                nullptr));
      ASSERT_TRUE(y.Intact() && a.Intact());
      for (int64_t i = 0; i < 3; ++i) {
        const std::vector<double> want = Softmax(Row(a, i));
        double sum = 0;
        for (int64_t j = 0; j < cols; ++j) {
          const double w = want[static_cast<size_t>(j)];
          // e^x 4ε, the sum and the division ε each; the difference to the maximum is exact.
          EXPECT_NEAR(y(i, j), w, 8 * kEpsilon * w + kTiny) << cols << " columns, scale " << scale;
          sum += y(i, j);
        }
        EXPECT_NEAR(sum, 1, 8 * kEpsilon);
      }
    }
  }
}

// Rows of numbers of every size, denormals too.
TEST(Softmax, EveryMagnitude) {
  Random random(7);
  double worst = 0;
  for (int exponent = -149; exponent < 128; ++exponent) {
    for (const int64_t cols : {1, 2, 7, 33}) {
      const Matrix a =
          Matrix(4, cols).Fill([&] { return std::ldexp(random.Uniform(-1, 1), exponent); });
      Matrix y(4, cols);
      ASSERT_EQ(LP_OK, lp_apply(4, cols, y.data(), y.stride(), a.data(), a.stride(), LP_SOFTMAX, 0,
                                nullptr));
      for (int64_t i = 0; i < 4; ++i) {
        const std::vector<double> want = Softmax(Row(a, i));
        for (int64_t j = 0; j < cols; ++j) {
          const double w = want[static_cast<size_t>(j)];
          ASSERT_TRUE(y(i, j) >= 0 && y(i, j) <= 1) << y(i, j);
          ASSERT_NEAR(y(i, j), w, 8 * kEpsilon * w + kTiny) << "exponent " << exponent;
          if (w > kTiny / kEpsilon)
            worst = std::max(worst, std::fabs(y(i, j) - w) / (kEpsilon * w));
        }
      }
    }
  }
  RecordProperty("worst_units_times_1000", static_cast<int>(1000 * worst));
}

TEST(Softmax, RowsDontDependOnEachOther) {
  Random random(4);
  const Matrix a = Matrix(6, 37).Fill([&] { return random.Normal(); });
  Matrix whole(6, 37), one(1, 37, {5, 0});
  lp_apply(6, 37, whole.data(), 37, a.data(), 37, LP_SOFTMAX, 0, nullptr);
  for (int64_t i = 0; i < 6; ++i) {
    lp_apply(1, 37, one.data(), 37, a.data() + i * 37, 37, LP_SOFTMAX, 0, nullptr);
    for (int64_t j = 0; j < 37; ++j) EXPECT_EQ(Bits(whole(i, j)), Bits(one(0, j)));
  }
}

TEST(Softmax, Infinities) {
  float y[3];
  const float below[] = {1, -kInf, 1};
  lp_apply(1, 3, y, 3, below, 3, LP_SOFTMAX, 0, nullptr);
  EXPECT_EQ(0.5f, y[0]);
  EXPECT_EQ(0, y[1]);
  const float above[] = {1, kInf, 1};
  const float nan[] = {1, std::nanf(""), 1};
  for (const float* a : {above, nan}) {
    lp_apply(1, 3, y, 3, a, 3, LP_SOFTMAX, 0, nullptr);
    for (const float v : y) EXPECT_TRUE(std::isnan(v));
  }
}

TEST(Softmax, Jacobian) {
  Random random(5);
  for (int64_t cols = 1; cols <= 40; ++cols) {
    Matrix a = Matrix(2, cols).Fill([&] { return random.Normal(); });
    Matrix y(2, cols, {1, 2});
    lp_apply(2, cols, y.data(), y.stride(), a.data(), a.stride(), LP_SOFTMAX, 0, nullptr);
    const Matrix before = Matrix(2, cols, {2, 1}).Fill([&] { return random.Normal(); });
    Matrix d = before;
    ASSERT_EQ(LP_OK, lp_chain(2, cols, d.data(), d.stride(), a.data(), a.stride(), y.data(),
                              y.stride(), LP_SOFTMAX, 0, nullptr));
    ASSERT_TRUE(d.Intact());
    for (int64_t i = 0; i < 2; ++i) {
      double dot = 0;
      for (int64_t j = 0; j < cols; ++j) dot += double{y(i, j)} * before(i, j);
      for (int64_t j = 0; j < cols; ++j) {
        const double want = y(i, j) * (before(i, j) - dot);
        EXPECT_NEAR(d(i, j), want, kEpsilon * std::fabs(want) + 1e-15);  // one rounding
      }
    }
  }
}

TEST(Softmax, Residual) {
  Random random(6);
  for (const int64_t cols : {1, 7, 8, 33}) {
    const auto fill = [&] { return Matrix(3, cols, {1, 3}).Fill([&] { return random.Normal(); }); };
    const Matrix da = fill(), ahat = fill(), yhat = fill(), e = fill();
    Matrix r(3, cols);
    ASSERT_EQ(LP_OK, lp_residual(3, cols, r.data(), cols, da.data(), da.stride(), ahat.data(),
                                 ahat.stride(), yhat.data(), yhat.stride(), e.data(), e.stride(),
                                 LP_SOFTMAX, 0, nullptr));
    for (int64_t i = 0; i < 3; ++i) {
      std::vector<double> a;
      for (int64_t j = 0; j < cols; ++j) a.push_back(double{ahat(i, j)} + da(i, j));
      const std::vector<double> y = Softmax(a);
      for (int64_t j = 0; j < cols; ++j) {
        // Sums round to ε of numbers below 8; softmax passes on twice the error of a.
        EXPECT_NEAR(r(i, j), y[static_cast<size_t>(j)] - yhat(i, j) + e(i, j), 40 * kEpsilon);
      }
    }
  }
}

}  // namespace
}  // namespace lp_test
