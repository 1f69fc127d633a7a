// Tempered softmax, its Jacobian and the bi-tempered loss, row by row, against double.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNextToOne = 1 + 1.0f / (1 << 23);
constexpr float kTemperatures[] = {kNextToOne, 1.01f, 1.2f, 2, 3.5f, 10};

double LogExpT(double x, double t) { return t == 1 ? x : -std::log1p((1 - t) * x) / (t - 1); }

double LogT(double x, double t) {
  return t == 1 ? std::log(x) : std::expm1((1 - t) * std::log(x)) / (1 - t);
}

std::vector<double> Row(const Matrix& m, int64_t i) {
  std::vector<double> row;
  for (int64_t j = 0; j < m.cols(); ++j) row.push_back(m(i, j));
  return row;
}

// The normaliser by bisection, between what one class and equal classes give.
std::vector<double> Tempered(const std::vector<double>& a, double t) {
  double top = -HUGE_VAL;
  for (const double v : a) top = std::max(top, v);
  double lo = 0, hi = -LogT(1.0 / static_cast<double>(a.size()), t) + 1e-9;
  for (int i = 0; i < 300; ++i) {
    const double mid = lo + (hi - lo) / 2;
    double sum = 0;
    for (const double v : a) sum += std::exp(LogExpT(v - top - mid, t));
    (sum > 1 ? lo : hi) = mid;
  }
  std::vector<double> y;
  for (const double v : a) y.push_back(std::exp(LogExpT(v - top - lo, t)));
  return y;
}

lp_status Apply(Matrix& y, const Matrix& a, float t) {
  return lp_apply(a.rows(), a.cols(), y.data(), y.stride(), a.data(), a.stride(),
                  LP_TEMPERED_SOFTMAX, t, nullptr);
}

TEST(Tempered, Apply) {
  Random random(3);
  for (const float t : kTemperatures) {
    for (int64_t cols = 1; cols <= 40; ++cols) {
      for (const double scale : {0.0, 1.0, 30.0, 1e4, 1e20}) {
        const Layout layout{cols % 7, cols % 3};
        const Matrix a = Matrix(2, cols, layout).Fill([&] { return scale * random.Normal(); });
        Matrix y(2, cols, layout), same = a;
        ASSERT_EQ(LP_OK, Apply(y, a, t));
        ASSERT_EQ(LP_OK, Apply(same, same, t));
        ASSERT_TRUE(y.Intact() && a.Intact() && same.SameAs(y));
        for (int64_t i = 0; i < 2; ++i) {
          const std::vector<double> want = Tempered(Row(a, i), t);
          for (int64_t j = 0; j < cols; ++j) {
            const double w = want[static_cast<size_t>(j)];
            const float near = static_cast<float>(w);
            // The header's bound: one rounding, and 2⁻³⁰ of the result for t next to 1.
            ASSERT_NEAR(y(i, j), w, 0.54 * (std::nextafter(near, kInf) - near))
                << "t " << t << ", " << cols << " columns, scale " << scale;
            ASSERT_LE(y(i, j), 1);
          }
        }
      }
    }
  }
}

TEST(Tempered, ManyEqualClasses) {
  for (const float t : kTemperatures) {
    Matrix a(1, 5000), y(1, 5000);
    ASSERT_EQ(LP_OK, Apply(y, a, t));
    for (int64_t j = 0; j < 5000; ++j) ASSERT_NEAR(y(0, j), 2e-4, 2e-4 * kEpsilon) << t;
  }
}

TEST(Tempered, Infinities) {
  float y[3];
  const float below[] = {1, -kInf, 1};
  lp_apply(1, 3, y, 3, below, 3, LP_TEMPERED_SOFTMAX, 10, nullptr);
  EXPECT_EQ(0.5f, y[0]);
  EXPECT_EQ(0, y[1]);
  const float above[] = {1, kInf, 1}, nan[] = {1, std::nanf(""), 1}, none[] = {-kInf, -kInf, -kInf};
  for (const float* a : {above, nan, none}) {
    for (const float t : kTemperatures) {
      lp_apply(1, 3, y, 3, a, 3, LP_TEMPERED_SOFTMAX, t, nullptr);
      for (const float v : y) EXPECT_TRUE(std::isnan(v));
    }
  }
}

// Outside the range of temperatures nothing is promised but that a call ends.
TEST(Tempered, OtherTemperaturesEnd) {
  const Matrix a = Matrix(1, 9).Fill([] { return 3; });
  Matrix y(1, 9);
  for (const float t : {1.0f, 0.5f, 0.0f, -1.0f, 1e30f, kInf, std::nanf("")}) {
    EXPECT_EQ(LP_OK, Apply(y, a, t));
  }
}

