// Products with a packed design, against sums in double.
#include <gtest/gtest.h>

#include <vector>

#include "locoprop.h"
#include "matrix.h"

namespace lp_test {
namespace {

Matrix Uniform(int64_t rows, int64_t cols, uint32_t seed) {
  Random random(seed);
  return Matrix(rows, cols, {2, 3}).Fill([&] { return random.Uniform(-1, 1); });
}

std::vector<float> Panels(const Matrix& m, bool trans, float alpha = 1) {
  const int64_t rows = trans ? m.cols() : m.rows(), units = trans ? m.rows() : m.cols();
  std::vector<float> panels(static_cast<size_t>(lp_panels_len(rows, units)), NAN);
  EXPECT_EQ(LP_OK, lp_panels_from(trans ? 1 : 0, rows, units, alpha, m.data(), m.stride(),
                                  panels.data(), nullptr));
  return panels;
}

std::vector<float> Design(const Matrix& x, int64_t parts, int32_t both = 1) {
  std::vector<float> design(static_cast<size_t>(lp_design_len(x.rows(), x.cols(), both)), NAN);
  for (int64_t p = parts - 1; p >= 0; --p) {
    EXPECT_EQ(LP_OK, lp_design_pack(x.rows(), x.cols(), x.data(), x.stride(), p, parts, both,
                                    design.data(), nullptr));
  }
  return design;
}

struct Sizes {
  int64_t batch, cols, units;
};

// Terms add up 512 at a time: sizes on both sides of it too.
constexpr Sizes kSizes[] = {{1, 1, 1},    {1, 7, 33},  {11, 2, 3},    {12, 12, 16},   {13, 11, 15},
                            {24, 25, 17}, {7, 65, 31}, {5, 512, 32},  {30, 513, 49},  {700, 5, 64},
                            {512, 3, 48}, {513, 1, 7}, {1100, 40, 3}, {61, 1025, 100}};

TEST(Panels, Products) {
  for (const Sizes& s : kSizes) {
    const Matrix x = Uniform(s.batch, s.cols, 1), w = Uniform(s.units, s.cols, 2),
                 r = Uniform(s.batch, s.units, 3);
    const std::vector<float> design = Design(x, 1);
    std::vector<float> a = Panels(r, false), g = Panels(w, true);
    ASSERT_EQ(LP_OK, lp_design_affine(s.batch, s.cols, s.units, design.data(),
                                      Panels(w, true).data(), a.data(), nullptr));
    ASSERT_EQ(LP_OK, lp_design_grad(s.batch, s.cols, s.units, design.data(),
                                    Panels(r, false).data(), g.data(), nullptr));
    Matrix affine(s.batch, s.units, {1, 2}), grad(s.units, s.cols, {3, 1});
    ASSERT_EQ(LP_OK, lp_panels_to(0, s.batch, s.units, a.data(), 0, affine.data(), affine.stride(),
                                  nullptr));
    ASSERT_EQ(LP_OK,
              lp_panels_to(1, s.cols, s.units, g.data(), 0, grad.data(), grad.stride(), nullptr));
    ASSERT_TRUE(affine.Intact() && grad.Intact());
    // The sum over terms x y, whose size bounds the rounding.
    const auto near = [&](int64_t terms, auto x_at, auto y_at, float got) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < terms; ++k) {
        const double term = static_cast<double>(x_at(k)) * static_cast<double>(y_at(k));
        sum += term;
        size += std::abs(term);
      }
      const double rounding = kEpsilon * static_cast<double>(std::min<int64_t>(terms, 520));
      ASSERT_NEAR(sum, got, rounding * size + kTiny)
          << s.batch << " x " << s.cols << ", " << s.units << " units";
    };
    for (int64_t u = 0; u < s.units; ++u) {
      for (int64_t i = 0; i < s.batch; ++i) {
        near(
            s.cols, [&](int64_t j) { return x(i, j); }, [&](int64_t j) { return w(u, j); },
            affine(i, u));
      }
      for (int64_t j = 0; j < s.cols; ++j) {
        near(
            s.batch, [&](int64_t i) { return x(i, j); }, [&](int64_t i) { return r(i, u); },
            grad(u, j));
      }
    }
  }
}

