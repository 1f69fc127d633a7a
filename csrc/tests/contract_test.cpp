// What the header promises beside results: errors, silence, no allocation, the
// floating-point mode, and that it is C.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>

#include "locoprop.h"
#include "matrix.h"
#include "rules.h"

#if defined(__GLIBC__) && !defined(LP_SANITIZED)
#define LP_COUNTS_ALLOCATIONS
extern "C" void* __libc_malloc(size_t);
static std::atomic<long> allocations{0};
extern "C" void* malloc(size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(n);
}
#endif

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

extern "C" int lp_test_c_header(void);

namespace lp_test {
namespace {

// Memory and sizes that every function is called with.
struct Fixture {
  static constexpr int64_t n = 12;
  std::vector<float> m[6];
  std::vector<double> l, b, w, work;
  std::vector<float> scratch, panels[2];
  lp_rule rule = Rules()[LP_ADAMW];

  Fixture() {
    for (auto& v : m) v.assign(n * n, 0.5f);
    l.assign(n * n, 0);
    for (int64_t i = 0; i < n; ++i) l[i * n + i] = 2;
    b.assign(n * n, 1);
    w.assign(n, 0);
    work.assign(static_cast<size_t>(lp_symeig_work(n)), 0);
    scratch.assign(static_cast<size_t>(lp_solve_kernel_scratch(n, n, n)), 0);
    for (auto& v : panels) v.assign(static_cast<size_t>(lp_panels_len(n, n)), 0);
  }
  float* p(int i) { return m[i].data(); }
};

// Every function once, with valid arguments.
void CallAll(Fixture& x) {
  constexpr int64_t n = Fixture::n;
  double sum;
  lp_affine(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n, nullptr);
  lp_backprop(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n, nullptr);
  lp_grad(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n, nullptr);
  lp_gemm(0, 1, n, n, n, 1, x.p(1), n, x.p(2), n, 0, x.p(0), n, nullptr);
  lp_syrk(1, n, n, 1, x.p(1), n, 0, x.p(0), n, nullptr);
  lp_cholesky(n, x.l.data(), nullptr);
  lp_solve(n, n, x.l.data(), x.b.data(), nullptr);
  lp_gemm64(0, 1, n, n, n, 1, x.b.data(), n, x.b.data(), n, 0, x.work.data(), n, nullptr);
  lp_invert(n, x.l.data(), nullptr);
  lp_symeig(n, x.l.data(), x.w.data(), x.work.data(), lp_symeig_work(n), nullptr);
  for (int f = LP_IDENTITY; f <= LP_TEMPERED_SOFTMAX; ++f) {
    lp_apply(n, n, x.p(0), n, x.p(1), n, f, 2, nullptr);
    lp_chain(n, n, x.p(0), n, x.p(1), n, x.p(2), n, f, 2, nullptr);
    lp_residual(n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(3), n, x.p(4), n, f, 2, nullptr);
    lp_loss(n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(3), n, f, 2, LP_SQUARED, 0, 1, &sum,
            nullptr);
    lp_solve_direct(n, n, n, x.p(0), n, x.p(1), n, x.p(1), n, x.p(1), n, x.p(2), n, x.p(3), n,
                    x.p(4), n, nullptr, 0, f, 2, 1, &x.rule, 1, x.scratch.data(),
                    static_cast<int64_t>(x.scratch.size()), nullptr);
  }
  const int64_t len = static_cast<int64_t>(x.scratch.size());
  lp_rule sgd{};
  sgd.c[0] = 0.5f;
  lp_solve_kernel(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(2), n, x.p(1), n, x.p(3), n,
                  nullptr, 0, nullptr, 0, LP_TANH, 0, 1, &sgd, 1, x.scratch.data(), len, nullptr);
  lp_solve_gram(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(3), n, x.p(4), n, x.p(1), n, nullptr,
                0, 1, &sgd, 1, x.scratch.data(), len, nullptr);
  lp_solve_metric(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(2), n, x.p(1), n, x.p(3), n, x.p(4),
                  n, LP_TANH, 0, 1, 0.5f, 1, 0.9f, 2, x.scratch.data(), len, nullptr);
  lp_loss(n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(3), n, LP_TEMPERED_SOFTMAX, 2, LP_BI_TEMPERED,
          0.5f, 1, &sum, nullptr);
  lp_scale(n, n, x.p(0), n, x.p(1), n, 2, nullptr);
  lp_update(&x.rule, n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(3), n, x.p(4), n, nullptr, 0,
            nullptr);
  lp_add_into(n, n, x.p(0), n, x.p(1), n, nullptr);
  lp_sm3(n, n, x.p(0), n, x.p(1), n, x.p(2), n, x.p(3), x.p(4), x.p(4) + n, x.p(3) + n, 0.1f, 0.9f,
         0.1f, nullptr);
  lp_square_sums(n, n, x.p(1), n, x.b.data(), x.w.data(), nullptr);
  lp_scaled_squares(n, n, x.p(1), n, x.p(2), x.p(3), &sum, nullptr);
  lp_scaled_step(n, n, x.p(0), n, x.p(1), n, x.p(2), x.p(3), nullptr);
  lp_column_sums(n, n, x.p(1), n, x.b.data(), nullptr);
  lp_times(n, n, x.p(1), n, x.b.data(), x.w.data(), nullptr);
  lp_panels_from(0, n, n, 1, x.p(0), n, x.panels[0].data(), nullptr);
  lp_panels_product(0, n, n, n, x.p(0), n, x.panels[0].data(), x.panels[1].data(), nullptr);
  lp_panels_product(1, n, n, n, x.p(0), n, x.panels[0].data(), x.panels[1].data(), nullptr);
  lp_panels_to(1, n, n, x.panels[0].data(), 0, x.p(0), n, nullptr);
  lp_panels_turn(n, 0, n, n, 2, x.panels[0].data(), x.panels[1].data(), nullptr);
  lp_rank_two(n, n, x.p(0), n, 0, 1, 1, x.b.data(), x.b.data(), nullptr);
}

// Calls with one wrong argument each, and what they must report.
struct Wrong {
  lp_error want;
  std::function<lp_status(lp_error*)> call;
};

std::vector<Wrong> WrongCalls(Fixture& x) {
  constexpr int64_t n = Fixture::n;
  constexpr int64_t big = int64_t{1} << 31;
  constexpr int64_t top = big - 1;
  constexpr int64_t all = INT64_MAX;
  lp_rule* const rule = &x.rule;
  const auto update = [&x, rule](lp_error* e) {
    return lp_update(rule, n, n, x.p(0), n, nullptr, n, x.p(2), n, x.p(3), n, x.p(4), n, nullptr, 0,
                     e);
  };
  const auto solve = [&x](int64_t steps, int64_t scratch_len, int32_t f, lp_error* e) {
    return lp_solve_direct(n, n, n, x.p(0), n, x.p(1), n, nullptr, n, x.p(1), n, x.p(2), n, x.p(3),
                           n, x.p(4), n, nullptr, 0, f, 2, 1, &x.rule, steps, x.scratch.data(),
                           scratch_len, e);
  };
  const auto kernel = [&x](const lp_rule* u, float* v, const float* share, int64_t len,
                           lp_error* e) {
    return lp_solve_kernel(n, n, n, x.p(0), n, x.p(1), n, x.p(1), n, x.p(1), n, x.p(1), n, x.p(2),
                           n, v, n, share, 0, LP_TANH, 0, 1, u, 1, x.scratch.data(), len, e);
  };
  const auto gram = [&x](int64_t ldc, const lp_rule* u, int64_t len, lp_error* e) {
    return lp_solve_gram(n, n, n, x.p(0), n, x.p(1), ldc, x.p(1), n, x.p(2), n, x.p(3), n, x.p(4),
                         n, nullptr, 0, 1, u, 1, x.scratch.data(), len, e);
  };
  const auto metric = [&x](const float* xp, int32_t f, int64_t steps, int64_t len, lp_error* e) {
    return lp_solve_metric(n, n, n, x.p(0), n, xp, n, x.p(1), n, x.p(1), n, x.p(1), n, x.p(2), n,
                           x.p(3), n, f, 0, 1, 1, 1, 1, steps, x.scratch.data(), len, e);
  };
  static const lp_rule sgd{}, momentum = Rules()[LP_MOMENTUM];
  const int64_t enough = lp_solve_kernel_scratch(n, n, n);
  const int64_t need = lp_solve_direct_scratch(n, n, n);
  double* const sum = nullptr;
  return {
      {{LP_SIZE, 1, -1, top},
       [=, &x](lp_error* e) { return lp_affine(-1, n, n, x.p(0), n, x.p(1), n, x.p(2), n, e); }},
      {{LP_SIZE, 2, big, top},
       [=, &x](lp_error* e) {
         return lp_affine(1, big, n, x.p(0), n, x.p(1), big, x.p(2), big, e);
       }},
      {{LP_NULL, 6, 0, 0},
       [=, &x](lp_error* e) { return lp_affine(n, n, n, x.p(0), n, nullptr, n, x.p(2), n, e); }},
      {{LP_STRIDE, 9, n - 1, n},
       [=, &x](lp_error* e) { return lp_affine(n, n, n, x.p(0), n, x.p(1), n, x.p(2), n - 1, e); }},
      {{LP_STRIDE_LIMIT, 5, big, top},
       [=, &x](lp_error* e) { return lp_backprop(1, n, n, x.p(0), big, x.p(1), n, x.p(2), n, e); }},
      {{LP_STRIDE, 7, 3, n},
       [=, &x](lp_error* e) { return lp_grad(n, n, n, x.p(0), n, x.p(1), 3, x.p(2), n, e); }},
      {{LP_STRIDE, 8, 5, n},
       [=, &x](lp_error* e) {
         return lp_gemm(1, 0, n, n, 5, 1, x.p(1), 5, x.p(2), n, 0, x.p(0), n, e);
       }},
      {{LP_NULL, 8, 0, 0},
       [=, &x](lp_error* e) { return lp_syrk(0, n, n, 1, x.p(1), n, 0, nullptr, n, e); }},
      {{LP_SIZE, 1, -3, top}, [=, &x](lp_error* e) { return lp_cholesky(-3, x.l.data(), e); }},
      {{LP_NULL, 4, 0, 0}, [=, &x](lp_error* e) { return lp_solve(n, n, x.l.data(), nullptr, e); }},
      {{LP_SIZE, 1, -1, top}, [=, &x](lp_error* e) { return lp_invert(-1, x.l.data(), e); }},
      {{LP_NULL, 2, 0, 0}, [=, &x](lp_error* e) { return lp_invert(n, nullptr, e); }},
      {{LP_STRIDE, 13, n - 1, n},
       [=, &x](lp_error* e) {
         return lp_gemm64(0, 0, n, n, n, 1, x.b.data(), n, x.b.data(), n, 0, x.l.data(), n - 1, e);
       }},
      {{LP_KIND, 23, LP_ADAM_TF1, LP_NESTEROV},
       [=, &x](lp_error* e) { return kernel(&Rules()[LP_ADAM_TF1], nullptr, nullptr, enough, e); }},
      {{LP_NULL, 18, 0, 0},
       [=, &x](lp_error* e) { return kernel(&momentum, x.p(3), nullptr, enough, e); }},
      {{LP_SCRATCH, 26, 5, enough},
       [=, &x](lp_error* e) { return kernel(&sgd, nullptr, nullptr, 5, e); }},
      {{LP_STRIDE, 7, 1, n}, [=, &x](lp_error* e) { return gram(1, &sgd, enough, e); }},
      {{LP_NULL, 19, 0, 0}, [=, &x](lp_error* e) { return gram(n, nullptr, enough, e); }},
      {{LP_SCRATCH, 22, 5, lp_solve_gram_scratch(n, n)},
       [=, &x](lp_error* e) { return gram(n, &sgd, 5, e); }},
      {{LP_NULL, 6, 0, 0}, [=, &x](lp_error* e) { return metric(nullptr, LP_TANH, 2, enough, e); }},
      {{LP_KIND, 18, 99, LP_TEMPERED_SOFTMAX},
       [=, &x](lp_error* e) { return metric(x.p(4), 99, 2, enough, e); }},
      {{LP_SIZE, 24, -1, all},
       [=, &x](lp_error* e) { return metric(x.p(4), LP_TANH, -1, enough, e); }},
      {{LP_SCRATCH, 26, 5, lp_solve_metric_scratch(n, n, n)},
       [=, &x](lp_error* e) { return metric(x.p(4), LP_TANH, 2, 5, e); }},
      {{LP_SIZE, 1, 32767, 32766},
       [=, &x](lp_error* e) {
         return lp_symeig(32767, x.l.data(), x.w.data(), x.work.data(), all, e);
       }},
      {{LP_SCRATCH, 5, 8, lp_symeig_work(n)},
       [=, &x](lp_error* e) { return lp_symeig(n, x.l.data(), x.w.data(), x.work.data(), 8, e); }},
      {{LP_SIZE, 2, -1, all},
       [=, &x](lp_error* e) { return lp_apply(n, -1, x.p(0), n, x.p(1), n, LP_TANH, 0, e); }},
      {{LP_KIND, 7, 15, LP_TEMPERED_SOFTMAX},
       [=, &x](lp_error* e) { return lp_apply(n, n, x.p(0), n, x.p(1), n, 15, 0, e); }},
      {{LP_KIND, 9, -1, LP_TEMPERED_SOFTMAX},
       [=, &x](lp_error* e) { return lp_chain(n, n, x.p(0), n, x.p(1), n, x.p(2), n, -1, 0, e); }},
      {{LP_KIND, 13, 4, LP_BI_TEMPERED},
       [=, &x](lp_error* e) {
         double s;
         return lp_loss(n, n, nullptr, 0, x.p(1), n, x.p(2), n, x.p(3), n, LP_TANH, 0, 4, 0, 1, &s,
                        e);
       }},
      {{LP_KIND, 11, LP_TANH, LP_SIGMOID},
       [=, &x](lp_error* e) {
         double s;
         return lp_loss(n, n, nullptr, 0, x.p(1), n, x.p(2), n, x.p(3), n, LP_TANH, 0,
                        LP_SIGMOID_CE, 0, 1, &s, e);
       }},
      {{LP_KIND, 11, LP_TANH, LP_TEMPERED_SOFTMAX},
       [=, &x](lp_error* e) {
         double s;
         return lp_loss(n, n, nullptr, 0, x.p(1), n, x.p(2), n, x.p(3), n, LP_TANH, 0,
                        LP_BI_TEMPERED, 1, 1, &s, e);
       }},
      {{LP_NULL, 16, 0, 0},
       [=, &x](lp_error* e) {
         return lp_loss(n, n, nullptr, 0, x.p(1), n, x.p(2), n, x.p(3), n, LP_TANH, 0, LP_SQUARED,
                        0, 1, sum, e);
       }},
      {{LP_NULL, 9, 0, 0},
       [=, &x](lp_error* e) {
         return lp_residual(n, n, x.p(0), n, x.p(1), n, x.p(2), n, nullptr, n, x.p(4), n, LP_TANH,
                            0, e);
       }},
      {{LP_STRIDE, 6, 0, n},
       [=, &x](lp_error* e) { return lp_scale(n, n, x.p(0), n, x.p(1), 0, 1, e); }},
      {{LP_NULL, 1, 0, 0},
       [=, &x](lp_error* e) {
         return lp_update(nullptr, n, n, x.p(0), n, nullptr, n, x.p(2), n, x.p(3), n, x.p(4), n,
                          nullptr, 0, e);
       }},
      {{LP_KIND, 1, 16, LP_PNORM},
       [=](lp_error* e) {
         rule->kind = 16;
         const lp_status s = update(e);
         rule->kind = LP_ADAMW;
         return s;
       }},
      {{LP_NULL, 6, 0, 0},
       [=](lp_error* e) {
         rule->prox = 1;
         const lp_status s = update(e);
         rule->prox = 0;
         return s;
       }},
      {{LP_NULL, 12, 0, 0},
       [=, &x](lp_error* e) {
         return lp_update(&x.rule, n, n, x.p(0), n, nullptr, n, x.p(2), n, x.p(3), n, nullptr, n,
                          nullptr, 0, e);
       }},
      {{LP_NULL, 5, 0, 0},
       [=, &x](lp_error* e) { return lp_add_into(n, n, x.p(0), n, nullptr, n, e); }},
      {{LP_STRIDE, 8, n - 1, n},
       [=, &x](lp_error* e) {
         return lp_sm3(n, n, x.p(0), n, x.p(1), n, x.p(2), n - 1, x.p(3), x.p(4), x.p(4) + n,
                       x.p(3) + n, 1, 0, 1, e);
       }},
      {{LP_NULL, 11, 0, 0},
       [=, &x](lp_error* e) {
         return lp_sm3(n, n, x.p(0), n, x.p(1), n, nullptr, 0, x.p(3), x.p(4), nullptr, x.p(3) + n,
                       1, 0, 1, e);
       }},
      {{LP_NULL, 12, 0, 0},
       [=, &x](lp_error* e) {
         return lp_sm3(n, 1, x.p(0), 1, x.p(1), 1, nullptr, 0, x.p(3), nullptr, nullptr, nullptr, 1,
                       0, 1, e);
       }},
      {{LP_NULL, 6, 0, 0},
       [=, &x](lp_error* e) { return lp_square_sums(n, n, x.p(0), n, x.b.data(), nullptr, e); }},
      {{LP_NULL, 7, 0, 0},
       [=, &x](lp_error* e) { return lp_scaled_squares(n, n, x.p(0), n, x.p(1), x.p(2), sum, e); }},
      {{LP_NULL, 7, 0, 0},
       [=, &x](lp_error* e) {
         return lp_scaled_step(n, n, x.p(0), n, x.p(1), n, nullptr, x.p(2), e);
       }},
      {{LP_NULL, 5, 0, 0},
       [=, &x](lp_error* e) { return lp_column_sums(n, n, x.p(0), n, nullptr, e); }},
      {{LP_NULL, 6, 0, 0},
       [=, &x](lp_error* e) { return lp_times(n, n, x.p(0), n, x.b.data(), nullptr, e); }},
      {{LP_SIZE, 5, 1, n},
       [=, &x](lp_error* e) {
         return lp_rank_two(n, n, x.p(0), n, 1, 1, 1, x.b.data(), x.b.data(), e);
       }},
      {{LP_NULL, 9, 0, 0},
       [=, &x](lp_error* e) {
         return lp_rank_two(n, n, x.p(0), n, 0, 1, 1, x.b.data(), nullptr, e);
       }},
      {{LP_NULL, 5, 0, 0},
       [=, &x](lp_error* e) {
         return lp_panels_product(0, n, n, n, nullptr, n, x.p(1), x.p(2), e);
       }},
      {{LP_SIZE, 3, -2, 1 << 30},
       [=, &x](lp_error* e) {
         return lp_panels_product(1, n, -2, n, x.p(0), n, x.p(1), x.p(2), e);
       }},
      {{LP_SIZE, 4, -1, 1 << 30},
       [=, &x](lp_error* e) {
         return lp_panels_product(0, n, n, -1, x.p(0), n, x.p(1), x.p(2), e);
       }},
      {{LP_STRIDE, 6, n - 1, n},
       [=, &x](lp_error* e) {
         return lp_panels_product(1, n, n, n, x.p(0), n - 1, x.p(1), x.p(2), e);
       }},
      {{LP_NULL, 7, 0, 0},
       [=, &x](lp_error* e) {
         return lp_panels_product(0, n, n, n, x.p(0), n, nullptr, x.p(2), e);
       }},
      {{LP_NULL, 8, 0, 0},
       [=, &x](lp_error* e) {
         return lp_panels_product(0, n, n, n, x.p(0), n, x.p(1), nullptr, e);
       }},
      {{LP_STRIDE, 6, n - 1, n},
       [=, &x](lp_error* e) {
         return lp_panels_from(0, n, n, 1, x.p(0), n - 1, x.panels[0].data(), e);
       }},
      {{LP_NULL, 4, 0, 0},
       [=, &x](lp_error* e) { return lp_panels_to(1, n, n, nullptr, 1, x.p(0), n, e); }},
      {{LP_SIZE, 2, 1, 0},
       [=, &x](lp_error* e) { return lp_panels_turn(n, 1, n, n, 1, x.p(0), x.p(1), e); }},
      {{LP_SIZE, 3, -1, 1 << 30},
       [=, &x](lp_error* e) { return lp_panels_turn(n, 0, -1, n, 1, x.p(0), x.p(1), e); }},
      {{LP_SIZE, 3, n + 1, n},
       [=, &x](lp_error* e) { return lp_panels_turn(n, 0, n + 1, n, 1, x.p(0), x.p(1), e); }},
      {{LP_SIZE, 4, -1, 1 << 30},
       [=, &x](lp_error* e) { return lp_panels_turn(n, 0, n, -1, 1, x.p(0), x.p(1), e); }},
      {{LP_NULL, 6, 0, 0},
       [=, &x](lp_error* e) { return lp_panels_turn(n, 0, n, n, 1, nullptr, x.p(1), e); }},
      {{LP_NULL, 7, 0, 0},
       [=, &x](lp_error* e) { return lp_panels_turn(n, 0, n, n, 1, x.p(0), nullptr, e); }},
      {{LP_SIZE, 24, -1, all}, [=](lp_error* e) { return solve(-1, need, LP_IDENTITY, e); }},
      {{LP_NULL, 8, 0, 0}, [=](lp_error* e) { return solve(1, need, LP_TANH, e); }},
      {{LP_SCRATCH, 26, need - 1, need},
       [=](lp_error* e) { return solve(1, need - 1, LP_IDENTITY, e); }},
  };
}

TEST(Contract, WrongArguments) {
  Fixture x;
  const std::vector<Wrong> calls = WrongCalls(x);
  for (size_t i = 0; i < calls.size(); ++i) {
    lp_error err{};
    EXPECT_EQ(calls[i].want.status, calls[i].call(&err)) << "call " << i;
    EXPECT_EQ(calls[i].want.status, calls[i].call(nullptr)) << "call " << i;
    EXPECT_EQ(calls[i].want.status, err.status) << "call " << i;
    EXPECT_EQ(calls[i].want.arg, err.arg) << "call " << i;
    EXPECT_EQ(calls[i].want.got, err.got) << "call " << i;
    EXPECT_EQ(calls[i].want.want, err.want) << "call " << i;
  }
}

// Rules of one call must have the same slots: they are given once.
TEST(Contract, RulesWithOtherSlots) {
  Fixture x;
  constexpr int64_t n = Fixture::n;
  const lp_rule rules[] = {Rules()[LP_SGD], Rules()[LP_MOMENTUM]};
  lp_error err{};
  EXPECT_EQ(LP_KIND,
            lp_solve_direct(n, n, n, x.p(0), n, x.p(1), n, x.p(1), n, x.p(1), n, x.p(2), n, x.p(3),
                            n, x.p(4), n, nullptr, 0, LP_TANH, 0, 1, rules, 2, x.scratch.data(),
                            static_cast<int64_t>(x.scratch.size()), &err));
  EXPECT_EQ(23, err.arg);
}

TEST(Contract, StatusTexts) {
  std::vector<std::string> seen;
  for (int s = -1; s <= LP_STATUS_COUNT; ++s) {
    const char* text = lp_status_text(s);
    ASSERT_NE(nullptr, text);
    if (s >= 0 && s < LP_STATUS_COUNT) {
      for (const std::string& other : seen) EXPECT_NE(other, text);
      seen.push_back(text);
    }
  }
}

TEST(Contract, Abi) {
  EXPECT_EQ(LP_ABI, lp_abi());
  EXPECT_EQ(1, lp_test_c_header());
}

TEST(Contract, ScratchSizes) {
  EXPECT_EQ(2 * 16 + 2 * 16, lp_solve_direct_scratch(1, 1, 1));
  EXPECT_EQ(2 * 48 + 2 * 80, lp_solve_direct_scratch(9, 15, 5));
  EXPECT_EQ(0, lp_solve_direct_scratch(0, 0, 0));
  EXPECT_EQ(INT64_MAX, lp_solve_direct_scratch(-1, 1, 1));
  EXPECT_EQ(INT64_MAX, lp_solve_direct_scratch(int64_t{1} << 31, 1, 1));
  EXPECT_EQ(INT64_MAX, lp_solve_direct_scratch(INT32_MAX, INT32_MAX, INT32_MAX));
  EXPECT_EQ(INT64_MAX, lp_symeig_work(-1));
}

// Nothing may appear on stdout or stderr, from OpenBLAS either, whatever the arguments.
TEST(Contract, PrintsNothing) {
  Fixture x;
  std::FILE* file = std::tmpfile();
  ASSERT_NE(nullptr, file);
  std::fflush(nullptr);
  const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  CallAll(x);
  for (const Wrong& w : WrongCalls(x)) w.call(nullptr);
  x.l.assign(x.l.size(), std::nan(""));
  CallAll(x);
  std::fflush(nullptr);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  close(out);
  close(err);
  EXPECT_EQ(0, lseek(fileno(file), 0, SEEK_END));
  std::fclose(file);
}

TEST(Contract, AllocatesNothing) {
#ifdef LP_COUNTS_ALLOCATIONS
  Fixture x;
  CallAll(x);  // OpenBLAS takes its buffers on first use
  const long before = allocations.load();
  CallAll(x);
  EXPECT_EQ(before, allocations.load());
#else
  GTEST_SKIP() << "runs with glibc's malloc and without a sanitizer, which has its own";
#endif
}

// A thread in flush-to-zero mode, rounding upwards, gets the usual results and its mode
// back.
TEST(Contract, FloatingPointMode) {
#if defined(__SSE__)
  constexpr unsigned kFlushZeroUp = 0x8040 | 0x4000;
  const float tiny = std::numeric_limits<float>::min();
  float e = 7, third = 0, one = 1;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlushZeroUp);
  lp_scale(1, 1, &e, 1, &tiny, 1, 0.25f, nullptr);
  lp_scale(1, 1, &third, 1, &one, 1, 1.0f / 3, nullptr);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(before | kFlushZeroUp, after);
  EXPECT_EQ(Bits(std::ldexp(1.0f, -128)), Bits(e));
#else
  GTEST_SKIP() << "runs on x86";
#endif
}

TEST(Contract, Info) {
  lp_info info;
  lp_get_info(&info);
  EXPECT_EQ(0u, std::string(info.openblas).find("OpenBLAS ")) << info.openblas;
  EXPECT_NE("", std::string(info.core));
  EXPECT_NE("", std::string(info.simd));
  EXPECT_NE("", std::string(info.compiler));
  EXPECT_GT(info.max_threads, 0);
  EXPECT_EQ(LP_KIND, lp_set_target("no such target"));
  EXPECT_EQ(LP_NULL, lp_set_target(nullptr));
  EXPECT_EQ(1, lp_get_threads());
  float sink = 1e-3f;
  EXPECT_GE(lp_fma_peak(10, &sink), 10000);
}

}  // namespace
}  // namespace lp_test
