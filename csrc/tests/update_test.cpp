// The update rules: against the formulas in double, over several steps, and the same bits
// in every layout.
#include <gtest/gtest.h>

#include <algorithm>

#include "locoprop.h"
#include "matrix.h"
#include "rules.h"

namespace lp_test {
namespace {

// One weight in double, and the sizes that errors are relative to.
struct Weight {
  double w = 0, base = 0, s0 = 0, s1 = 0, s2 = 0;
};

double Quotient(double a, double b) { return a == 0 ? 0 : a / b; }

void Step(const lp_rule& u, double g, bool bias, Weight* x) {
  const float* c = u.c;
  g += u.prox * (x->w - x->base);
  switch (u.kind) {
    case LP_SGD:
      x->w -= c[0] * g;
      break;
    case LP_MOMENTUM:
      x->s0 = c[1] * x->s0 + g;
      x->w -= c[0] * x->s0;
      break;
    case LP_NESTEROV:
      x->s0 = c[1] * x->s0 + g;
      x->w -= c[0] * (g + c[1] * x->s0);
      break;
    case LP_ADAGRAD:
      x->s0 += g * g;
      x->w -= Quotient(c[0] * g, std::sqrt(x->s0));
      break;
    case LP_RMSPROP_TF1:
      x->s0 = c[2] * x->s0 + c[3] * g * g;
      x->s1 = c[1] * x->s1 + Quotient(c[0] * g, std::sqrt(x->s0 + c[4]));
      x->w -= x->s1;
      break;
    case LP_RMSPROP_TORCH:
      x->s0 = c[2] * x->s0 + c[3] * g * g;
      x->s1 = c[1] * x->s1 + Quotient(g, std::sqrt(x->s0) + c[4]);
      x->w -= c[0] * x->s1;
      break;
    case LP_MOMENTUM_BUFFER:
      x->s0 = c[1] * x->s0 + c[0] * g;
      x->w -= x->s0;
      break;
    case LP_SCHEDULE_FREE:
      x->s0 = c[3] * x->s0 + c[4] * g * g;
      if (!bias) x->s1 -= c[6] * x->w;
      x->s1 -= Quotient(c[0] * g, std::sqrt(x->s0) + c[5]);
      x->s2 += c[2] * (x->s1 - x->s2);
      x->w = x->s1 + c[1] * (x->s2 - x->s1);
      break;
    case LP_EGU: {
      const double root = std::sqrt(static_cast<double>(c[1]));
      x->w = root * std::sinh(std::asinh(x->w / root) - c[0] * g);
      break;
    }
    case LP_EGU_GD: {
      const double before = (x->s0 * x->s0 - x->s1 * x->s1) / 4;
      x->s0 *= 1 - c[0] * g / 2;
      x->s1 *= 1 + c[0] * g / 2;
      x->w += (x->s0 * x->s0 - x->s1 * x->s1) / 4 - before;
      break;
    }
    case LP_NADAMW:
      if (!bias) x->w -= c[7] * x->w;
      x->s0 = c[1] * x->s0 + c[2] * g;
      x->s1 = c[3] * x->s1 + c[4] * g * g;
      x->w -= Quotient(c[0] * x->s0 + c[6] * g, std::sqrt(x->s1) + c[5]);
      break;
    default:
      if (u.kind == LP_ADAMW && !bias) x->w -= c[7] * x->w;
      x->s0 = c[1] * x->s0 + c[2] * g;
      x->s1 = c[3] * x->s1 + c[4] * g * g;
      x->s2 = std::max(x->s2, x->s1);
      const double v =
          u.kind == LP_ADAM_TF1 ? x->s1 : c[6] * (u.kind == LP_AMSGRAD ? x->s2 : x->s1);
      x->w -= Quotient(c[0] * x->s0, std::sqrt(v) + c[5]);
  }
}

struct Problem {
  Matrix delta, w0, g, s0, s1, s2;

  Problem(int64_t rows, int64_t cols, Layout layout)
      : delta(rows, cols, layout),
        w0(rows, cols, layout),
        g(rows, cols, layout),
        s0(rows, cols, layout),
        s1(rows, cols, layout),
        s2(rows, cols, layout) {
    Random random(9);
    const auto symmetric = [&] { return random.Uniform(-1, 1); };
    delta.Fill([&] { return 0.1 * random.Uniform(-1, 1); });
    w0.Fill(symmetric);
    g.Fill(symmetric);
    s0.Fill([&] { return random.Uniform(0.01, 1); });
    s1.Fill([&] { return random.Uniform(0.01, 1); });
    s2.Fill([&] { return random.Uniform(0.01, 1); });
  }

  lp_status Update(const lp_rule& u, bool base) {
    return lp_update(&u, delta.rows(), delta.cols(), delta.data(), delta.stride(),
                     base ? w0.data() : nullptr, w0.stride(), g.data(), g.stride(), s0.data(),
                     s0.stride(), s1.data(), s1.stride(), s2.data(), s2.stride(), nullptr);
  }