TEST(Tempered, Jacobian) {
  Random random(5);
  for (const float t : kTemperatures) {
    for (int64_t cols = 1; cols <= 40; ++cols) {
      Matrix a = Matrix(2, cols).Fill([&] { return 4 * random.Normal(); });
      if (cols > 2) a(1, 1) = -kInf;  // y = 0
      Matrix y(2, cols, {1, 2});
      ASSERT_EQ(LP_OK, Apply(y, a, t));
      const Matrix before = Matrix(2, cols, {2, 1}).Fill([&] { return random.Normal(); });
      Matrix d = before;
      ASSERT_EQ(LP_OK, lp_chain(2, cols, d.data(), d.stride(), a.data(), a.stride(), y.data(),
                                y.stride(), LP_TEMPERED_SOFTMAX, t, nullptr));
      ASSERT_TRUE(d.Intact());
      for (int64_t i = 0; i < 2; ++i) {
        double sum = 0, dot = 0;
        for (int64_t j = 0; j < cols; ++j) {
          sum += std::pow(double{y(i, j)}, t);
          dot += std::pow(double{y(i, j)}, t) * before(i, j);
        }
        for (int64_t j = 0; j < cols; ++j) {
          const double w = std::pow(double{y(i, j)}, t);
          const double want = w * (before(i, j) - dot / sum);
          // One rounding; y^t is off by 1e-12 of itself.
          ASSERT_NEAR(d(i, j), want, kEpsilon * std::fabs(want) + 1e-11 * w + kTiny) << t;
        }
      }
    }
  }
}

TEST(Tempered, Residual) {
  Random random(6);
  for (const int64_t cols : {1, 7, 8, 33}) {
    const auto fill = [&] { return Matrix(3, cols, {1, 3}).Fill([&] { return random.Normal(); }); };
    const Matrix da = fill(), ahat = fill(), yhat = fill(), e = fill();
    Matrix r(3, cols), a(3, cols), y(3, cols);
    ASSERT_EQ(LP_OK, lp_residual(3, cols, r.data(), cols, da.data(), da.stride(), ahat.data(),
                                 ahat.stride(), yhat.data(), yhat.stride(), e.data(), e.stride(),
                                 LP_TEMPERED_SOFTMAX, 1.5f, nullptr));
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t j = 0; j < cols; ++j) a(i, j) = ahat(i, j) + da(i, j);
    }
    Apply(y, a, 1.5f);
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        ASSERT_EQ(Bits((y(i, j) - yhat(i, j)) + e(i, j)), Bits(r(i, j)));
      }
    }
  }
}

// An example's pre-activations and targets: a distribution with a zero in it.
struct Problem {
  Matrix a, t;
  float t1, t2;
};

Problem Make(int64_t rows, int64_t cols, float t1, float t2, Layout layout) {
  Random random(static_cast<uint32_t>(cols));
  Problem p{Matrix(rows, cols, layout), Matrix(rows, cols, layout), t1, t2};
  p.a.Fill([&] { return 3 * random.Normal(); });
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < cols; ++j) {
      p.t(i, j) = j == 1 ? 0 : static_cast<float>(random.Uniform(0, 1));
      sum += p.t(i, j);
    }
    for (int64_t j = 0; j < cols; ++j) p.t(i, j) = static_cast<float>(p.t(i, j) / sum);
  }
  return p;
}

// At temperature 1 tempered softmax is LP_SOFTMAX, whose alpha isn't used.
double Loss(const Problem& p, Matrix* d, float scale = 0.125f) {
  double sum = -1;
  const int f = p.t2 == 1 ? LP_SOFTMAX : LP_TEMPERED_SOFTMAX;
  EXPECT_EQ(LP_OK, lp_loss(p.a.rows(), p.a.cols(), d != nullptr ? d->data() : nullptr,
                           d != nullptr ? d->stride() : 0, p.a.data(), p.a.stride(), p.a.data(),
                           p.a.stride(), p.t.data(), p.t.stride(), f, p.t2 == 1 ? 7 : p.t2,
                           LP_BI_TEMPERED, p.t1, scale, &sum, nullptr));
  return sum;
}

double Want(const std::vector<double>& a, const std::vector<double>& t, double t1, double t2) {
  const std::vector<double> y = Tempered(a, t2);
  double sum = 0;
  for (size_t j = 0; j < a.size(); ++j) {
    if (t[j] > 0) sum += t[j] * (LogT(t[j], t1) - LogT(y[j], t1));
    sum -= (std::pow(t[j], 2 - t1) - std::pow(y[j], 2 - t1)) / (2 - t1);
  }
  return sum;
}

