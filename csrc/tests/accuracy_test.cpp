// The element-wise transfer functions over the floats of every size, against double.
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

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// A function, the range that holds every result to the bit, and how many units in the last
// place a result may be off: the header's promise.
struct Function {
  std::string name;
  int f;
  float alpha;
  double (*exact)(double);
  double lo, hi, bound;
};

// The header's figures are for any parameter; the product with ELU's and its sweeps' α = 0.7
// is as bad as products get.
std::vector<Function> Functions() {
  constexpr double kArctan = 1.57079637f;
  return {
      {"identity", LP_IDENTITY, 0, [](double x) { return x; }, -kNoLimit, kNoLimit, 0},
      {"tanh", LP_TANH, 0, [](double x) { return std::tanh(x); }, -1, 1, 2.6},
      {"relu", LP_LEAKY_RELU, 0, [](double x) { return std::max(x, 0.0); }, 0, kNoLimit, 0},
      {"leaky_relu", LP_LEAKY_RELU, 0.3f, [](double x) { return x > 0 ? x : double{0.3f} * x; },
       -kNoLimit, kNoLimit, 0.5},
      {"sigmoid", LP_SIGMOID, 0, Sigmoid, 0, 1, 2.6},
      {"relu2", LP_RELU2, 0, [](double x) { return x > 0 ? x * x : 0; }, 0, kNoLimit, 0.5},
      {"arctan", LP_ARCTAN, 0, [](double x) { return std::atan(x); }, -kArctan, kArctan, 2.6},
      {"softplus", LP_SOFTPLUS, 0,
       [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }, 0, kNoLimit,
       2.6},
      {"softsign", LP_SOFTSIGN, 0, [](double x) { return x / (1 + std::fabs(x)); }, -1, 1, 1.5},
      {"elu", LP_ELU, 1, [](double x) { return x > 0 ? x : std::expm1(x); }, -1, kNoLimit, 2},
      {"elu_0.7", LP_ELU, 0.7f, [](double x) { return x > 0 ? x : double{0.7f} * std::expm1(x); },
       -0.7f, kNoLimit, 2},
      {"hard_tanh", LP_HARD_TANH, 0, [](double x) { return std::min(std::max(x, -1.0), 1.0); }, -1,
       1, 0},
      {"exp", LP_EXP, 0, [](double x) { return std::exp(x); }, 0, kNoLimit, 1.5},
      {"gelu", LP_GELU, 0, [](double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; },
       -0.1699714, kNoLimit, 5.5},
      {"silu", LP_SILU, 0, [](double x) { return x * Sigmoid(x); }, -0.278465, kNoLimit, 3},
  };
}

// Every kStep-th float, of both signs, in ascending order of magnitude. A prime, so that
// the mantissas seen differ between powers of 2.
constexpr uint32_t kStep = 1009;
constexpr uint32_t kInfinity = 0x7f800000;

class Accuracy : public testing::TestWithParam<Function> {};

TEST_P(Accuracy, Sweep) {
  const Function& function = GetParam();
  constexpr size_t kChunk = 4096;
  std::vector<float> a, y(kChunk);
  double worst = 0;
  float worst_at = 0;
  const auto check = [&] {
    const int64_t n = static_cast<int64_t>(a.size());
    ASSERT_EQ(LP_OK, lp_apply(1, n, y.data(), n, a.data(), n, function.f, function.alpha, nullptr));
    for (size_t i = 0; i < a.size(); ++i) {
      const double want = function.exact(static_cast<double>(a[i]));
      ASSERT_TRUE(y[i] >= function.lo && y[i] <= function.hi) << y[i] << " for " << a[i];
      if (std::isinf(static_cast<float>(want))) {
        ASSERT_EQ(static_cast<float>(want), y[i]) << "for " << a[i];
        continue;
      }
      const double off = std::fabs(y[i] - want) / Ulp(want);
      if (!(off <= worst)) {
        worst = off;
        worst_at = a[i];
      }
    }
    a.clear();
  };
  for (uint32_t bits = 0; bits <= kInfinity - kStep; bits += kStep) {
    a.push_back(FromBits(bits));
    a.push_back(-FromBits(bits));
    if (a.size() == kChunk) check();
  }
  check();
  EXPECT_LE(worst, function.bound) << "at " << worst_at;
  RecordProperty("worst_ulp_times_1000", static_cast<int>(1000 * worst));
}

INSTANTIATE_TEST_SUITE_P(All, Accuracy, testing::ValuesIn(Functions()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

float Apply(int f, float a) {
  float y = 7;
  EXPECT_EQ(LP_OK, lp_apply(1, 1, &y, 1, &a, 1, f, 0.25f, nullptr));
  return y;
}

TEST(AccuracyOf, SpecialValues) {
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

TEST(AccuracyOf, TanhIsOdd) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const float a =
        static_cast<float>(std::ldexp(random.Uniform(1, 2), int(random.Uniform(-140, 5))));
    EXPECT_EQ(Bits(-Apply(LP_TANH, a)), Bits(Apply(LP_TANH, -a))) << a;
  }
}

// Steps back by more than the error bound allows would be a bug at a boundary of the
// argument reduction.
TEST(AccuracyOf, NearlyMonotone) {
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
