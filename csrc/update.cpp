// lp_update: one step of an element-wise optimiser, in one pass over its operands.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "update.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

HWY_INLINE V Load(const float* p) { return hn::LoadU(D(), p); }
HWY_INLINE void Store(V v, float* p) { hn::StoreU(v, D(), p); }
HWY_INLINE V Const(float v) { return hn::Set(D(), v); }

// a/b with 0/0 = 0, so that a zero gradient gives a zero update where ε is 0 too.
HWY_INLINE V Quotient(V a, V b) {
  return hn::IfThenZeroElse(hn::Eq(a, hn::Zero(D())), hn::Div(a, b));
}

// g, with the proximal term's gradient where there is one.
HWY_INLINE V Gradient(const lp_rule& u, const float* g, V delta) {
  return u.prox != 0 ? hn::MulAdd(Const(u.prox), delta, Load(g)) : Load(g);
}

// s ← a s + b (x y)
HWY_INLINE V Average(float a, V s, float b, V x, V y) {
  return hn::MulAdd(Const(a), s, hn::Mul(Const(b), hn::Mul(x, y)));
}

HWY_INLINE void StepNoSlot(const lp_rule& u, float* pd, const float* pg) {
  V delta = Load(pd);
  const V x = Gradient(u, pg, delta);
  Store(hn::NegMulAdd(Const(u.c[0]), x, delta), pd);
}

template <int kKind>
HWY_INLINE void StepOneSlot(const lp_rule& u, float* pd, const float* pg, float* ps) {
  V delta = Load(pd);
  V s = Load(ps);
  const V x = Gradient(u, pg, delta);
  if constexpr (kKind == LP_ADAGRAD) {
    s = hn::MulAdd(x, x, s);
    delta = hn::Sub(delta, Quotient(hn::Mul(Const(u.c[0]), x), hn::Sqrt(s)));
  } else {
    const V mu = Const(u.c[1]);
    s = hn::MulAdd(mu, s, x);
    const V step = kKind == LP_NESTEROV ? hn::MulAdd(mu, s, x) : s;
    delta = hn::NegMulAdd(Const(u.c[0]), step, delta);
  }
  Store(s, ps);
  Store(delta, pd);
}

template <int kKind>
HWY_INLINE void StepRmsProp(const lp_rule& u, float* pd, const float* pg, float* ps, float* pv) {
  V delta = Load(pd);
  const V x = Gradient(u, pg, delta);
  const V s = Average(u.c[2], Load(ps), u.c[3], x, x);
  const V eta = Const(u.c[0]);
  const V mu = Const(u.c[1]);
  const V eps = Const(u.c[4]);
  V v = Load(pv);
  if constexpr (kKind == LP_RMSPROP_TF1) {
    v = hn::MulAdd(mu, v, Quotient(hn::Mul(eta, x), hn::Sqrt(hn::Add(s, eps))));
    delta = hn::Sub(delta, v);
  } else {
    v = hn::MulAdd(mu, v, Quotient(x, hn::Add(hn::Sqrt(s), eps)));
    delta = hn::NegMulAdd(eta, v, delta);
  }
  Store(s, ps);
  Store(v, pv);
  Store(delta, pd);
}

// kKind LP_ADAMW: with decay towards 0 of w = delta, or of w0 + delta.
template <int kKind>
HWY_INLINE void StepAdam(const lp_rule& u, const float* pw0, float* pd, const float* pg, float* pm,
                         float* pv) {
  V delta = Load(pd);
  const V x = Gradient(u, pg, delta);
  if constexpr (kKind == LP_ADAMW) {
    const V w = pw0 != nullptr ? hn::Add(delta, Load(pw0)) : delta;
    delta = hn::NegMulAdd(Const(u.c[7]), w, delta);
  }
  const V m = hn::MulAdd(Const(u.c[1]), Load(pm), hn::Mul(Const(u.c[2]), x));
  const V v = Average(u.c[3], Load(pv), u.c[4], x, x);
  const V scaled = kKind == LP_ADAM_TF1 ? v : hn::Mul(v, Const(u.c[6]));
  const V root = hn::Add(hn::Sqrt(scaled), Const(u.c[5]));
  delta = hn::Sub(delta, Quotient(hn::Mul(Const(u.c[0]), m), root));
  Store(m, pm);
  Store(v, pv);
  Store(delta, pd);
}

