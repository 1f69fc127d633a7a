// The losses and their derivatives against double.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

double SigmoidTerm(double a, double t) {
  return std::max(a, 0.0) - a * t + std::log1p(std::exp(-std::fabs(a)));
}

double SoftmaxTerm(const Matrix& a, const Matrix& t, int64_t i) {
  double top = a(i, 0), sum = 0, total = 0, dot = 0;
  for (int64_t j = 0; j < a.cols(); ++j) top = std::max<double>(top, a(i, j));
  for (int64_t j = 0; j < a.cols(); ++j) {
    sum += std::exp(a(i, j) - top);
    total += t(i, j);
    dot += t(i, j) * (a(i, j) - top);
  }
  return std::log(sum) * total - dot;
}

struct Problem {
  Matrix a, y, t;
  double want = 0;
};

Problem Make(int loss, int64_t rows, int64_t cols, double scale, Layout layout) {
  Random random(static_cast<uint32_t>(17 * cols + loss));
  Problem p{Matrix(rows, cols, layout), Matrix(rows, cols, layout), Matrix(rows, cols, layout)};
  p.a.Fill([&] { return scale * random.Normal(); });
  p.t.Fill([&] { return std::min(1.0, std::max(0.0, random.Uniform(-0.3, 1.3))); });
  const int f = loss == LP_SOFTMAX_CE ? LP_SOFTMAX : LP_SIGMOID;
  lp_apply(rows, cols, p.y.data(), p.y.stride(), p.a.data(), p.a.stride(), f, 0, nullptr);
  for (int64_t i = 0; i < rows; ++i) {
    if (loss == LP_SOFTMAX_CE) p.want += SoftmaxTerm(p.a, p.t, i);
    for (int64_t j = 0; j < cols; ++j) {
      const double e = double{p.y(i, j)} - p.t(i, j);
      if (loss == LP_SQUARED) p.want += e * e / 2;
      if (loss == LP_SIGMOID_CE) p.want += SigmoidTerm(p.a(i, j), p.t(i, j));
    }
  }
  return p;
}

double Loss(const Problem& p, int loss, Matrix* d) {
  const int f = loss == LP_SOFTMAX_CE ? LP_SOFTMAX : LP_SIGMOID;
  double sum = -1;
  EXPECT_EQ(LP_OK,
            lp_loss(p.a.rows(), p.a.cols(), d != nullptr ? d->data() : nullptr,
                    d != nullptr ? d->stride() : 0, p.a.data(), p.a.stride(), p.y.data(),
                    p.y.stride(), p.t.data(), p.t.stride(), f, 0, loss, 0, 0.125f, &sum, nullptr));
  return sum;
}

TEST(Loss, SumAndDerivative) {
  for (const int loss : {LP_SIGMOID_CE, LP_SOFTMAX_CE, LP_SQUARED}) {
    for (const double scale : {0.5, 4.0, 50.0}) {
      for (int64_t cols = 1; cols <= 35; ++cols) {
        const Problem p = Make(loss, 3, cols, scale, {cols % 5, cols % 2});
        // All terms are positive and good to 8ε each, so their sum is too.
        ASSERT_NEAR(Loss(p, loss, nullptr), p.want, 8 * kEpsilon * p.want + 1e-12)
            << "loss " << loss << ", " << cols << " columns, scale " << scale;
        Matrix d(3, cols, {1, 1});
        ASSERT_EQ(Loss(p, loss, &d), Loss(p, loss, nullptr));
        ASSERT_TRUE(d.Intact());
        for (int64_t i = 0; i < 3; ++i) {
          for (int64_t j = 0; j < cols; ++j) {
            const double y = p.y(i, j), diff = 0.125 * (y - p.t(i, j));
            const double want = loss == LP_SQUARED ? diff * y * (1 - y) : diff;
            ASSERT_NEAR(d(i, j), want, 4 * kEpsilon * std::fabs(diff) + kTiny);  // few roundings
          }
        }
      }
    }
  }
}

