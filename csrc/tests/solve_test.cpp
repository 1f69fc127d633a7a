// lp_solve_direct: bit for bit the loop over the entry points that it stands for, and the
// same bits when several threads solve the blocks of a layer at once.
#include <gtest/gtest.h>

#include <thread>

#include "locoprop.h"
#include "matrix.h"
#include "rules.h"

namespace lp_test {
namespace {

constexpr int kSteps = 4;

// A layer whose units are solved in blocks.
struct Layer {
  Shape s;
  int f;
  Matrix x, ahat, yhat, d, w, s0, s1, s2;

  Layer(const Shape& shape, int transfer, Layout layout)
      : s(shape),
        f(transfer),
        x(s.batch, s.cols(), layout),
        ahat(s.batch, s.units, layout),
        yhat(s.batch, s.units, layout),
        d(s.batch, s.units, layout),
        w(s.units, s.cols(), layout),
        s0(s.units, s.cols(), layout),
        s1(s.units, s.cols(), layout),
        s2(s.units, s.cols(), layout) {
    Random random(11);
    x.Fill([&] { return random.Uniform(-1, 1); });
    for (int64_t i = 0; i < s.batch; ++i) x(i, s.inputs) = 1;
    w.Fill([&] { return 0.3 * random.Normal(); });
    d.Fill([&] { return 1e-3 * random.Normal(); });
    s0.Fill([&] { return random.Uniform(0.5, 1); });
    s1.Fill([&] { return random.Uniform(0, 0.01); });
    lp_affine(s.batch, s.cols(), s.units, ahat.data(), ahat.stride(), x.data(), x.stride(),
              w.data(), w.stride(), nullptr);
    lp_apply(s.batch, s.units, yhat.data(), yhat.stride(), ahat.data(), ahat.stride(), f, Alpha(),
             nullptr);
  }

  float Alpha() const { return f == LP_TEMPERED_SOFTMAX ? 1.5f : 0.25f; }

  lp_status Solve(int64_t lo, int64_t hi, const std::vector<lp_rule>& rules) {
    const int64_t units = hi - lo;
    const int64_t need = lp_solve_direct_scratch(s.batch, s.cols(), units);
    std::vector<float> scratch(static_cast<size_t>(need), std::nanf(""));
    return lp_solve_direct(
        s.batch, s.cols(), units, x.data(), x.stride(), ahat.data() + lo, ahat.stride(),
        yhat.data() + lo, yhat.stride(), d.data() + lo, d.stride(), w.data() + lo * w.stride(),
        w.stride(), s0.data() + lo * s0.stride(), s0.stride(), s1.data() + lo * s1.stride(),
        s1.stride(), s2.data() + lo * s2.stride(), s2.stride(), f, Alpha(), 10, rules.data(),
        static_cast<int64_t>(rules.size()), scratch.data(), need, nullptr);
  }

  // The same, function by function.
  void Loop(int64_t lo, int64_t hi, const std::vector<lp_rule>& rules) {
    const int64_t b = s.batch, n = s.cols(), m = hi - lo;
    Matrix e(b, m), da(b, m), delta(m, n), g(m, n);
    lp_scale(b, m, e.data(), m, d.data() + lo, d.stride(), 10, nullptr);
    for (size_t t = 0; t < rules.size(); ++t) {
      if (t > 0) {
        lp_affine(b, n, m, da.data(), m, x.data(), x.stride(), delta.data(), n, nullptr);
        lp_residual(b, m, da.data(), m, da.data(), m, ahat.data() + lo, ahat.stride(),
                    yhat.data() + lo, yhat.stride(), e.data(), m, f, Alpha(), nullptr);
      }
      lp_grad(b, n, m, g.data(), n, t == 0 ? e.data() : da.data(), m, x.data(), x.stride(),
              nullptr);
      lp_update(&rules[t], m, n, delta.data(), n, w.data() + lo * w.stride(), w.stride(), g.data(),
                n, s0.data() + lo * s0.stride(), s0.stride(), s1.data() + lo * s1.stride(),
                s1.stride(), s2.data() + lo * s2.stride(), s2.stride(), nullptr);
    }
    lp_add_into(m, n, w.data() + lo * w.stride(), w.stride(), delta.data(), n, nullptr);
  }

