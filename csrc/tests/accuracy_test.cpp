// tanh and sigmoid over the floats of every size, against double.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

// The spacing of floats at v.
double Ulp(double v) {
  const double magnitude = std::fabs(v);
  if (magnitude < std::numeric_limits<float>::min()) return std::ldexp(1.0, -149);
  int exponent;
  std::frexp(magnitude, &exponent);
  return std::ldexp(1.0, exponent - 24);
}

double Sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

// Every kStep-th float, of both signs, in ascending order of magnitude. A prime, so that
// the mantissas seen differ between powers of 2.
constexpr uint32_t kStep = 1009;
constexpr uint32_t kInfinity = 0x7f800000;

template <class F>
void Sweep(int f, F exact, double lo, double hi) {
  constexpr size_t kChunk = 4096;
  std::vector<float> a, y(kChunk);
  double worst = 0;
  float worst_at = 0;
  const auto check = [&] {
    const int64_t n = static_cast<int64_t>(a.size());
    ASSERT_EQ(LP_OK, lp_apply(1, n, y.data(), n, a.data(), n, f, 0, nullptr));
    for (size_t i = 0; i < a.size(); ++i) {
      const double want = exact(static_cast<double>(a[i]));
      const double off = std::fabs(y[i] - want) / Ulp(want);
      if (!(off <= worst)) {
        worst = off;
        worst_at = a[i];
      }
      EXPECT_TRUE(y[i] >= lo && y[i] <= hi) << y[i] << " for " << a[i];
    }
    a.clear();
  };
  for (uint32_t bits = 0; bits <= kInfinity - kStep; bits += kStep) {
    a.push_back(FromBits(bits));
    a.push_back(-FromBits(bits));
    if (a.size() == kChunk) check();
  }
  check();
  // The header's promise. Each of the last three operations rounds (3 × ½ ulp, up to twice
  // that where the result's mantissa is near 2 and an operand's near 1).
  EXPECT_LT(worst, 2.6) << "at " << worst_at;
  testing::Test::RecordProperty("worst_ulp_times_1000", static_cast<int>(1000 * worst));
}

TEST(Accuracy, Tanh) {
  Sweep(
      LP_TANH, [](double x) { return std::tanh(x); }, -1, 1);
}

TEST(Accuracy, Sigmoid) { Sweep(LP_SIGMOID, Sigmoid, 0, 1); }

float Apply(int f, float a) {
  float y = 7;
  EXPECT_EQ(LP_OK, lp_apply(1, 1, &y, 1, &a, 1, f, 0.25f, nullptr));
  return y;
}

TEST(Accuracy, SpecialValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kMinus = -kInf;
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  for (const int f : {LP_IDENTITY, LP_TANH, LP_LEAKY_RELU, LP_SIGMOID, LP_SOFTMAX}) {
    EXPECT_TRUE(std::isnan(Apply(f, kNan))) << f;
    EXPECT_TRUE(std::isnan(Apply(f, -kNan))) << f;
  }
  EXPECT_EQ(Bits(0.0f), Bits(Apply(LP_TANH, 0.0f)));
  EXPECT_EQ(Bits(-0.0f), Bits(Apply(LP_TANH, -0.0f)));
  EXPECT_EQ(kDenormal, Apply(LP_TANH, kDenormal));
  EXPECT_EQ(-3 * kDenormal, Apply(LP_TANH, -3 * kDenormal));
  for (const float big : {9.02f, 20.0f, 1e30f, kInf}) {
    EXPECT_EQ(1, Apply(LP_TANH, big)) << big;
    EXPECT_EQ(-1, Apply(LP_TANH, -big)) << big;
  }
  EXPECT_EQ(0.5f, Apply(LP_SIGMOID, 0.0f));
  EXPECT_EQ(0.5f, Apply(LP_SIGMOID, -0.0f));
  EXPECT_EQ(1, Apply(LP_SIGMOID, kInf));
  EXPECT_EQ(0, Apply(LP_SIGMOID, -kInf));
  EXPECT_EQ(1, Apply(LP_SIGMOID, 17.5f));
  EXPECT_EQ(0, Apply(LP_SIGMOID, -104.1f));
  EXPECT_GT(Apply(LP_SIGMOID, -103.2f), 0);  // denormal
  EXPECT_EQ(kInf, Apply(LP_LEAKY_RELU, kInf));
  EXPECT_EQ(-kInf, Apply(LP_LEAKY_RELU, -kInf));
  EXPECT_EQ(-kInf, Apply(LP_IDENTITY, -kInf));
  float zero = 7;
  EXPECT_EQ(LP_OK, lp_apply(1, 1, &zero, 1, &kMinus, 1, LP_LEAKY_RELU, 0, nullptr));
  EXPECT_EQ(0, zero);  // ReLU: not 0·∞
}

TEST(Accuracy, TanhIsOdd) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const float a =
        static_cast<float>(std::ldexp(random.Uniform(1, 2), int(random.Uniform(-140, 5))));
    EXPECT_EQ(Bits(-Apply(LP_TANH, a)), Bits(Apply(LP_TANH, -a))) << a;
  }
}

// Steps back by more than the error bound allows would be a bug at a boundary of the
// argument reduction.
TEST(Accuracy, NearlyMonotone) {
  for (const int f : {LP_TANH, LP_SIGMOID}) {
    float last = Apply(f, -12.0f);
    for (float a = -12; a < 12; a += 1.0f / 512) {
      const float y = Apply(f, a);
      EXPECT_GE(y, last - 3 * Ulp(last)) << a;
      last = y;
    }
  }
}

}  // namespace
}  // namespace lp_test
