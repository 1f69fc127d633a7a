// lp_solve_kernel, lp_solve_gram, lp_solve_metric against their formulas, written out in
// double with plain loops.
#include <gtest/gtest.h>

#include "locoprop.h"
#include "matrix.h"
#include "rules.h"

namespace lp_test {
namespace {

// A dense double matrix: what the oracles are written in.
struct Wide {
  int64_t rows, cols;
  std::vector<double> v;
  Wide(int64_t r, int64_t c) : rows(r), cols(c), v(static_cast<size_t>(r * c)) {}
  explicit Wide(const Matrix& m) : Wide(m.rows(), m.cols()) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) (*this)(i, j) = m(i, j);
    }
  }
  double& operator()(int64_t i, int64_t j) { return v[static_cast<size_t>(i * cols + j)]; }
  double operator()(int64_t i, int64_t j) const { return v[static_cast<size_t>(i * cols + j)]; }
};

Wide Transposed(const Wide& a) {
  Wide t(a.cols, a.rows);
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.cols; ++j) t(j, i) = a(i, j);
  }
  return t;
}

Wide Mul(const Wide& a, const Wide& b) {
  Wide c(a.rows, b.cols);
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t k = 0; k < a.cols; ++k) {
      for (int64_t j = 0; j < b.cols; ++j) c(i, j) += a(i, k) * b(k, j);
    }
  }
  return c;
}

// x + s y
Wide Plus(Wide x, double s, const Wide& y) {
  for (size_t i = 0; i < x.v.size(); ++i) x.v[i] += s * y.v[i];
  return x;
}

Wide Times(double s, Wide x) {
  for (double& v : x.v) v *= s;
  return x;
}

constexpr float kAlpha = 0.25f;
constexpr float kGamma = 10;
constexpr int kSteps = 4;

double Transfer(int f, double a) {
  switch (f) {
    case LP_TANH:
      return std::tanh(a);
    case LP_SIGMOID:
      return 1 / (1 + std::exp(-a));
    case LP_LEAKY_RELU:
      return a > 0 ? a : double{kAlpha} * a;
    default:
      return a;
  }
}

// The problem of one block, in a layout.
struct Problem {
  Shape s;
  int f;
  Matrix x, ahat, yhat, d, w, v, k, c, xp;

  Problem(const Shape& shape, int transfer, Layout l)
      : s(shape),
        f(transfer),
        x(s.batch, s.cols(), l),
        ahat(s.batch, s.units, l),
        yhat(s.batch, s.units, l),
        d(s.batch, s.units, l),
        w(s.units, s.cols(), l),
        v(s.units, s.cols(), l),
        k(s.batch, s.batch, l),
        c(s.cols(), s.cols(), l),
        xp(s.batch, s.cols(), l) {
    Random random(21);
    x.Fill([&] { return random.Uniform(-1, 1); });
    w.Fill([&] { return 0.3 * random.Normal(); });
    v.Fill([&] { return 0.1 * random.Normal(); });
    d.Fill([&] { return 1e-2 * random.Normal(); });
    const double scale = 1 / std::sqrt(static_cast<double>(s.cols()));
    xp.Fill([&] { return scale * random.Uniform(-1, 1); });
    lp_affine(s.batch, s.cols(), s.units, ahat.data(), ahat.stride(), x.data(), x.stride(),
              w.data(), w.stride(), nullptr);
    lp_apply(s.batch, s.units, yhat.data(), yhat.stride(), ahat.data(), ahat.stride(), f, kAlpha,
             nullptr);
    lp_syrk(0, s.batch, s.cols(), 1, x.data(), x.stride(), 0, k.data(), k.stride(), nullptr);
    lp_syrk(1, s.batch, s.cols(), 1, x.data(), x.stride(), 0, c.data(), c.stride(), nullptr);
  }

  // f(Ahat + dA) - f(Ahat) + E
  Wide Residual(const Wide& da, const Wide& e) const {
    Wide r(s.batch, s.units);
    for (int64_t i = 0; i < s.batch; ++i) {
      for (int64_t u = 0; u < s.units; ++u) {
        const double a = ahat(i, u);
        r(i, u) = Transfer(f, a + da(i, u)) - Transfer(f, a) + e(i, u);
      }
    }
    return r;
  }

  bool Intact() const { return w.Intact() && v.Intact(); }
};