// log Σe^a of rows of numbers of every size: where the target is one class, the loss is
// that of a less a's element of the class, of which the part log Σe^(a − max a) is rounded
// as an absolute number too.
TEST(Loss, LogSumExpOfEveryMagnitude) {
  Random random(8);
  for (int exponent = -149; exponent < 128; ++exponent) {
    for (const int64_t cols : {1, 2, 7, 33}) {
      Problem p{Matrix(1, cols), Matrix(1, cols), Matrix(1, cols)};
      p.a.Fill([&] { return std::ldexp(random.Uniform(-1, 1), exponent); });
      p.t(0, exponent & 1 ? cols - 1 : 0) = 1;
      lp_apply(1, cols, p.y.data(), cols, p.a.data(), cols, LP_SOFTMAX, 0, nullptr);
      const double want = SoftmaxTerm(p.a, p.t, 0);
      ASSERT_NEAR(Loss(p, LP_SOFTMAX_CE, nullptr), want, 8 * kEpsilon * want + 0x1p-51)
          << cols << " columns, exponent " << exponent;
    }
  }
}

// log(1 + e^a) − a t for numbers of every size, both signs, and targets where that cancels.
TEST(Loss, SigmoidOfEveryMagnitude) {
  constexpr uint32_t kStep = 10007, kInfinity = 0x7f800000;
  for (uint32_t bits = 0; bits < kInfinity; bits += kStep) {
    for (const float a : {FromBits(bits), -FromBits(bits)}) {
      for (const float t : {0.0f, 0.3f, 1.0f}) {
        const float y = 0.5f;  // which the loss isn't made of
        double sum = -1;
        ASSERT_EQ(LP_OK, lp_loss(1, 1, nullptr, 0, &a, 1, &y, 1, &t, 1, LP_SIGMOID, 0,
                                 LP_SIGMOID_CE, 0, 1, &sum, nullptr));
        const double want = SigmoidTerm(a, t);
        ASSERT_NEAR(sum, want, 8 * kEpsilon * want + kTiny) << "a = " << a << ", t = " << t;
      }
    }
  }
}

// A layout changes no bit of the sum.
TEST(Loss, BitsDontDependOnLayout) {
  for (const int loss : {LP_SIGMOID_CE, LP_SOFTMAX_CE, LP_SQUARED}) {
    const double want = Loss(Make(loss, 4, 37, 2, {}), loss, nullptr);
    for (int64_t offset = 0; offset < 16; ++offset) {
      EXPECT_EQ(want, Loss(Make(loss, 4, 37, 2, {offset, offset % 4}), loss, nullptr)) << loss;
    }
  }
}

TEST(Loss, Limits) {
  const float a[] = {200, -200, 0}, t[] = {1, 0, 0.5f}, wrong[] = {0, 1, 0.5f};
  float y[3];
  double sum;
  lp_apply(1, 3, y, 3, a, 3, LP_SIGMOID, 0, nullptr);
  lp_loss(1, 3, nullptr, 0, a, 3, y, 3, t, 3, LP_SIGMOID, 0, LP_SIGMOID_CE, 0, 1, &sum, nullptr);
  EXPECT_NEAR(sum, std::log(2.0), 1e-7);
  lp_loss(1, 3, nullptr, 0, a, 3, y, 3, wrong, 3, LP_SIGMOID, 0, LP_SIGMOID_CE, 0, 1, &sum,
          nullptr);
  EXPECT_NEAR(sum, 400 + std::log(2.0), 1e-5);
  const float nan[] = {1, std::nanf(""), 1};
  lp_loss(1, 3, nullptr, 0, nan, 3, y, 3, t, 3, LP_SIGMOID, 0, LP_SIGMOID_CE, 0, 1, &sum, nullptr);
  EXPECT_TRUE(std::isnan(sum));
  lp_loss(0, 3, nullptr, 0, nullptr, 3, nullptr, 3, nullptr, 3, LP_SIGMOID, 0, LP_SIGMOID_CE, 0, 1,
          &sum, nullptr);
  EXPECT_EQ(0, sum);
}

}  // namespace
}  // namespace lp_test
