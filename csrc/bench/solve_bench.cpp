// lp_solve_direct on a block of each layer of the paper's autoencoder (Amid, Anil, Warmuth
// 2022): B = 1000, T = 10, RMSProp, blocks of 128 units, on one thread and on two at once.
//
// "of_square" is its rate divided by that of a square sgemm, which runs in turn with it:
// both see the same clock and the same neighbours. Time is the thread's own (CPU) time,
// so that a shared machine disturbs less.
#include <benchmark/benchmark.h>
#include <time.h>

#include <string>

#include "locoprop.h"
#include "matrix.h"
#include "rules.h"

namespace {

using lp_test::Matrix;

constexpr int64_t kBatch = 1000;
constexpr int64_t kSteps = 10;
constexpr int64_t kBlock = 128;
constexpr int64_t kSquare = 1024;

double Now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <class F>
double Seconds(F f) {
  const double begin = Now();
  f();
  return Now() - begin;
}

// A layer's matrices start on cache lines, and their strides aren't multiples of 1 KiB.
Matrix Make(int64_t rows, int64_t cols, double lo, double hi) {
  int64_t stride = (cols + 15) / 16 * 16;
  if (stride % 256 == 0) stride += 16;
  lp_test::Random random(1);
  return Matrix(rows, cols, {0, stride - cols}).Fill([&] { return random.Uniform(lo, hi); });
}

struct Layer {
  int64_t inputs, units;
  int f;
  std::string Name() const { return std::to_string(inputs) + "->" + std::to_string(units); }
};

constexpr int kRule = LP_RMSPROP_TF1;

void Solve(benchmark::State& state, const Layer& layer) {
  const int64_t n = layer.inputs + 1;
  const int64_t m = layer.units < kBlock ? layer.units : kBlock;
  const Matrix x = Make(kBatch, n, -1, 1), d = Make(kBatch, layer.units, -1e-6, 1e-6);
  const Matrix ahat = Make(kBatch, layer.units, -2, 2), yhat = Make(kBatch, layer.units, -1, 1);
  Matrix w(m, n), s0(m, n), s1(m, n);
  s0.Fill([] { return 1; });
  const std::vector<lp_rule> rules(kSteps, lp_test::Rules(1e-5f)[kRule]);
  const int64_t need = lp_solve_direct_scratch(kBatch, n, m);
  std::vector<float> scratch(static_cast<size_t>(need));
  const Matrix p = Make(kSquare, kSquare, -1, 1), q = p;
  Matrix product = p;

  double solving = 0, square = 0;
  for (auto _ : state) {
    const double now = Seconds([&] {
      lp_solve_direct(kBatch, n, m, x.data(), x.stride(), ahat.data(), ahat.stride(), yhat.data(),
                      yhat.stride(), d.data(), d.stride(), w.data(), n, s0.data(), n, s1.data(), n,
                      nullptr, 0, layer.f, 0, 10, rules.data(), kSteps, scratch.data(), need,
                      nullptr);
    });
    square += Seconds([&] {
      lp_gemm(0, 0, kSquare, kSquare, kSquare, 1, p.data(), p.stride(), q.data(), q.stride(), 0,
              product.data(), product.stride(), nullptr);
    });
    solving += now;
    state.SetIterationTime(now);
  }
  // The mathematics alone: iteration 0 has one product, the others two.
  const double runs = static_cast<double>(state.iterations());
  const double flops = static_cast<double>((4 * kSteps - 2) * kBatch * n * m);
  const double cube = 2.0 * kSquare * kSquare * kSquare;
  using benchmark::Counter;
  state.counters["GF/s"] = Counter(flops * runs / solving / 1e9, Counter::kAvgThreads);
  state.counters["of_square"] = Counter((flops / solving) / (cube / square), Counter::kAvgThreads);
}

const bool kRegistered = [] {
  lp_set_threads(1);
  const int64_t widths[] = {784, 1000, 500, 250, 30, 250, 500, 1000, 784};
  for (int i = 0; i < 8; ++i) {
    const Layer layer{widths[i], widths[i + 1],
                      i == 3   ? LP_IDENTITY
                      : i == 7 ? LP_SIGMOID
                               : LP_TANH};
    for (const int threads : {1, 2}) {
      benchmark::RegisterBenchmark(("solve/" + layer.Name()).c_str(), Solve, layer)
          ->Threads(threads)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
  return true;
}();

}  // namespace
