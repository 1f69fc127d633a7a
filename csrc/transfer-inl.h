// The element-wise transfer functions, each with its derivative: vector code for lp_apply,
// lp_chain and lp_residual alike. Compiled once per Highway target.
//
// A function is a struct with Value(a) = f(a) and Chained(d, x) = d f'(a), which takes
// x = f(a) where kSlopeOfOutput, else x = a. With NaN or ∞ in a, d or y it gives what
// d f'(a) gives; f' itself is finite but for ReLU² and exp.
#if defined(LP_TRANSFER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LP_TRANSFER_INL_H_
#undef LP_TRANSFER_INL_H_
#else
#define LP_TRANSFER_INL_H_
#endif

#include <limits>

#include "locoprop.h"
#include "math-inl.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

HWY_INLINE V One() { return hn::Set(D(), 1.0f); }
HWY_INLINE hn::Mask<D> Positive(V x) { return hn::Gt(x, hn::Zero(D())); }
HWY_INLINE hn::Mask<D> Negative(V x) { return hn::Lt(x, hn::Zero(D())); }

struct TanhF {
  static constexpr bool kSlopeOfOutput = true;
  HWY_INLINE V Value(V a) const { return Tanh(D(), a); }
  HWY_INLINE V Chained(V d, V y) const { return hn::Mul(d, hn::NegMulAdd(y, y, One())); }
};

struct LeakyReluF {
  float alpha;
  static constexpr bool kSlopeOfOutput = false;
  HWY_INLINE V Value(V a) const { return LeakyRelu(D(), a, alpha); }
  HWY_INLINE V Chained(V d, V a) const {
    return hn::IfThenElse(Positive(a), d, hn::Mul(d, hn::Set(D(), alpha)));
  }
};

struct SigmoidF {
  static constexpr bool kSlopeOfOutput = true;
  HWY_INLINE V Value(V a) const { return Sigmoid(D(), a); }
  HWY_INLINE V Chained(V d, V y) const { return hn::Mul(d, hn::Mul(y, hn::Sub(One(), y))); }
};

struct Relu2F {
  static constexpr bool kSlopeOfOutput = false;
  HWY_INLINE V Value(V a) const {
    const V r = LeakyRelu(D(), a, 0);
    return Product(D(), r, r);
  }
  HWY_INLINE V Chained(V d, V a) const {
    const V r = LeakyRelu(D(), a, 0);
    return hn::Mul(d, hn::Add(r, r));
  }
};

struct ArctanF {
  static constexpr bool kSlopeOfOutput = false;
  // arctan t for t ≤ 1, else π/2 − arctan(1/t): t + t³ q(t²), off by at most 2.6e-9 of itself.
  HWY_INLINE V Value(V a) const {
    const D d;
    const V magnitude = hn::Abs(a);
    const auto far = hn::Gt(magnitude, One());
    const V t = hn::IfThenElse(far, hn::Div(One(), magnitude), magnitude);
    const V u = hn::Mul(t, t);
    V q = hn::MulAdd(hn::Set(d, -0.0017936271915f), u, hn::Set(d, 0.010914632971f));
    q = hn::MulAdd(q, u, hn::Set(d, -0.03117790259f));
    q = hn::MulAdd(q, u, hn::Set(d, 0.057957658146f));
    q = hn::MulAdd(q, u, hn::Set(d, -0.084034546905f));
    q = hn::MulAdd(q, u, hn::Set(d, 0.10952187545f));
    q = hn::MulAdd(q, u, hn::Set(d, -0.14264242091f));
    q = hn::MulAdd(q, u, hn::Set(d, 0.19998548331f));
    q = hn::MulAdd(q, u, hn::Set(d, -0.33333299091f));
    const V near = hn::MulAdd(hn::Mul(t, u), q, t);
    // The float next to π/2 is above it by the second constant.
    const V rest = hn::Sub(hn::Set(d, 1.57079637f), hn::Add(near, hn::Set(d, 4.37113883e-8f)));
    return hn::CopySign(hn::IfThenElse(far, rest, near), a);
  }
  HWY_INLINE V Chained(V d, V a) const { return hn::Div(d, hn::MulAdd(a, a, One())); }
};