  bool Intact() const {
    return delta.Intact() && w0.Intact() && g.Intact() && s0.Intact() && s1.Intact() && s2.Intact();
  }
};

constexpr int kSteps = 4;

// base: delta is the change since w0. Otherwise it is the weight itself.
void CheckRule(lp_rule u, bool base, float prox) {
  u.prox = prox;
  Problem p(3, 21, {});
  std::vector<Weight> want;
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 21; ++j) {
      const double start = base ? p.w0(i, j) : 0;
      want.push_back({start + p.delta(i, j), start, p.s0(i, j), p.s1(i, j), p.s2(i, j)});
    }
  }
  for (int t = 0; t < kSteps; ++t) ASSERT_EQ(LP_OK, p.Update(u, base));
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 21; ++j) {
      Weight& x = want[static_cast<size_t>(i * 21 + j)];
      for (int t = 0; t < kSteps; ++t) Step(u, p.g(i, j), j == 20, &x);
      // About ten roundings a step, of numbers below 2 (the slots and steps of this problem).
      const double bound = kSteps * 10 * kEpsilon * 2;
      ASSERT_NEAR(p.delta(i, j), x.w - x.base, bound) << "rule " << int{u.kind} << ", column " << j;
      if (Slots(u.kind) > 0) {
        ASSERT_NEAR(p.s0(i, j), x.s0, bound) << "rule " << int{u.kind};
      }
      if (Slots(u.kind) > 1) {
        ASSERT_NEAR(p.s1(i, j), x.s1, bound) << "rule " << int{u.kind};
      }
    }
  }
}

// The gradient of |x|_r^2 / 2 in double.
std::vector<double> Link(const std::vector<double>& x, double r) {
  double sum = 0;
  for (const double v : x) sum += std::pow(std::fabs(v), r);
  std::vector<double> link;
  for (const double v : x) {
    const double size = std::pow(std::fabs(v), r - 1) * std::pow(sum, (2 - r) / r);
    link.push_back(v == 0 ? 0 : std::copysign(size, v));
  }
  return link;
}

// The rule that works on rows, in one step; widths around a vector's. Where theta is near 0 a
// weight changes faster than theta, so the bound is on theta made anew from the result.
TEST(Update, PNorm) {
  for (const float power : {2.0f, 2.5f, 6.5f, 40.0f}) {
    for (const int64_t cols : {1, 3, 4, 8, 9, 16, 21}) {
      for (const int base : {0, 1, 2}) {  // 2: with prox
        lp_rule u{};
        u.kind = LP_PNORM;
        u.c[0] = 0.3f;
        u.c[1] = power;
        u.prox = base == 2 ? 0.5f : 0;
        Problem p(3, cols, {});
        p.w0(1, 0) = -p.delta(1, 0);  // a weight of 0
        const Matrix before = p.delta;
        ASSERT_EQ(LP_OK, p.Update(u, base > 0));
        for (int64_t i = 0; i < 3; ++i) {
          std::vector<double> w, now, g;
          for (int64_t j = 0; j < cols; ++j) {
            const double w0 = base > 0 ? p.w0(i, j) : 0;
            w.push_back(w0 + before(i, j));
            now.push_back(w0 + p.delta(i, j));
            g.push_back(p.g(i, j) + u.prox * before(i, j));
          }
          const std::vector<double> from = Link(w, power), to = Link(now, power);
          for (size_t j = 0; j < w.size(); ++j) {
            ASSERT_NEAR(to[j], from[j] - u.c[0] * g[j], 8 * power * kEpsilon)
                << "p = " << power << ", " << cols << " columns, mode " << base << ", element "
                << j;
          }
        }
      }
    }
  }
}

TEST(Update, Formulas) {
  for (const lp_rule& u : Rules()) {
    if (u.kind == LP_PNORM) continue;  // not element by element
    CheckRule(u, false, 0);
    CheckRule(u, true, 0);
    CheckRule(u, true, 0.5f);
  }
}

TEST(Update, BitsDontDependOnLayout) {
  for (lp_rule u : Rules()) {
    for (const float prox : {0.0f, 0.5f}) {
      u.prox = prox;
      for (const int64_t cols : {1, 2, 3, 5, 7, 8, 15, 17, 33, 64}) {
        Problem first(9, cols, {});
        first.Update(u, true);
        for (int64_t offset = 0; offset < 16; ++offset) {
          Problem p(9, cols, {offset, offset % 3});
          ASSERT_EQ(LP_OK, p.Update(u, true));
          ASSERT_TRUE(p.Intact()) << int{u.kind};
          ASSERT_TRUE(p.delta.SameAs(first.delta) && p.s0.SameAs(first.s0) &&
                      p.s1.SameAs(first.s1) && p.s2.SameAs(first.s2))
              << "rule " << int{u.kind} << ", " << cols << " columns, offset " << offset;
        }
      }
    }
  }
}

// A zero gradient moves nothing, where there is no momentum, and 0/0 doesn't arise.
TEST(Update, ZeroGradient) {
  for (lp_rule u : Rules()) {
    if (u.kind == LP_SCHEDULE_FREE) continue;  // it takes the weight from its slots
    u.c[4] = u.kind == LP_RMSPROP_TF1 || u.kind == LP_RMSPROP_TORCH ? 0 : u.c[4];
    u.c[5] = 0;
    u.c[7] = 0;
    Problem p(2, 19, {});
    p.g.Fill([] { return 0; });
    p.s0.Fill([] { return 0; });
    p.s1.Fill([] { return 0; });
    const Matrix before = p.delta;
    ASSERT_EQ(LP_OK, p.Update(u, true));
    EXPECT_TRUE(p.delta.SameAs(before)) << int{u.kind};
  }
}

}  // namespace
}  // namespace lp_test