// A product with a matrix as it is has the bits of that with the same matrix packed.
TEST(Panels, Plain) {
  for (const Sizes& s : kSizes) {
    const Matrix x = Uniform(s.batch, s.cols, 1);
    const std::vector<float> design = Design(x, 1), w = Panels(Uniform(s.cols, s.units, 2), false),
                             r = Panels(Uniform(s.batch, s.units, 3), false);
    for (const bool trans : {false, true}) {
      const int64_t rows = trans ? s.cols : s.batch, terms = trans ? s.batch : s.cols;
      const float* const b = trans ? r.data() : w.data();
      std::vector<float> packed(static_cast<size_t>(lp_panels_len(rows, s.units)), NAN);
      std::vector<float> plain = packed;
      const auto product = trans ? lp_design_grad : lp_design_affine;
      ASSERT_EQ(LP_OK, product(s.batch, s.cols, s.units, design.data(), b, packed.data(), nullptr));
      ASSERT_EQ(LP_OK, lp_panels_product(trans ? 1 : 0, rows, terms, s.units, x.data(), x.stride(),
                                         b, plain.data(), nullptr));
      Matrix want(rows, s.units, {1, 2}), got(rows, s.units, {1, 2});
      ASSERT_EQ(LP_OK, lp_panels_to(0, rows, s.units, packed.data(), 0, want.data(), want.stride(),
                                    nullptr));
      ASSERT_EQ(LP_OK,
                lp_panels_to(0, rows, s.units, plain.data(), 0, got.data(), got.stride(), nullptr));
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t u = 0; u < s.units; ++u) ASSERT_TRUE(Same(want(i, u), got(i, u))) << i << u;
      }
    }
  }
}

// Any number of parts makes the same design.
TEST(Panels, Parts) {
  for (const Sizes& s : kSizes) {
    const Matrix x = Uniform(s.batch, s.cols, 4);
    const std::vector<float> whole = Design(x, 1);
    for (const int64_t parts : {2, 3, 7, 1000}) {
      const std::vector<float> design = Design(x, parts);
      for (size_t i = 0; i < whole.size(); ++i) ASSERT_TRUE(Same(whole[i], design[i])) << i;
    }
    const std::vector<float> one = Design(x, 2, 0);  // begins as that for both products does
    ASSERT_LT(one.size(), whole.size());
    for (size_t i = 0; i < one.size(); ++i) ASSERT_TRUE(Same(whole[i], one[i])) << i;
  }
}

TEST(Panels, ThereAndBack) {
  for (const Sizes& s : kSizes) {
    for (const bool trans : {false, true}) {
      const Matrix m = Uniform(s.batch, s.cols, 5);
      const int64_t rows = trans ? s.cols : s.batch, units = trans ? s.batch : s.cols;
      const std::vector<float> panels = Panels(m, trans, -3);
      Matrix set = Uniform(s.batch, s.cols, 6), sum = set;
      ASSERT_EQ(LP_OK, lp_panels_to(trans ? 1 : 0, rows, units, panels.data(), 0, set.data(),
                                    set.stride(), nullptr));
      ASSERT_EQ(LP_OK, lp_panels_to(trans ? 1 : 0, rows, units, panels.data(), 1, sum.data(),
                                    sum.stride(), nullptr));
      const Matrix before = Uniform(s.batch, s.cols, 6);
      ASSERT_TRUE(set.Intact() && sum.Intact());
      for (int64_t i = 0; i < s.batch; ++i) {
        for (int64_t j = 0; j < s.cols; ++j) {
          ASSERT_EQ(-3 * m(i, j), set(i, j));
          ASSERT_EQ(before(i, j) + -3 * m(i, j), sum(i, j));
        }
      }
    }
  }
}

TEST(Panels, NoTerms) {
  const Matrix w = Uniform(3, 4, 7);
  std::vector<float> g = Panels(w, true);
  ASSERT_EQ(LP_OK, lp_design_grad(0, 4, 3, nullptr, nullptr, g.data(), nullptr));
  for (const float v : g) ASSERT_EQ(0, v);
  g = Panels(w, false);
  ASSERT_EQ(LP_OK, lp_design_affine(3, 0, 4, nullptr, nullptr, g.data(), nullptr));
  for (const float v : g) ASSERT_EQ(0, v);
  g = Panels(w, false);
  ASSERT_EQ(LP_OK, lp_panels_product(1, 3, 0, 4, nullptr, 3, nullptr, g.data(), nullptr));
  for (const float v : g) ASSERT_EQ(0, v);
  EXPECT_EQ(INT64_MAX, lp_panels_len(-1, 1));
  const int64_t units = lp_panel_units();
  EXPECT_EQ(3 * lp_panels_len(5, units), lp_panels_len(5, 3 * units));
  EXPECT_EQ(INT64_MAX, lp_design_len(1, (INT64_C(1) << 30) + 1, 1));
}

}  // namespace
}  // namespace lp_test
