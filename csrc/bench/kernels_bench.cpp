// The kernels one by one over the shared shapes: products in GF/s, the others in ns per
// element.
#include <benchmark/benchmark.h>

#include <iterator>
#include <string>
#include <vector>

#include "locoprop.h"
#include "matrix.h"
#include "rules.h"

namespace {

using lp_test::Matrix;
using lp_test::Shape;

Matrix Make(int64_t rows, int64_t cols) {
  lp_test::Random random(1);
  return Matrix(rows, cols).Fill([&] { return random.Uniform(-1, 1); });
}

void Rate(benchmark::State& state, double flops) {
  using benchmark::Counter;
  state.counters["GF/s"] = Counter(flops / 1e9, Counter::kIsIterationInvariantRate);
}

void PerElement(benchmark::State& state, int64_t elements) {
  using benchmark::Counter;
  state.counters["ns/element"] =
      Counter(static_cast<double>(elements) / 1e9,
              static_cast<Counter::Flags>(Counter::kIsIterationInvariantRate | Counter::kInvert));
}

void Affine(benchmark::State& state, const Shape& s) {
  const Matrix x = Make(s.batch, s.cols()), w = Make(s.units, s.cols());
  Matrix a = Make(s.batch, s.units);
  for (auto _ : state) {
    lp_affine(s.batch, s.cols(), s.units, a.data(), a.stride(), x.data(), x.stride(), w.data(),
              w.stride(), nullptr);
  }
  Rate(state, 2.0 * static_cast<double>(s.batch * s.cols() * s.units));
}

void Grad(benchmark::State& state, const Shape& s) {
  const Matrix x = Make(s.batch, s.cols()), r = Make(s.batch, s.units);
  Matrix g = Make(s.units, s.cols());
  for (auto _ : state) {
    lp_grad(s.batch, s.cols(), s.units, g.data(), g.stride(), r.data(), r.stride(), x.data(),
            x.stride(), nullptr);
  }
  Rate(state, 2.0 * static_cast<double>(s.batch * s.cols() * s.units));
}

void Apply(benchmark::State& state, const Shape& s, int f) {
  const Matrix a = Make(s.batch, s.units);
  Matrix y = a;
  for (auto _ : state) {
    lp_apply(s.batch, s.units, y.data(), y.stride(), a.data(), a.stride(), f, 1.2f, nullptr);
  }
  PerElement(state, s.batch * s.units);
}

void Residual(benchmark::State& state, const Shape& s, int f) {
  const Matrix da = Make(s.batch, s.units), e = da;
  const Matrix ahat = Make(s.batch, 4 * s.units), yhat = ahat;  // a block of a layer's columns
  Matrix r = da;
  for (auto _ : state) {
    lp_residual(s.batch, s.units, r.data(), r.stride(), da.data(), da.stride(), ahat.data(),
                ahat.stride(), yhat.data(), yhat.stride(), e.data(), e.stride(), f, 0, nullptr);
  }
  PerElement(state, s.batch * s.units);
}

void Update(benchmark::State& state, const Shape& s, const lp_rule& rule) {
  const int64_t rows = s.units, cols = s.cols();
  const Matrix g = Make(rows, cols), w0 = g;
  Matrix delta = g, s0 = g, s1 = g, s2 = g;
  s0.Fill([] { return 1; });
  s1.Fill([] { return 1; });
  for (auto _ : state) {
    lp_update(&rule, rows, cols, delta.data(), cols, w0.data(), cols, g.data(), cols, s0.data(),
              cols, s1.data(), cols, s2.data(), cols, nullptr);
  }
  PerElement(state, rows * cols);
}

void Loss(benchmark::State& state, const Shape& s, int f, int loss) {
  const Matrix a = Make(s.batch, s.units), y = a, t = a;
  Matrix d = a;
  double sum = 0;
  for (auto _ : state) {
    lp_loss(s.batch, s.units, d.data(), d.stride(), a.data(), a.stride(), y.data(), y.stride(),
            t.data(), t.stride(), f, 1.2f, loss, 0.8f, 1, &sum, nullptr);
  }
  PerElement(state, s.batch * s.units);
}

void Sm3(benchmark::State& state, const Shape& s) {
  const int64_t rows = s.units, cols = s.cols();
  const Matrix g = Make(rows, cols), c = Matrix(1, cols).Fill([] { return 1; });
  Matrix w = g, m = g, r = Matrix(1, rows).Fill([] { return 1; }), top = c, b = r;
  for (auto _ : state) {
    lp_sm3(rows, cols, w.data(), cols, g.data(), cols, m.data(), cols, r.data(), c.data(),
           top.data(), b.data(), 1e-3f, 0.9f, 0.1f, nullptr);
  }
  PerElement(state, rows * cols);
}

void SquareSums(benchmark::State& state, const Shape& s) {
  const Matrix g = Make(s.units, s.cols());
  std::vector<double> rows(static_cast<size_t>(s.units)), cols(static_cast<size_t>(s.cols()));
  for (auto _ : state) {
    lp_square_sums(s.units, s.cols(), g.data(), g.stride(), rows.data(), cols.data(), nullptr);
  }
  PerElement(state, s.units * s.cols());
}

void ScaledStep(benchmark::State& state, const Shape& s) {
  const Matrix g = Make(s.units, s.cols()), a = Make(1, s.units), b = Make(1, s.cols());
  Matrix w = g;
  for (auto _ : state) {
    double sum = 0;
    lp_scaled_squares(s.units, s.cols(), g.data(), g.stride(), a.data(), b.data(), &sum, nullptr);
    lp_scaled_step(s.units, s.cols(), w.data(), w.stride(), g.data(), g.stride(), a.data(),
                   b.data(), nullptr);
  }
  PerElement(state, s.units * s.cols());
}

template <class F, class... Arg>
void Register(const std::string& name, F f, Arg... arg) {
  benchmark::RegisterBenchmark(name.c_str(), f, arg...);
}

// By kind.
constexpr const char* kTransferNames[] = {
    "identity", "tanh", "leaky-relu", "sigmoid", "softmax", "relu2", "arctan",          "softplus",
    "softsign", "elu",  "hard-tanh",  "exp",     "gelu",    "silu",  "tempered-softmax"};

const bool kRegistered = [] {
  lp_set_threads(1);
  for (const Shape& s : lp_test::Shapes()) {
    const std::string shape = "/" + s.Name();
    Register("affine" + shape, Affine, s);
    Register("grad" + shape, Grad, s);
    for (size_t f = LP_TANH; f < std::size(kTransferNames); ++f) {
      Register(std::string("apply/") + kTransferNames[f] + shape, Apply, s, static_cast<int>(f));
    }
    Register("residual/tanh" + shape, Residual, s, LP_TANH);
    Register("residual/identity" + shape, Residual, s, LP_IDENTITY);
    Register("loss/sigmoid-ce" + shape, Loss, s, LP_SIGMOID, LP_SIGMOID_CE);
    Register("loss/bi-tempered" + shape, Loss, s, LP_TEMPERED_SOFTMAX, LP_BI_TEMPERED);
    for (const lp_rule& rule : lp_test::Rules()) {
      Register("update/" + std::to_string(rule.kind) + shape, Update, s, rule);
    }
    Register("sm3" + shape, Sm3, s);
    Register("square-sums" + shape, SquareSums, s);
    Register("scaled-squares-and-step" + shape, ScaledStep, s);
  }
  return true;
}();

}  // namespace