// Every element within tolerance times the largest change that was to be made, and the
// rounding of what it was added to.
void ExpectNear(const Matrix& got, const Wide& want, const Matrix& before,
                const std::string& what) {
  double change = 0;
  for (int64_t i = 0; i < want.rows; ++i) {
    for (int64_t j = 0; j < want.cols; ++j) {
      change = std::max(change, std::fabs(want(i, j) - before(i, j)));
    }
  }
  ASSERT_TRUE(std::isfinite(change)) << what;
  for (int64_t i = 0; i < want.rows; ++i) {
    for (int64_t j = 0; j < want.cols; ++j) {
      // Sums of a few hundred terms, kSteps times over: some hundreds of roundings.
      const double bound = 2e-4 * change + 4 * kEpsilon * std::fabs(want(i, j));
      ASSERT_NEAR(got(i, j), want(i, j), bound) << what << " at " << i << ", " << j;
    }
  }
}

constexpr int kPlain[] = {LP_IDENTITY, LP_TANH, LP_LEAKY_RELU, LP_SIGMOID};
constexpr Shape kShapes[] = {{1, 1, 1}, {7, 5, 3}, {33, 17, 9}, {70, 90, 20}, {20, 130, 37}};

// The kernel form computes what the direct form's formulas say, with a velocity that was
// there before and with a proximal term.
TEST(SolveForms, KernelIsTheDirectForm) {
  constexpr float eta = 2e-3f, mu = 0.9f, prox = 0.5f;
  for (const Shape& s : kShapes) {
    for (const int f : kPlain) {
      for (const int kind : {LP_SGD, LP_MOMENTUM, LP_NESTEROV, LP_MOMENTUM_BUFFER}) {
        for (const bool carried : {false, true}) {
          if (carried && kind == LP_SGD) continue;
          Problem p(s, f, {static_cast<int64_t>(kind % 3), static_cast<int64_t>(kind % 2)});
          const Matrix w0 = p.w, v0 = p.v;
          lp_rule rule{};
          rule.kind = static_cast<uint8_t>(kind);
          rule.prox = prox;
          rule.c[0] = eta;
          rule.c[1] = mu;
          const std::vector<lp_rule> rules(kSteps, rule);

          // Direct, and the way of p and a: the rule on numbers, from 0 and 1, gradient 0.
          const Wide x(p.x), e = Times(kGamma, Wide(p.d));
          Wide delta(s.units, s.cols()), velocity = carried ? Wide(p.v) : delta;
          std::vector<float> share;
          double coefficient = 0, a = 1;
          for (int t = 0; t < kSteps; ++t) {
            share.push_back(static_cast<float>(coefficient));
            const Wide r = t == 0 ? e : p.Residual(Mul(x, Transposed(delta)), e);
            const Wide g = Plus(Mul(Transposed(r), x), prox, delta);
            const double number = double{prox} * coefficient;
            const auto step = [&](auto plus, auto times, auto& value, auto& speed,
                                  const auto& slope) {
              switch (kind) {
                case LP_SGD:
                  value = plus(value, -double{eta}, slope);
                  break;
                case LP_MOMENTUM:
                  speed = plus(times(double{mu}, speed), 1, slope);
                  value = plus(value, -double{eta}, speed);
                  break;
                case LP_NESTEROV:
                  speed = plus(times(double{mu}, speed), 1, slope);
                  value = plus(value, -double{eta}, plus(slope, double{mu}, speed));
                  break;
                default:
                  speed = plus(times(double{mu}, speed), double{eta}, slope);
                  value = plus(value, -1, speed);
              }
            };
            step([](const Wide& l, double q, const Wide& r2) { return Plus(l, q, r2); },
                 [](double q, const Wide& r2) { return Times(q, r2); }, delta, velocity, g);
            step([](double l, double q, double r2) { return l + q * r2; },
                 [](double q, double r2) { return q * r2; }, coefficient, a, number);
          }
          share.push_back(static_cast<float>(coefficient));

          const int64_t need = lp_solve_kernel_scratch(s.batch, s.cols(), s.units);
          std::vector<float> scratch(static_cast<size_t>(need), std::nanf(""));
          ASSERT_EQ(LP_OK, lp_solve_kernel(s.batch, s.cols(), s.units, p.x.data(), p.x.stride(),
                                           p.k.data(), p.k.stride(), p.ahat.data(), p.ahat.stride(),
                                           p.yhat.data(), p.yhat.stride(), p.d.data(), p.d.stride(),
                                           p.w.data(), p.w.stride(), carried ? p.v.data() : nullptr,
                                           p.v.stride(), carried ? share.data() : nullptr,
                                           static_cast<float>(a), f, kAlpha, kGamma, rules.data(),
                                           kSteps, scratch.data(), need, nullptr));
          const std::string what = s.Name() + ", f " + std::to_string(f) + ", rule " +
                                   std::to_string(kind) + (carried ? ", carried" : "");
          ASSERT_TRUE(p.Intact()) << what;
          ExpectNear(p.w, Plus(Wide(w0), 1, delta), w0, what);
          if (carried) ExpectNear(p.v, velocity, v0, what + ", velocity");
        }
      }
    }
  }
}

