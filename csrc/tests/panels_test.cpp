// Products on panels, against sums in double.
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
    std::vector<float> a = Panels(r, false), g = Panels(w, true);
    ASSERT_EQ(LP_OK, lp_panels_product(0, s.batch, s.cols, s.units, x.data(), x.stride(),
                                       Panels(w, true).data(), a.data(), nullptr));
    ASSERT_EQ(LP_OK, lp_panels_product(1, s.cols, s.batch, s.units, x.data(), x.stride(),
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

// What a sum is doesn't depend on which rows and units lie beside it.
TEST(Panels, Alone) {
  const int64_t rows = 25, terms = 600, units = 70;
  const Matrix m = Uniform(rows, terms, 1), b = Uniform(terms, units, 2);
  for (const bool trans : {false, true}) {
    const Matrix left = trans ? Uniform(terms, rows, 3) : m;
    const auto product = [&](int64_t count, const float* from, const Matrix& right) {
      std::vector<float> c(static_cast<size_t>(lp_panels_len(count, right.cols())), NAN);
      EXPECT_EQ(LP_OK,
                lp_panels_product(trans ? 1 : 0, count, terms, right.cols(), from, left.stride(),
                                  Panels(right, false).data(), c.data(), nullptr));
      Matrix out(count, right.cols());
      EXPECT_EQ(LP_OK, lp_panels_to(0, count, right.cols(), c.data(), 0, out.data(), out.stride(),
                                    nullptr));
      return out;
    };
    const Matrix all = product(rows, left.data(), b);
    for (const int64_t u : {0, 16, 33, 69}) {
      Matrix column(terms, 1);
      for (int64_t k = 0; k < terms; ++k) column(k, 0) = b(k, u);
      for (int64_t i = 0; i < rows; ++i) {
        const float* const from = left.data() + (trans ? i : i * left.stride());
        ASSERT_TRUE(Same(all(i, u), product(1, from, column)(0, 0))) << i << ' ' << u;
      }
    }
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

// Examples go, some at a time, from panels where they lie side by side to panels where units do,
// and past the caches where those are large and begin with a cache line. Padding isn't read, and
// nothing else changes.
void Turned(const Sizes& s, size_t from_line) {
  const Matrix m = Uniform(s.batch, s.units, 8);
  const auto filled = [](const Matrix& from, bool trans, float padding) {
    Matrix ones(from.rows(), from.cols());
    ones.Fill([] { return 1; });
    std::vector<float> panels = Panels(from, trans);
    const std::vector<float> mask = Panels(ones, trans);
    for (size_t i = 0; i < panels.size(); ++i) {
      if (mask[i] == 0) panels[i] = padding;
    }
    return panels;
  };
  constexpr float kUntouched = 7;
  std::vector<float> want = filled(m, false, kUntouched / -3);
  for (float& v : want) v *= -3;
  constexpr size_t kLine = 16;
  std::vector<float> memory(want.size() + 2 * kLine, kUntouched);
  const size_t at = reinterpret_cast<uintptr_t>(memory.data()) / sizeof(float) % kLine;
  const size_t begin = (kLine - at) % kLine + from_line;
  bool wide = true;
  for (int64_t first = 0, now; first < s.batch; first += now, wide = !wide) {
    now = std::min<int64_t>(wide ? 2 * lp_panel_units() : 5, s.batch - first);
    Matrix part(now, s.units);
    for (int64_t i = 0; i < now; ++i) {
      for (int64_t u = 0; u < s.units; ++u) part(i, u) = m(first + i, u);
    }
    ASSERT_EQ(LP_OK,
              lp_panels_turn(s.batch, first, now, s.units, -3, filled(part, true, NAN).data(),
                             memory.data() + begin, nullptr));
  }
  for (size_t i = 0; i < memory.size(); ++i) {
    const bool within = i >= begin && i - begin < want.size();
    ASSERT_EQ(within ? want[i - begin] : kUntouched, memory[i])
        << i << " of " << s.batch << " x " << s.units;
  }
}

TEST(Panels, Turn) {
  for (const Sizes& s : kSizes) Turned(s, 0);
  for (const size_t from_line : {0, 3}) Turned({522, 0, 517}, from_line);
}

TEST(Panels, NoTerms) {
  const Matrix w = Uniform(3, 4, 7);
  for (const int32_t trans : {0, 1}) {
    std::vector<float> g = Panels(w, false);
    ASSERT_EQ(LP_OK, lp_panels_product(trans, 3, 0, 4, nullptr, 3, nullptr, g.data(), nullptr));
    for (const float v : g) ASSERT_EQ(0, v);
  }
  EXPECT_EQ(INT64_MAX, lp_panels_len(-1, 1));
  const int64_t units = lp_panel_units();
  EXPECT_EQ(3 * lp_panels_len(5, units), lp_panels_len(5, 3 * units));
  EXPECT_EQ(INT64_MAX, lp_panels_len(1, (INT64_C(1) << 30) + 1));
}

}  // namespace
}  // namespace lp_test
