// The element-wise kernels: each length round a vector's width, alignment and stride gives
// the bits that an element has by itself, and those are near a double formula.
#include <gtest/gtest.h>

#include <functional>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

using Operands = std::vector<Matrix>;

// An element-wise kernel on matrices of one shape, of which the first `outputs` are
// overwritten.
struct Kernel {
  std::string name;
  size_t operands;
  std::function<lp_status(Operands&)> call;
  // From the operands before: the first output, and how far it may be off.
  std::function<double(const double* in, double* bound)> exact;
};

double Transfer(int f, double a) {
  switch (f) {
    case LP_TANH:
      return std::tanh(a);
    case LP_LEAKY_RELU:
      return a > 0 ? a : 0.25 * a;
    case LP_SIGMOID:
      return 1 / (1 + std::exp(-a));
    case LP_RELU2:
      return a > 0 ? a * a : 0;
    case LP_ARCTAN:
      return std::atan(a);
    case LP_SOFTPLUS:
      return std::log1p(std::exp(a));
    case LP_SOFTSIGN:
      return a / (1 + std::fabs(a));
    case LP_ELU:
      return a > 0 ? a : 0.25 * std::expm1(a);
    case LP_HARD_TANH:
      return std::min(1.0, std::max(-1.0, a));
    case LP_EXP:
      return std::exp(a);
    case LP_GELU:
      return a * std::erfc(-a / std::sqrt(2)) / 2;
    case LP_SILU:
      return a / (1 + std::exp(-a));
    default:
      return a;
  }
}

double Slope(int f, double a, double y) {
  switch (f) {
    case LP_TANH:
      return 1 - y * y;
    case LP_LEAKY_RELU:
      return a > 0 ? 1 : 0.25;
    case LP_SIGMOID:
      return y * (1 - y);
    case LP_RELU2:
      return a > 0 ? 2 * a : 0;
    case LP_ARCTAN:
      return 1 / (1 + a * a);
    case LP_SOFTPLUS:
      return 1 / (1 + std::exp(-a));
    case LP_SOFTSIGN:
      return std::pow(1 + std::fabs(a), -2);
    case LP_ELU:
      return y > 0 ? 1 : y + 0.25;
    case LP_HARD_TANH:
      return std::fabs(a) < 1 ? 1 : 0;
    case LP_EXP:
      return y;
    case LP_GELU:
      return std::erfc(-a / std::sqrt(2)) / 2 + a * std::exp(-a * a / 2) / std::sqrt(2 * M_PI);
    case LP_SILU:
      return (1 + a / (1 + std::exp(a))) / (1 + std::exp(-a));
    default:
      return 1;
  }
}

std::vector<Kernel> TransferKernels(int f) {
  const std::string suffix = "/" + std::to_string(f);
  return {
      {"apply" + suffix, 2,
       [f](Operands& m) {
         return lp_apply(m[0].rows(), m[0].cols(), m[0].data(), m[0].stride(), m[1].data(),
                         m[1].stride(), f, 0.25f, nullptr);
       },
       [f](const double* in, double* bound) {
         const double y = Transfer(f, in[1]);
         *bound = 8 * kEpsilon * std::fabs(y) + kTiny;  // 4 ulp or less, an ulp up to 2ε
         return y;
       }},
      {"chain" + suffix, 3,
       [f](Operands& m) {
         return lp_chain(m[0].rows(), m[0].cols(), m[0].data(), m[0].stride(), m[1].data(),
                         m[1].stride(), m[2].data(), m[2].stride(), f, 0.25f, nullptr);
       },
       [f](const double* in, double* bound) {
         // The header's bound, with y² for those that have it: y is any number here.
         const double slope = Slope(f, in[1], in[2]);
         *bound = 4 * kEpsilon * std::fabs(in[0]) * (1 + in[2] * in[2] + std::fabs(slope)) + kTiny;
         return in[0] * slope;
       }},
      {"residual" + suffix, 5,
       [f](Operands& m) {
         return lp_residual(m[0].rows(), m[0].cols(), m[0].data(), m[0].stride(), m[1].data(),
                            m[1].stride(), m[2].data(), m[2].stride(), m[3].data(), m[3].stride(),
                            m[4].data(), m[4].stride(), f, 0.25f, nullptr);
       },
       [f](const double* in, double* bound) {
         if (f == LP_IDENTITY) {
           *bound = kEpsilon * std::fabs(in[1] + in[4]) + kTiny;
           return in[1] + in[4];
         }
         // The sum Â + dA is off by ε of itself, f passes that on by its slope; f by 8ε;
         // the two sums by ε of what they give.
         const double a = in[2] + in[1];
         const double y = Transfer(f, a);
         const double passed = std::fabs(a) * std::max(1.2, std::fabs(Slope(f, a, y)));
         *bound =
             kEpsilon * (passed + 10 * std::fabs(y) + 2 * std::fabs(in[3]) + std::fabs(in[4])) +
             kTiny;
         return (y - in[3]) + in[4];
       }},
  };
}