struct SoftplusF {
  static constexpr bool kSlopeOfOutput = false;
  HWY_INLINE V Value(V a) const {
    const D d;
    const V rest = Log1pUnit(d, ExpNegative(d, hn::Neg(hn::Abs(a))));
    return hn::Add(hn::IfThenElseZero(Positive(a), a), rest);
  }
  HWY_INLINE V Chained(V d, V a) const { return hn::Mul(d, Sigmoid(D(), a)); }
};

struct SoftsignF {
  static constexpr bool kSlopeOfOutput = false;
  HWY_INLINE V Value(V a) const {
    constexpr float kMost = std::numeric_limits<float>::max();
    const V magnitude = Within(D(), hn::Abs(a), 0, kMost);  // ∞/∞ is NaN
    return hn::CopySign(hn::Div(magnitude, hn::Add(One(), magnitude)), a);
  }
  HWY_INLINE V Chained(V d, V a) const {
    const V r = hn::Div(One(), hn::Add(One(), hn::Abs(a)));
    return hn::Mul(hn::Mul(d, r), r);
  }
};

struct EluF {
  float alpha;
  static constexpr bool kSlopeOfOutput = true;
  HWY_INLINE V Value(V a) const {
    const D d;
    return hn::IfThenElse(Positive(a), a, hn::Mul(hn::Set(d, alpha), Expm1Negative(d, a)));
  }
  HWY_INLINE V Chained(V d, V y) const {  // α > 0, so y > 0 where a > 0; else αe^a = y + α
    return hn::IfThenElse(Positive(y), d, hn::Mul(d, hn::Add(y, hn::Set(D(), alpha))));
  }
};

struct HardTanhF {
  static constexpr bool kSlopeOfOutput = false;
  HWY_INLINE V Value(V a) const { return Within(D(), a, -1, 1); }
  HWY_INLINE V Chained(V d, V a) const {
    return hn::Mul(d, hn::IfThenElse(hn::Ge(hn::Abs(a), One()), hn::Zero(D()), One()));
  }
};

struct ExpF {
  static constexpr bool kSlopeOfOutput = true;
  HWY_INLINE V Value(V a) const { return Exp(D(), a); }
  HWY_INLINE V Chained(V d, V y) const { return hn::Mul(d, y); }
};

// Φ is the distribution function of the normal distribution: Φ(−m) = e^(−m²/2) R(m), with R
// between 1/2 and 0. GELU is 0 as a float from −14.4 down, and so is 1 − Φ from 14.2 up.
struct GeluF {
  static constexpr bool kSlopeOfOutput = false;
  static constexpr float kMost = 15;

  // 2⁶⁴ e^(−m²/2), with m² = h² + (m − h)(m + h), of which h, 12 bits of m, has a square
  // without rounding: an error of m² would become a relative one of the result.
  static HWY_INLINE V Density(V m) {
    const D d;
    const hn::Rebind<uint32_t, D> du;
    const V h = hn::BitCast(d, hn::And(hn::BitCast(du, m), hn::Set(du, 0xFFFFF000u)));
    const V half = hn::Set(d, -0.5f);
    return ExpScaled(d, hn::Mul(half, hn::Mul(h, h)), hn::Mul(half, hn::Sub(m, h)), hn::Add(m, h));
  }

  // R(m) = r(q)/(m + 2) with q = (m − 2)/(m + 2), off by at most 2.5e-8 of itself.
  static HWY_INLINE V R(V m) {
    const D d;
    const V inverse = hn::Div(One(), hn::Add(m, hn::Set(d, 2.0f)));
    const V q = hn::NegMulAdd(hn::Set(d, 4.0f), inverse, One());
    V r = hn::MulAdd(hn::Set(d, -7.9177320203e-5f), q, hn::Set(d, 2.6673925283e-5f));
    r = hn::MulAdd(r, q, hn::Set(d, 0.00072680061071f));
    r = hn::MulAdd(r, q, hn::Set(d, 0.0008892490223f));
    r = hn::MulAdd(r, q, hn::Set(d, -0.0018912009762f));
    r = hn::MulAdd(r, q, hn::Set(d, -0.0067536514788f));
    r = hn::MulAdd(r, q, hn::Set(d, -0.00048323794417f));
    r = hn::MulAdd(r, q, hn::Set(d, 0.036721915712f));
    r = hn::MulAdd(r, q, hn::Set(d, 0.028798407927f));
    r = hn::MulAdd(r, q, hn::Set(d, -0.33140457769f));
    r = hn::MulAdd(r, q, hn::Set(d, 0.67240799268f));
    return hn::Mul(r, inverse);
  }