  bool SameAs(const Layer& o) const {
    return w.SameAs(o.w) && s0.SameAs(o.s0) && s1.SameAs(o.s1) && s2.SameAs(o.s2);
  }
  bool Intact() const {
    return x.Intact() && ahat.Intact() && yhat.Intact() && d.Intact() && w.Intact() &&
           s0.Intact() && s1.Intact();
  }
};

constexpr int kTransfers = LP_TEMPERED_SOFTMAX + 1;

std::vector<lp_rule> Repeat(lp_rule u, float prox) {
  u.prox = prox;
  std::vector<lp_rule> rules(kSteps, u);
  for (int t = 0; t < kSteps; ++t) rules[t].c[0] *= 1 - 0.1f * static_cast<float>(t);
  return rules;
}

TEST(Solve, EqualsTheLoopBitForBit) {
  const std::vector<lp_rule> kinds = Rules(1e-3f);
  size_t turn = 0;
  for (const Shape& s : Shapes()) {
    // Every pair of rule and transfer function where that is cheap, else all of them once.
    const bool small = s.batch * s.inputs * s.units < 20000;
    for (int f = 0; f < kTransfers; ++f) {
      for (size_t k = 0; k < (small ? kinds.size() : 2); ++k) {
        const lp_rule& u = kinds[small ? k : turn++ % kinds.size()];
        const auto rules = Repeat(u, k % 2 == 0 ? 0.0f : 0.5f);
        const Layout layout{static_cast<int64_t>(k % 3), static_cast<int64_t>(k % 4)};
        Layer fast(s, f, layout), loop(s, f, layout);
        ASSERT_EQ(LP_OK, fast.Solve(0, s.units, rules));
        loop.Loop(0, s.units, rules);
        ASSERT_TRUE(fast.Intact());
        ASSERT_TRUE(fast.SameAs(loop)) << s.Name() << ", f " << f << ", rule " << int{u.kind};
        Layer packed(s, f, {});
        packed.Solve(0, s.units, rules);
        ASSERT_TRUE(fast.SameAs(packed)) << "another layout: " << s.Name() << ", f " << f;
      }
    }
  }
}

// T = 1 with SGD is a step of back-propagation: ΔW = −ηγ DᵀX.
TEST(Solve, OneStepIsBackPropagation) {
  const Shape s{40, 20, 9};
  Layer layer(s, LP_TANH, {});
  const Matrix before = layer.w;
  lp_rule sgd{};
  sgd.c[0] = 0.5f;
  ASSERT_EQ(LP_OK, layer.Solve(0, s.units, {sgd}));
  for (int64_t u = 0; u < s.units; ++u) {
    for (int64_t j = 0; j < s.cols(); ++j) {
      double g = 0;
      for (int64_t i = 0; i < s.batch; ++i) g += double{layer.d(i, u)} * layer.x(i, j);
      // The change is ε of itself off, and its sum with W ε of that.
      const double step = -0.5 * 10 * g;
      ASSERT_NEAR(layer.w(u, j), before(u, j) + step,
                  kEpsilon * (std::fabs(before(u, j)) + 0.1) + kTiny);
    }
  }
}

// No step, no change; D = 0 without momentum, no change either.
TEST(Solve, NothingToDo) {
  for (int f = 0; f < kTransfers; ++f) {
    Layer layer({17, 9, 5}, f, {}), before = layer;
    ASSERT_EQ(LP_OK, layer.Solve(0, 5, {}));
    EXPECT_TRUE(layer.SameAs(before));
    if (f == LP_SOFTMAX || f == LP_TEMPERED_SOFTMAX || f == LP_IDENTITY) continue;
    layer.d.Fill([] { return 0; });
    ASSERT_EQ(LP_OK, layer.Solve(0, 5, Repeat(Rules()[LP_SGD], 0)));
    EXPECT_TRUE(layer.w.SameAs(before.w)) << f;
  }
}

// Blocks of one layer on several threads, as the Go side runs them: they share X and
// write rows and columns that lie next to each other.
TEST(Solve, ThreadsShareALayer) {
  const Shape s{60, 70, 100};
  const auto rules = Repeat(Rules()[LP_RMSPROP_TF1], 0);
  Layer alone(s, LP_TANH, {}), shared(s, LP_TANH, {});
  constexpr int64_t kBlock = 13;
  for (int64_t lo = 0; lo < s.units; lo += kBlock) {
    alone.Solve(lo, std::min(lo + kBlock, s.units), rules);
  }
  std::vector<std::thread> threads;
  for (int64_t lo = 0; lo < s.units; lo += kBlock) {
    threads.emplace_back(
        [&, lo] { EXPECT_EQ(LP_OK, shared.Solve(lo, std::min(lo + kBlock, s.units), rules)); });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(shared.SameAs(alone));
}

}  // namespace
}  // namespace lp_test