// The Gram form is, to rounding, lp_solve_direct on the identity, for every rule.
TEST(SolveForms, GramIsTheDirectForm) {
  for (const Shape& s : kShapes) {
    for (lp_rule rule : Rules(1e-3f)) {
      rule.prox = 0.5f;
      const std::vector<lp_rule> rules(kSteps, rule);
      Problem p(s, LP_IDENTITY, {1, 2}), q(s, LP_IDENTITY, {});
      const Matrix before = q.w;
      std::vector<Matrix> ps, qs;
      for (int i = 0; i < 3; ++i) {
        ps.emplace_back(s.units, s.cols(), Layout{0, 1});
        ps.back().Fill([&] { return 0.5 + 0.1 * i; });
        qs.push_back(ps.back().In({}));
      }
      int64_t need = lp_solve_gram_scratch(s.cols(), s.units);
      std::vector<float> scratch(static_cast<size_t>(need), std::nanf(""));
      ASSERT_EQ(LP_OK, lp_solve_gram(s.batch, s.cols(), s.units, p.x.data(), p.x.stride(),
                                     p.c.data(), p.c.stride(), p.d.data(), p.d.stride(), p.w.data(),
                                     p.w.stride(), ps[0].data(), ps[0].stride(), ps[1].data(),
                                     ps[1].stride(), ps[2].data(), ps[2].stride(), kGamma,
                                     rules.data(), kSteps, scratch.data(), need, nullptr));
      ASSERT_TRUE(p.Intact() && ps[0].Intact() && ps[1].Intact() && ps[2].Intact());
      need = lp_solve_direct_scratch(s.batch, s.cols(), s.units);
      scratch.assign(static_cast<size_t>(need), std::nanf(""));
      ASSERT_EQ(LP_OK,
                lp_solve_direct(s.batch, s.cols(), s.units, q.x.data(), q.x.stride(), nullptr, 0,
                                nullptr, 0, q.d.data(), q.d.stride(), q.w.data(), q.w.stride(),
                                qs[0].data(), qs[0].stride(), qs[1].data(), qs[1].stride(),
                                qs[2].data(), qs[2].stride(), LP_IDENTITY, 0, kGamma, rules.data(),
                                kSteps, scratch.data(), need, nullptr));
      ExpectNear(p.w, Wide(q.w), before, s.Name() + ", rule " + std::to_string(rule.kind));
    }
  }
}

TEST(SolveForms, MetricIsItsFormula) {
  constexpr float eta = 0.3f, rate = 0.5f, mu = 0.9f;
  for (const Shape& s : kShapes) {
    for (const int f : kPlain) {
      for (const int64_t steps : {0, 1, 4}) {
        Problem p(s, f, {static_cast<int64_t>(f % 3), static_cast<int64_t>(f % 2)});
        // K = XP X' needs no P to be one: any small symmetric matrix shows the formula.
        Matrix k = p.k;
        for (int64_t i = 0; i < s.batch; ++i) {
          for (int64_t j = 0; j < s.batch; ++j) {
            k(i, j) = p.k(i, j) / static_cast<float>(s.batch * s.cols());
          }
        }
        const Matrix w0 = p.w, v0 = p.v;
        const Wide e = Times(kGamma, Wide(p.d));
        Wide z = Times(-double{eta}, e);
        for (int64_t t = 1; t < steps; ++t)
          z = Plus(z, -double{eta}, p.Residual(Mul(Wide(k), z), e));
        const Wide delta = Times(rate, Mul(Transposed(z), Wide(p.xp)));
        const Wide v = steps == 0 ? Wide(v0) : Plus(Times(mu, Wide(v0)), 1, delta);
        const Wide w = steps == 0 ? Wide(w0) : Plus(Plus(Wide(w0), mu, v), 1, delta);

        const int64_t need = lp_solve_metric_scratch(s.batch, s.cols(), s.units);
        std::vector<float> scratch(static_cast<size_t>(need), std::nanf(""));
        ASSERT_EQ(LP_OK,
                  lp_solve_metric(s.batch, s.cols(), s.units, k.data(), k.stride(), p.xp.data(),
                                  p.xp.stride(), p.ahat.data(), p.ahat.stride(), p.yhat.data(),
                                  p.yhat.stride(), p.d.data(), p.d.stride(), p.w.data(),
                                  p.w.stride(), p.v.data(), p.v.stride(), f, kAlpha, kGamma, eta,
                                  rate, mu, steps, scratch.data(), need, nullptr));
        const std::string what = s.Name() + ", f " + std::to_string(f);
        ASSERT_TRUE(p.Intact()) << what;
        ExpectNear(p.w, w, w0, what);
        ExpectNear(p.v, v, v0, what + ", velocity");
      }
    }
  }
}

}  // namespace
}  // namespace lp_test