  // With m = |a| and T = m Φ(−m): −T for a < 0, else a − T.
  HWY_INLINE V Value(V a) const {
    const D d;
    const V m = Within(d, hn::Abs(a), 0, kMost);
    const V tail = hn::Mul(hn::Mul(m, R(m)), Density(m));
    return hn::NegMulAdd(tail, hn::Set(d, kUnscale), hn::IfThenZeroElse(Negative(a), a));
  }

  // With N = Φ(−m) − m φ(m), φ the density: N for a < 0, else 1 − N.
  HWY_INLINE V Chained(V g, V a) const {
    const D d;
    const V m = Within(d, hn::Abs(a), 0, kMost);
    const V rest = hn::NegMulAdd(m, hn::Set(d, 0.398942280f), R(m));  // 1/√2π
    const V n = hn::Mul(rest, Density(m));
    const V unscale = hn::Set(d, kUnscale);
    const V slope =
        hn::IfThenElse(Negative(a), hn::Mul(n, unscale), hn::NegMulAdd(n, unscale, One()));
    return hn::Mul(g, slope);
  }
};

struct SiluF {
  static constexpr bool kSlopeOfOutput = false;

  // a/(1 + z) with z = e^−|a|, times z for a < 0: scaled, since z may be a denormal where
  // a z isn't.
  HWY_INLINE V Value(V a) const {
    const D d;
    const V unscale = hn::Set(d, kUnscale);
    const V lowest = hn::Set(d, -120.0f);
    const V x = hn::IfThenElse(hn::Lt(a, lowest), lowest, a);
    const V scaled = ExpScaled(d, hn::Neg(hn::Abs(x)));
    const V w = hn::Div(x, hn::MulAdd(scaled, unscale, One()));
    return hn::IfThenElse(Negative(a), hn::Mul(hn::Mul(w, scaled), unscale), w);
  }

  // With m = |a|, s = 1/(1 + z) and N = z s (1 − m s): N for a < 0, else 1 − N.
  HWY_INLINE V Chained(V g, V a) const {
    const D d;
    const V m = Within(d, hn::Abs(a), 0, 120);
    const V z = ExpNegative(d, hn::Neg(m));
    const V s = hn::Div(One(), hn::Add(One(), z));
    const V zs = hn::Mul(z, s);
    const V rest = hn::NegMulAdd(m, s, One());
    const V slope = hn::IfThenElse(Negative(a), hn::Mul(zs, rest), hn::NegMulAdd(zs, rest, One()));
    return hn::Mul(g, slope);
  }
};

// Calls use(F{...}) for the function of that kind; the identity and what couples a row have
// none.
template <class Use>
HWY_INLINE void WithTransfer(int f, float alpha, const Use& use) {
  switch (f) {
    case LP_TANH:
      return use(TanhF{});
    case LP_LEAKY_RELU:
      return use(LeakyReluF{alpha});
    case LP_SIGMOID:
      return use(SigmoidF{});
    case LP_RELU2:
      return use(Relu2F{});
    case LP_ARCTAN:
      return use(ArctanF{});
    case LP_SOFTPLUS:
      return use(SoftplusF{});
    case LP_SOFTSIGN:
      return use(SoftsignF{});
    case LP_ELU:
      return use(EluF{alpha});
    case LP_HARD_TANH:
      return use(HardTanhF{});
    case LP_EXP:
      return use(ExpF{});
    case LP_GELU:
      return use(GeluF{});
    case LP_SILU:
      return use(SiluF{});
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_TRANSFER_INL_H_