std::vector<Kernel> Kernels() {
  std::vector<Kernel> all = {
      {"scale", 2,
       [](Operands& m) {
         return lp_scale(m[0].rows(), m[0].cols(), m[0].data(), m[0].stride(), m[1].data(),
                         m[1].stride(), 10, nullptr);
       },
       [](const double* in, double* bound) {
         *bound = kEpsilon * std::fabs(10 * in[1]) + kTiny;
         return 10 * in[1];
       }},
      {"add_into", 2,
       [](Operands& m) {
         return lp_add_into(m[0].rows(), m[0].cols(), m[0].data(), m[0].stride(), m[1].data(),
                            m[1].stride(), nullptr);
       },
       [](const double* in, double* bound) {
         *bound = kEpsilon * std::fabs(in[0] + in[1]) + kTiny;
         return in[0] + in[1];
       }},
  };
  for (int f = LP_IDENTITY; f <= LP_SILU; ++f) {
    if (f == LP_SOFTMAX) continue;  // couples a row
    for (const Kernel& k : TransferKernels(f)) all.push_back(k);
  }
  return all;
}

// Rows and columns of the reference that all lengths are cut from.
constexpr int64_t kRows = 3;
constexpr int64_t kCols = 50;  // more than three vectors of 16

Operands Inputs(const Kernel& k) {
  Random random(7);
  Operands all;
  for (size_t i = 0; i < k.operands; ++i) {
    all.push_back(Matrix(kRows, kCols).Fill([&] { return 2 * random.Normal(); }));
  }
  return all;
}

// Columns 0 … cols − 1 of the first rows, in a layout.
Operands Cut(const Operands& from, int64_t rows, int64_t cols, Layout layout) {
  Operands all;
  for (const Matrix& m : from) {
    Matrix part(rows, cols, layout);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) part(i, j) = m(i, j);
    }
    all.push_back(part);
  }
  return all;
}

// The first output with each element computed by itself, checked against the formula.
Matrix Alone(const Kernel& k, const Operands& inputs) {
  Matrix result(kRows, kCols);
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kCols; ++j) {
      Operands one;
      std::vector<double> in;
      for (const Matrix& m : inputs) {
        one.push_back(Matrix(1, 1));
        one.back()(0, 0) = m(i, j);
        in.push_back(m(i, j));
      }
      double bound = 0;
      const double want = k.exact(in.data(), &bound);
      EXPECT_EQ(LP_OK, k.call(one)) << k.name;
      result(i, j) = one[0](0, 0);
      EXPECT_NEAR(result(i, j), want, bound) << k.name;
    }
  }
  return result;
}

TEST(Elementwise, EveryLengthAlignmentAndStride) {
  for (const Kernel& k : Kernels()) {
    const Operands inputs = Inputs(k);
    const Matrix want = Alone(k, inputs);
    for (int64_t cols = 0; cols <= kCols; ++cols) {
      for (int64_t offset = 0; offset < 16; ++offset) {
        const Layout layout{offset, (offset % 3) * 2};  // without gaps, and with
        Operands m = Cut(inputs, kRows, cols, layout);
        ASSERT_EQ(LP_OK, k.call(m)) << k.name;
        for (size_t n = 0; n < m.size(); ++n) {
          ASSERT_TRUE(m[n].Intact()) << k.name << " wrote beside operand " << n;
          if (n > 0) {
            ASSERT_TRUE(m[n].SameAs(Cut(inputs, kRows, cols, {})[n])) << k.name;
          }
        }
        for (int64_t i = 0; i < kRows; ++i) {
          for (int64_t j = 0; j < cols; ++j) {
            ASSERT_TRUE(Same(want(i, j), m[0](i, j)))
                << k.name << ": element (" << i << ", " << j << ") of " << cols
                << " columns at offset " << offset;
          }
        }
      }
    }
  }
}

// What may be done in place gives the bits of the same out of place.
TEST(Elementwise, InPlace) {
  Random random(8);
  const Matrix a = Matrix(5, 37, {3, 2}).Fill([&] { return random.Normal(); });
  const Matrix y = Matrix(5, 37).Fill([&] { return random.Uniform(-1, 1); });
  Matrix out(5, 37), same = a;
  for (int f = LP_IDENTITY; f <= LP_TEMPERED_SOFTMAX; ++f) {
    const float alpha = f == LP_TEMPERED_SOFTMAX ? 1.5f : 0.1f;
    same = a;
    lp_apply(5, 37, out.data(), 37, a.data(), a.stride(), f, alpha, nullptr);
    lp_apply(5, 37, same.data(), same.stride(), same.data(), same.stride(), f, alpha, nullptr);
    EXPECT_TRUE(out.SameAs(same) && same.Intact()) << f;
    same = a;
    lp_residual(5, 37, out.data(), 37, a.data(), a.stride(), a.data(), a.stride(), y.data(), 37,
                y.data(), 37, f, alpha, nullptr);
    lp_residual(5, 37, same.data(), same.stride(), same.data(), same.stride(), a.data(), a.stride(),
                y.data(), 37, y.data(), 37, f, alpha, nullptr);
    EXPECT_TRUE(out.SameAs(same) && same.Intact()) << f;
  }
  same = a;
  lp_scale(5, 37, out.data(), 37, a.data(), a.stride(), 3, nullptr);
  lp_scale(5, 37, same.data(), same.stride(), same.data(), same.stride(), 3, nullptr);
  EXPECT_TRUE(out.SameAs(same));
}

}  // namespace
}  // namespace lp_test
