// The p-norm rule: mirror descent in the geometry of a unit's p-norm. Grove, Littlestone,
// Schuurmans, "General Convergence Results for Linear Discriminant Updates", Machine Learning 2001;
// Gentile & Littlestone, "The Robustness of the p-Norm Algorithms", COLT 1999. In float64, since
// powers magnify rounding; sums in an order that only the row's length decides.
#include <cmath>

#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "pnorm.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math64-inl.h"
#include "simd-inl.h"
#include "softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// x^r for x of 0 or more, to about 1e-13 of itself; 0 where it is below e^-700.
HWY_INLINE V64 Power(V64 x, double r) {
  const D64 d;
  const V64 log = hn::Mul(Log(d, x), Set64(r));
  const V64 power = hn::IfThenZeroElse(hn::Lt(log, Set64(-700)), Exp(d, log).value);
  return hn::IfThenZeroElse(hn::Eq(x, hn::Zero(d)), power);
}

// sgn(x) |x|^(r-1) / norm^(r-2), by the quotient |x| / norm of at most 1. r = 2 leaves x as it is.
HWY_INLINE V64 Link(V64 x, double norm, double r) {
  if (r == 2) return x;
  const V64 power = Power(hn::Div(hn::Abs(x), Set64(norm)), r - 1);
  return hn::IfThenZeroElse(hn::Eq(x, hn::Zero(D64())),
                            hn::CopySign(hn::Mul(Set64(norm), power), x));
}

// A row: its change since w0, or where base is false the weights themselves and w0 anything.
struct Unit {
  const lp_rule& u;
  int64_t cols;
  float* delta;
  const float* w0;
  const float* g;
  bool base;

  HWY_INLINE VH Gradient(const float* pd, const float* pg) const {
    const DH d;
    const VH x = hn::LoadU(d, pg);
    return u.prox != 0 ? hn::MulAdd(hn::Set(d, u.prox), hn::LoadU(d, pd), x) : x;
  }

  HWY_INLINE V64 Weight(const float* pd, const float* pw) const {
    return base ? hn::Add(Load64(pd), Load64(pw)) : Load64(pd);
  }

  // Calls f(count, delta, w0, g) for every vector of the row.
  template <class F>
  HWY_INLINE void Each(const F& f) const {
    RunHalf(cols, f, static_cast<const float*>(delta), w0, g);
  }

  // Whether any gradient isn't 0. Without one the row stays: the way there and back rounds, and
  // where p is large the smallest weights would feel it.
  HWY_INLINE bool Moves() const {
    const DH d;
    bool moves = false;
    Each([&](int64_t, const float* pd, const float*, const float* pg)
             HWY_ATTR { moves = moves || !hn::AllTrue(d, hn::Eq(Gradient(pd, pg), hn::Zero(d))); });
    return moves;
  }

  // |w|_p, by quotients with the largest.
  HWY_INLINE double Norm(double p) const {
    V64 top = hn::Zero(D64());
    Each([&](int64_t count, const float* pd, const float* pw, const float*)
             HWY_ATTR { top = hn::Max(top, KeepFirst(count, hn::Abs(Weight(pd, pw)))); });
    const double largest = hn::GetLane(hn::MaxOfLanes(D64(), top));
    if (!(largest > 0)) return 0;
    V64 sum = hn::Zero(D64());
    Each([&](int64_t count, const float* pd, const float* pw, const float*) HWY_ATTR {
      const V64 x = hn::Div(hn::Abs(Weight(pd, pw)), Set64(largest));
      sum = hn::Add(sum, KeepFirst(count, Power(x, p)));
    });
    return largest * std::pow(SumLanes(sum), 1 / p);
  }

  // L_p(w) - eta g
  HWY_INLINE V64 Theta(double norm, double p, const float* pd, const float* pw,
                       const float* pg) const {
    const V64 x = hn::PromoteTo(D64(), Gradient(pd, pg));
    return hn::NegMulAdd(Set64(u.c[0]), x, Link(Weight(pd, pw), norm, p));
  }

  // Twice the same theta is cheaper than memory for a row of them.
  HWY_INLINE void Step() const {
    if (!Moves()) return;
    const double p = u.c[1];
    const double q = p / (p - 1);
    const double norm = Norm(p);
    V64 sum = hn::Zero(D64());
    Each([&](int64_t count, const float* pd, const float* pw, const float* pg) HWY_ATTR {
      // No overflow: q is at most 2, and theta of float's range.
      sum = hn::Add(sum, KeepFirst(count, Power(hn::Abs(Theta(norm, p, pd, pw, pg)), q)));
    });
    const double dual = std::pow(SumLanes(sum), 1 / q);
    RunHalf(
        cols,
        [&](int64_t, float* pd, const float* pw, const float* pg) HWY_ATTR {
          V64 w = Link(Theta(norm, p, pd, pw, pg), dual, q);
          if (base) w = hn::Sub(w, Load64(pw));
          hn::StoreU(Narrow(w), DH(), pd);
        },
        delta, w0, g);
  }
};

// u by value: a local that no store to the matrices can change.
void PNormT(lp_rule u, int64_t rows, int64_t cols, Out delta, In w0, In g) {
  const bool base = w0.data != nullptr;
  for (int64_t i = 0; i < rows; ++i) {
    float* const d = delta.Row(i);
    Unit{u, cols, d, base ? w0.Row(i) : d, g.Row(i), base}.Step();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(PNormT);

void PNorm(const lp_rule& rule, int64_t rows, int64_t cols, Out delta, In w0, In g) noexcept {
  HWY_DYNAMIC_DISPATCH(PNormT)(rule, rows, cols, delta, w0, g);
}
}  // namespace lp
#endif  // HWY_ONCE
