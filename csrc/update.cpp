// lp_update: one step of an optimiser; of an element-wise one in one pass over its operands.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "update.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math-inl.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

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
  } else if constexpr (kKind == LP_MOMENTUM_BUFFER) {
    s = hn::MulAdd(Const(u.c[1]), s, hn::Mul(Const(u.c[0]), x));
    delta = hn::Sub(delta, s);
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

// from less rate times the weights w = delta, or w0 + delta; biases don't decay.
HWY_INLINE V Decayed(Mask biases, float rate, const float* pw0, V delta, V from) {
  const V w = pw0 != nullptr ? hn::Add(delta, Load(pw0)) : delta;
  return hn::IfThenElse(biases, from, hn::NegMulAdd(Const(rate), w, from));
}

template <int kKind>
HWY_INLINE void StepAdam(const lp_rule& u, Mask biases, const float* pw0, float* pd,
                         const float* pg, float* pm, float* pv) {
  V delta = Load(pd);
  const V x = Gradient(u, pg, delta);
  if constexpr (kKind == LP_ADAMW) delta = Decayed(biases, u.c[7], pw0, delta, delta);
  const V m = hn::MulAdd(Const(u.c[1]), Load(pm), hn::Mul(Const(u.c[2]), x));
  const V v = Average(u.c[3], Load(pv), u.c[4], x, x);
  const V scaled = kKind == LP_ADAM_TF1 ? v : hn::Mul(v, Const(u.c[6]));
  const V root = hn::Add(hn::Sqrt(scaled), Const(u.c[5]));
  delta = hn::Sub(delta, Quotient(hn::Mul(Const(u.c[0]), m), root));
  Store(m, pm);
  Store(v, pv);
  Store(delta, pd);
}

// Adam with the largest v so far. A NaN in v stays: Max would drop it.
HWY_INLINE void StepAmsGrad(const lp_rule& u, float* pd, const float* pg, float* pm, float* pv,
                            float* ptop) {
  const V delta = Load(pd);
  const V x = Gradient(u, pg, delta);
  const V m = hn::MulAdd(Const(u.c[1]), Load(pm), hn::Mul(Const(u.c[2]), x));
  const V v = Average(u.c[3], Load(pv), u.c[4], x, x);
  V top = Load(ptop);
  top = hn::IfThenElse(hn::Lt(v, top), top, v);
  const V root = hn::Add(hn::Sqrt(hn::Mul(top, Const(u.c[6]))), Const(u.c[5]));
  Store(hn::Sub(delta, Quotient(hn::Mul(Const(u.c[0]), m), root)), pd);
  Store(m, pm);
  Store(v, pv);
  Store(top, ptop);
}

HWY_INLINE void StepNadamW(const lp_rule& u, Mask biases, const float* pw0, float* pd,
                           const float* pg, float* pm, float* pv) {
  V delta = Load(pd);
  const V x = Gradient(u, pg, delta);
  delta = Decayed(biases, u.c[7], pw0, delta, delta);
  const V m = hn::MulAdd(Const(u.c[1]), Load(pm), hn::Mul(Const(u.c[2]), x));
  const V v = Average(u.c[3], Load(pv), u.c[4], x, x);
  const V ahead = hn::MulAdd(Const(u.c[0]), m, hn::Mul(Const(u.c[6]), x));
  delta = hn::Sub(delta, Quotient(ahead, hn::Add(hn::Sqrt(v), Const(u.c[5]))));
  Store(m, pm);
  Store(v, pv);
  Store(delta, pd);
}

HWY_INLINE void StepScheduleFree(const lp_rule& u, Mask biases, const float* pw0, float* pd,
                                 const float* pg, float* pv, float* pz, float* px) {
  const V delta = Load(pd);
  const V g = Gradient(u, pg, delta);
  const V v = Average(u.c[3], Load(pv), u.c[4], g, g);
  V z = Decayed(biases, u.c[6], pw0, delta, Load(pz));
  z = hn::Sub(z, Quotient(hn::Mul(Const(u.c[0]), g), hn::Add(hn::Sqrt(v), Const(u.c[5]))));
  V x = Load(px);
  x = hn::MulAdd(Const(u.c[2]), hn::Sub(z, x), x);
  V w = hn::MulAdd(Const(u.c[1]), hn::Sub(x, z), z);
  if (pw0 != nullptr) w = hn::Sub(w, Load(pw0));
  Store(v, pv);
  Store(z, pz);
  Store(x, px);
  Store(w, pd);
}

// c0 g within ±4; NaN stays.
HWY_INLINE V Exponent(const lp_rule& u, V g) {
  const V limit = Const(4);
  const V x = hn::Mul(Const(u.c[0]), g);
  return hn::IfThenElse(hn::Gt(hn::Abs(x), limit), hn::CopySign(limit, x), x);
}

// With t = e^|u| - 1: sinh |u| = (t + t/(1 + t))/2 and cosh u - 1 = t (t/(1 + t))/2, neither
// of which cancels.
HWY_INLINE void StepEgu(const lp_rule& u, const float* pw0, float* pd, const float* pg) {
  const V delta = Load(pd);
  const V x = Exponent(u, Gradient(u, pg, delta));
  const V w = pw0 != nullptr ? hn::Add(delta, Load(pw0)) : delta;
  const auto [p, k] = Reduce(D(), hn::Abs(x));
  const V scale = Exp2<127>(D(), k);
  const V t = hn::MulAdd(scale, p, hn::Sub(scale, Const(1)));
  const V rest = hn::Div(t, hn::Add(t, Const(1)));
  const V sinh = hn::CopySign(hn::Mul(Const(0.5f), hn::Add(t, rest)), x);
  const V cosh_less_1 = hn::Mul(Const(0.5f), hn::Mul(t, rest));
  const V root = hn::Sqrt(hn::MulAdd(w, w, Const(u.c[1])));
  Store(hn::Add(delta, hn::NegMulAdd(root, sinh, hn::Mul(w, cosh_less_1))), pd);
}

HWY_INLINE void StepEguGd(const lp_rule& u, float* pd, const float* pg, float* pp, float* pq) {
  const V delta = Load(pd);
  const V h = hn::Mul(Const(0.5f), Exponent(u, Gradient(u, pg, delta)));
  const V p = Load(pp);
  const V q = Load(pq);
  const V p2 = hn::Mul(p, p);
  const V q2 = hn::Mul(q, q);
  const V sum = hn::Mul(Const(2), hn::Add(p2, q2));
  const V change = hn::MulSub(h, hn::Sub(p2, q2), sum);
  Store(hn::MulAdd(hn::Mul(Const(0.25f), h), change, delta), pd);
  Store(hn::NegMulAdd(h, p, p), pp);
  Store(hn::MulAdd(h, q, q), pq);
}

// One step of a rule that reads weights, on vectors.
template <int kKind>
HWY_INLINE void StepWeights(const lp_rule& u, Mask biases, const float* pw0, float* pd,
                            const float* pg, float* p0, float* p1, float* p2) {
  if constexpr (kKind == LP_ADAMW) {
    StepAdam<kKind>(u, biases, pw0, pd, pg, p0, p1);
  } else if constexpr (kKind == LP_NADAMW) {
    StepNadamW(u, biases, pw0, pd, pg, p0, p1);
  } else if constexpr (kKind == LP_SCHEDULE_FREE) {
    StepScheduleFree(u, biases, pw0, pd, pg, p0, p1, p2);
  } else {
    StepEgu(u, pw0, pd, pg);
  }
}

// Biases tells which elements of one vector after the other are biases, the last ones of rows.
class Biases {
 public:
  explicit Biases(int64_t cols) : cols_(cols), next_(cols - 1) {}
  HWY_INLINE Mask Next() {
    Mask biases = hn::FirstN(D(), 0);
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
    for (; next_ < lanes; next_ += cols_) {
      biases = hn::Or(biases, hn::Eq(hn::Iota(D(), 0), Const(static_cast<float>(next_))));
    }
    next_ -= lanes;
    return biases;
  }

 private:
  const int64_t cols_;
  int64_t next_;  // bias, counted from the next vector's begin
};

// Count elements, of a row or of all rows where none has gaps behind it. That there is no w0 is
// known where its step is compiled: a padded copy of what isn't there would not be NULL.
template <int kKind>
HWY_INLINE void RunWeights(const lp_rule& u, int64_t cols, int64_t count, const float* w0, float* d,
                           const float* g, float* s0, float* s1, float* s2) {
  constexpr int slots = Slots(kKind);
  Biases biases(cols);
  if constexpr (slots == 0) {
    const auto f = [&](const float* pw, float* pd, const float* pg) HWY_ATTR {
      StepWeights<kKind>(u, biases.Next(), pw, pd, pg, nullptr, nullptr, nullptr);
    };
    const auto h = [&](float* pd, const float* pg) HWY_ATTR { f(nullptr, pd, pg); };
    w0 != nullptr ? Run(count, f, w0, d, g) : Run(count, h, d, g);
  } else if constexpr (slots == 2) {
    const auto f = [&](const float* pw, float* pd, const float* pg, float* p0, float* p1) HWY_ATTR {
      StepWeights<kKind>(u, biases.Next(), pw, pd, pg, p0, p1, nullptr);
    };
    const auto h = [&](float* pd, const float* pg, float* p0, float* p1)
                       HWY_ATTR { f(nullptr, pd, pg, p0, p1); };
    w0 != nullptr ? Run(count, f, w0, d, g, s0, s1) : Run(count, h, d, g, s0, s1);
  } else {
    const auto f = [&](const float* pw, float* pd, const float* pg, float* p0, float* p1, float* p2)
                       HWY_ATTR { StepWeights<kKind>(u, biases.Next(), pw, pd, pg, p0, p1, p2); };
    const auto h = [&](float* pd, const float* pg, float* p0, float* p1, float* p2)
                       HWY_ATTR { f(nullptr, pd, pg, p0, p1, p2); };
    w0 != nullptr ? Run(count, f, w0, d, g, s0, s1, s2) : Run(count, h, d, g, s0, s1, s2);
  }
}

// Rules that read weights.
template <int kKind>
HWY_INLINE void Weights(const lp_rule& u, int64_t rows, int64_t cols, Out delta, In w0, In g,
                        Out s0, Out s1, Out s2) {
  constexpr int slots = Slots(kKind);
  const bool dense = delta.stride == cols && g.stride == cols &&
                     (w0.data == nullptr || w0.stride == cols) &&
                     (slots < 1 || s0.stride == cols) && (slots < 2 || s1.stride == cols) &&
                     (slots < 3 || s2.stride == cols);
  const int64_t lines = dense ? 1 : rows;
  const int64_t count = dense ? rows * cols : cols;
  for (int64_t i = 0; i < lines && cols > 0; ++i) {
    RunWeights<kKind>(u, cols, count, w0.data != nullptr ? w0.Row(i) : nullptr, delta.Row(i),
                      g.Row(i), slots > 0 ? s0.Row(i) : nullptr, slots > 1 ? s1.Row(i) : nullptr,
                      slots > 2 ? s2.Row(i) : nullptr);
  }
}

constexpr bool ReadsWeights(int kind) {
  return kind == LP_ADAMW || kind == LP_NADAMW || kind == LP_SCHEDULE_FREE || kind == LP_EGU;
}

// A function per rule, so that none is large. u by value: a local that no store to the
// matrices can change, so that its constants stay in registers.
template <int kKind>
HWY_NOINLINE void Rule(lp_rule u, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0,
                       Out s1, Out s2) {
  if constexpr (ReadsWeights(kKind)) {
    Weights<kKind>(u, rows, cols, delta, w0, g, s0, s1, s2);
  } else if constexpr (kKind == LP_SGD) {
    Map(
        rows, cols, [&u](float* pd, const float* pg) HWY_ATTR { StepNoSlot(u, pd, pg); }, delta, g);
  } else if constexpr (Slots(kKind) == 1) {
    Map(
        rows, cols,
        [&u](float* pd, const float* pg, float* ps) HWY_ATTR { StepOneSlot<kKind>(u, pd, pg, ps); },
        delta, g, s0);
  } else if constexpr (kKind == LP_AMSGRAD) {
    Map(
        rows, cols,
        [&u](float* pd, const float* pg, float* pm, float* pv, float* pt)
            HWY_ATTR { StepAmsGrad(u, pd, pg, pm, pv, pt); },
        delta, g, s0, s1, s2);
  } else {
    Map(
        rows, cols,
        [&u](float* pd, const float* pg, float* p0, float* p1) HWY_ATTR {
          if constexpr (kKind == LP_RMSPROP_TF1 || kKind == LP_RMSPROP_TORCH) {
            StepRmsProp<kKind>(u, pd, pg, p0, p1);
          } else if constexpr (kKind == LP_EGU_GD) {
            StepEguGd(u, pd, pg, p0, p1);
          } else {
            StepAdam<kKind>(u, hn::FirstN(D(), 0), nullptr, pd, pg, p0, p1);
          }
        },
        delta, g, s0, s1);
  }
}

void UpdateT(const lp_rule& u, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0, Out s1,
             Out s2) {
  switch (u.kind) {
    case LP_SGD:
      return Rule<LP_SGD>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_MOMENTUM:
      return Rule<LP_MOMENTUM>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_NESTEROV:
      return Rule<LP_NESTEROV>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_ADAGRAD:
      return Rule<LP_ADAGRAD>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_RMSPROP_TF1:
      return Rule<LP_RMSPROP_TF1>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_RMSPROP_TORCH:
      return Rule<LP_RMSPROP_TORCH>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_ADAM_TF1:
      return Rule<LP_ADAM_TF1>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_ADAM_TORCH:
      return Rule<LP_ADAM_TORCH>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_ADAMW:
      return Rule<LP_ADAMW>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_MOMENTUM_BUFFER:
      return Rule<LP_MOMENTUM_BUFFER>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_AMSGRAD:
      return Rule<LP_AMSGRAD>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_NADAMW:
      return Rule<LP_NADAMW>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_SCHEDULE_FREE:
      return Rule<LP_SCHEDULE_FREE>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_EGU:
      return Rule<LP_EGU>(u, rows, cols, delta, w0, g, s0, s1, s2);
    case LP_EGU_GD:
      return Rule<LP_EGU_GD>(u, rows, cols, delta, w0, g, s0, s1, s2);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(UpdateT);

void Update(const lp_rule& rule, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0, Out s1,
            Out s2) noexcept {
  if (rule.kind == LP_PNORM) return PNorm(rule, rows, cols, delta, w0, g);
  HWY_DYNAMIC_DISPATCH(UpdateT)(rule, rows, cols, delta, w0, g, s0, s1, s2);
}
}  // namespace lp

lp_status lp_update(const lp_rule* rule, int64_t rows, int64_t cols, float* delta, int64_t lddelta,
                    const float* w0, int64_t ldw0, const float* g, int64_t ldg, float* s0,
                    int64_t lds0, float* s1, int64_t lds1, float* s2, int64_t lds2,
                    lp_error* err) noexcept {
  lp::Check check(err);
  if (check.NotNull(1, rule).Kind(1, rule != nullptr ? rule->kind : 0, lp::kLastRule).failed()) {
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
  if (slots > 2) check.Matrix(14, s2, rows, cols, lds2);
  if (check.failed() || rows == 0 || cols == 0) return check.status();
  lp::FpMode mode;
  lp::Update(*rule, rows, cols, {delta, lddelta}, {w0, ldw0}, {g, ldg}, {s0, lds0}, {s1, lds1},
             {s2, lds2});
  return LP_OK;
}
#endif  // HWY_ONCE