constexpr float kPairs[][2] = {{0.8f, 1.2f}, {0, 2}, {1, 1.5f}, {0.5f, 1}, {1, 1}, {0.3f, 10}};

TEST(Tempered, LossAndDerivative) {
  for (const auto& [t1, t2] : kPairs) {
    for (int64_t cols = 2; cols <= 19; ++cols) {
      const Problem p = Make(2, cols, t1, t2, {cols % 5, cols % 2});
      double want = 0;
      for (int64_t i = 0; i < 2; ++i) want += Want(Row(p.a, i), Row(p.t, i), t1, t2);
      ASSERT_NEAR(Loss(p, nullptr), want, 1e-11) << t1 << ", " << t2 << ", " << cols;
      Matrix d(2, cols, {1, 1});
      ASSERT_EQ(Loss(p, &d), Loss(p, nullptr));
      ASSERT_TRUE(d.Intact() && p.a.Intact());
      for (int64_t i = 0; i < 2; ++i) {
        std::vector<double> a = Row(p.a, i);
        const std::vector<double> t = Row(p.t, i);
        for (int64_t j = 0; j < cols; ++j) {
          // Central differences: h² of a third derivative of about 1, and 1e-15/h.
          constexpr double h = 1e-5;
          const double at = a[static_cast<size_t>(j)];
          a[static_cast<size_t>(j)] = at + h;
          double slope = Want(a, t, t1, t2);
          a[static_cast<size_t>(j)] = at - h;
          slope = (slope - Want(a, t, t1, t2)) / (2 * h);
          a[static_cast<size_t>(j)] = at;
          ASSERT_NEAR(d(i, j), 0.125 * slope, 2 * kEpsilon * std::fabs(slope) + 1e-9)
              << t1 << ", " << t2;
        }
      }
    }
  }
}

// t1 = t2 = 1: softmax cross-entropy less the targets' entropy.
TEST(Tempered, LossAtOne) {
  const Problem p = Make(3, 11, 1, 1, {});
  double ce = 0, entropy = 0;
  lp_loss(3, 11, nullptr, 0, p.a.data(), 11, p.a.data(), 11, p.t.data(), 11, LP_SOFTMAX, 0,
          LP_SOFTMAX_CE, 0, 1, &ce, nullptr);
  for (int64_t i = 0; i < 3; ++i) {
    for (const double v : Row(p.t, i)) entropy -= v > 0 ? v * std::log(v) : 0;
  }
  EXPECT_NEAR(Loss(p, nullptr), ce - entropy, 1e-6);  // Σt is 1 to float only
}

TEST(Tempered, LossBitsDontDependOnLayout) {
  for (const auto& [t1, t2] : kPairs) {
    const double want = Loss(Make(4, 37, t1, t2, {}), nullptr);
    for (int64_t offset = 0; offset < 16; ++offset) {
      EXPECT_EQ(want, Loss(Make(4, 37, t1, t2, {offset, offset % 4}), nullptr)) << t1;
    }
  }
}

// Below t1 = 1 the worst prediction costs a finite amount; a NaN shows.
TEST(Tempered, LossLimits) {
  const float a[] = {1e30f, -1e30f}, nan[] = {1, std::nanf("")}, t[] = {0, 1};
  double sum = 0;
  lp_loss(1, 2, nullptr, 0, a, 2, a, 2, t, 2, LP_TEMPERED_SOFTMAX, 1.5f, LP_BI_TEMPERED, 0.5f, 1,
          &sum, nullptr);
  EXPECT_NEAR(sum, 2, 1e-6);  // 1/(1 − t1), and both last terms cancel
  for (const float t1 : {0.5f, 1.0f}) {
    float d[2];
    lp_loss(1, 2, d, 2, nan, 2, nan, 2, t, 2, LP_TEMPERED_SOFTMAX, 1.5f, LP_BI_TEMPERED, t1, 1,
            &sum, nullptr);
    EXPECT_TRUE(std::isnan(sum) && std::isnan(d[0]) && std::isnan(d[1]));
    const float none[] = {0, -kInf}, certain[] = {1, 0};
    lp_loss(1, 2, d, 2, none, 2, none, 2, certain, 2, LP_TEMPERED_SOFTMAX, 1.5f, LP_BI_TEMPERED, t1,
            1, &sum, nullptr);
    EXPECT_NEAR(sum, 0, 1e-12);
    EXPECT_EQ(0, d[0]);
    EXPECT_EQ(0, d[1]);
  }
}

}  // namespace
}  // namespace lp_test