// AdamW's decay leaves the last column, the bias, alone: a row is Adam with decay and one
// element without.
HWY_INLINE void AdamW(const lp_rule& u, int64_t rows, int64_t cols, Out delta, In w0, In g, Out m,
                      Out v) {
  const auto decayed = [&u](const float* pw0, float* pd, const float* pg, float* pm, float* pv)
                           HWY_ATTR { StepAdam<LP_ADAMW>(u, pw0, pd, pg, pm, pv); };
  const auto weights = [&u](float* pd, const float* pg, float* pm, float* pv)
                           HWY_ATTR { StepAdam<LP_ADAMW>(u, nullptr, pd, pg, pm, pv); };
  const auto bias = [&u](float* pd, const float* pg, float* pm, float* pv)
                        HWY_ATTR { StepAdam<LP_ADAM_TORCH>(u, nullptr, pd, pg, pm, pv); };
  const int64_t n = cols - 1;
  for (int64_t i = 0; i < rows && n >= 0; ++i) {
    float* const pd = delta.Row(i);
    float* const pm = m.Row(i);
    float* const pv = v.Row(i);
    const float* const pg = g.Row(i);
    if (w0.data != nullptr) {
      Run(n, decayed, w0.Row(i), pd, pg, pm, pv);
    } else {
      Run(n, weights, pd, pg, pm, pv);
    }
    Run(1, bias, pd + n, pg + n, pm + n, pv + n);
  }
}

// A function per rule, so that none is large. u by value: a local that no store to the
// matrices can change, so that its constants stay in registers.
template <int kKind>
HWY_NOINLINE void Rule(lp_rule u, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0,
                       Out s1) {
  if constexpr (kKind == LP_SGD) {
    Map(
        rows, cols, [&u](float* pd, const float* pg) HWY_ATTR { StepNoSlot(u, pd, pg); }, delta, g);
  } else if constexpr (kKind <= LP_ADAGRAD) {
    Map(
        rows, cols,
        [&u](float* pd, const float* pg, float* ps) HWY_ATTR { StepOneSlot<kKind>(u, pd, pg, ps); },
        delta, g, s0);
  } else if constexpr (kKind <= LP_RMSPROP_TORCH) {
    Map(
        rows, cols,
        [&u](float* pd, const float* pg, float* ps, float* pv)
            HWY_ATTR { StepRmsProp<kKind>(u, pd, pg, ps, pv); },
        delta, g, s0, s1);
  } else if constexpr (kKind == LP_ADAMW) {
    AdamW(u, rows, cols, delta, w0, g, s0, s1);
  } else {
    Map(
        rows, cols,
        [&u](float* pd, const float* pg, float* pm, float* pv)
            HWY_ATTR { StepAdam<kKind>(u, nullptr, pd, pg, pm, pv); },
        delta, g, s0, s1);
  }
}

void UpdateT(const lp_rule& u, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0, Out s1) {
  switch (u.kind) {
    case LP_SGD:
      return Rule<LP_SGD>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_MOMENTUM:
      return Rule<LP_MOMENTUM>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_NESTEROV:
      return Rule<LP_NESTEROV>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_ADAGRAD:
      return Rule<LP_ADAGRAD>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_RMSPROP_TF1:
      return Rule<LP_RMSPROP_TF1>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_RMSPROP_TORCH:
      return Rule<LP_RMSPROP_TORCH>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_ADAM_TF1:
      return Rule<LP_ADAM_TF1>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_ADAM_TORCH:
      return Rule<LP_ADAM_TORCH>(u, rows, cols, delta, w0, g, s0, s1);
    case LP_ADAMW:
      return Rule<LP_ADAMW>(u, rows, cols, delta, w0, g, s0, s1);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(UpdateT);

void Update(const lp_rule& rule, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0,
            Out s1) noexcept {
  HWY_DYNAMIC_DISPATCH(UpdateT)(rule, rows, cols, delta, w0, g, s0, s1);
}
}  // namespace lp

lp_status lp_update(const lp_rule* rule, int64_t rows, int64_t cols, float* delta, int64_t lddelta,
                    const float* w0, int64_t ldw0, const float* g, int64_t ldg, float* s0,
                    int64_t lds0, float* s1, int64_t lds1, lp_error* err) noexcept {
  lp::Check check(err);
  if (check.NotNull(1, rule).Kind(1, rule != nullptr ? rule->kind : 0, LP_ADAMW).failed()) {
    return check.status();
  }
  const int slots = lp::Slots(rule->kind);
  check.Size(2, rows)
      .Size(3, cols)
      .Matrix(4, delta, rows, cols, lddelta)
      .Matrix(8, g, rows, cols, ldg);
  if (rule->prox != 0) check.NotNull(6, w0);
  if (w0 != nullptr) check.Matrix(6, w0, rows, cols, ldw0);
  if (slots > 0) check.Matrix(10, s0, rows, cols, lds0);
  if (slots > 1) check.Matrix(12, s1, rows, cols, lds1);
  if (check.failed() || rows == 0 || cols == 0) return check.status();
  lp::FpMode mode;
  lp::Update(*rule, rows, cols, {delta, lddelta}, {w0, ldw0}, {g, ldg}, {s0, lds0}, {s1, lds1});
  return LP_OK;
}
#endif  // HWY_ONCE
