// Tempered softmax, its Jacobian and the bi-tempered loss: Amid, Warmuth, Anil, Koren, "Robust
// Bi-Tempered Logistic Loss Based on Bregman Divergences", NeurIPS 2019. All in float64, since
// an error of log y is a relative error of y; sums in an order that only the row's length
// decides.
#include <cmath>

#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tempered.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "math64-inl.h"
#include "simd-inl.h"
#include "softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// y = exp_t(−gap) for one vector: with r = 1 + (t − 1) gap,
//
//     log y = −log(r)/(t − 1)     y^(t−1) = 1/r
//
// At t = 1 it is y = e^−gap. The rounding of r is an error of log y, 2⁻³⁰ for the t next to 1.
struct Tempered {
  V64 log, y;
  V64 power;  // y^(t−1)

  HWY_INLINE Tempered(double t, V64 gap) {
    const D64 d;
    if (t == 1) {
      log = hn::Neg(gap);
      power = Set64(1);
    } else {
      const V64 r = hn::MulAdd(Set64(t - 1), gap, Set64(1));
      log = hn::Mul(Log(d, r), Set64(-1 / (t - 1)));
      power = hn::Div(Set64(1), r);
    }
    y = Exp(d, log).value;
  }
};

// A row of pre-activations with its normaliser ν = top + shift, for which Σ exp_t(a − ν) = 1.
class Row {
 public:
  // Newton's method on G(ν) = S^(1−t), S = Σ exp_t(a − ν) (on log S for t = 1), which rises and
  // is concave, as a norm of the r with exponent −1/(t − 1): from ν = max a, where S ≥ 1, it
  // comes up to G = 1 from the left. Where all classes are equal, or one outweighs all others,
  // G is a straight line and one step does; else 2 to 7. A step below 2⁻²⁴ of what the terms
  // change over leaves less than 1e-10 of it.
  HWY_INLINE Row(int64_t cols, const float* a, double t) : t_(t), top_(RowMax(cols, a)) {
    for (int i = 0; i < 100; ++i) {
      V64 sums = Set64(0), escorts = sums;
      RunHalf(
          cols,
          [&](int64_t count, const float* p) HWY_ATTR {
            const Tempered v = At(p);
            sums = hn::Add(sums, KeepFirst(count, v.y));
            escorts = hn::Add(escorts, KeepFirst(count, hn::Mul(v.y, v.power)));
          },
          a);
      const double sum = SumLanes(sums), escort = SumLanes(escorts), log = std::log(sum);
      const double step = t == 1 ? log : sum * std::expm1((t - 1) * log) / ((t - 1) * escort);
      shift_ += step;
      if (!(step > 0x1p-24 * (1 + (t - 1) * shift_))) break;  // NaN too, which stays
    }
  }

  // The outputs for a vector of the row.
  HWY_INLINE Tempered At(const float* a) const {
    return Tempered(t_, hn::Add(hn::Sub(Set64(top_), Load64(a)), Set64(shift_)));
  }

 private:
  const double t_, top_;
  double shift_ = 0;
};

void TemperedSoftmaxT(int64_t rows, int64_t cols, Out y, In a, float t) {
  for (int64_t i = 0; i < rows; ++i) {
    const Row row(cols, a.Row(i), static_cast<double>(t));
    RunHalf(
        cols,
        [&](int64_t, const float* in, float* out)
            HWY_ATTR { hn::StoreU(Narrow(row.At(in).y), DH(), out); },
        a.Row(i), y.Row(i));
  }
}

// d = (diag(w) − w wᵀ/Σw) d with w = y^t.
void TemperedJacobianT(int64_t rows, int64_t cols, Out d, In y, float t) {
  const auto weight = [=](const float* py) HWY_ATTR {
    const D64 d64;
    return Exp(d64, hn::Mul(Log(d64, Load64(py)), Set64(static_cast<double>(t)))).value;
  };
  for (int64_t i = 0; i < rows; ++i) {
    V64 sums = Set64(0), dots = sums;
    RunHalf(
        cols,
        [&](int64_t count, const float* py, const float* pd) HWY_ATTR {
          const V64 w = KeepFirst(count, weight(py));
          sums = hn::Add(sums, w);
          dots = hn::MulAdd(w, KeepFirst(count, Load64(pd)), dots);
        },
        y.Row(i), static_cast<const float*>(d.Row(i)));
    const double mean = SumLanes(dots) / SumLanes(sums);
    RunHalf(
        cols,
        [&](int64_t, const float* py, float* pd) HWY_ATTR {
          const V64 v = hn::Mul(weight(py), hn::Sub(Load64(pd), Set64(mean)));
          hn::StoreU(Narrow(v), DH(), pd);
        },
        y.Row(i), d.Row(i));
  }
}

// x^(1−t1) and log_t1 x, from log x.
struct Power {
  V64 value, log;

  HWY_INLINE Power(double t1, V64 log_x) {
    if (t1 == 1) {
      value = Set64(1);
      log = log_x;
    } else {
      const auto e = Exp(D64(), hn::Mul(log_x, Set64(1 - t1)));
      value = e.value;
      log = hn::Mul(e.minus_one, Set64(1 / (1 - t1)));
    }
  }
};

// The parts of the loss and of its derivative for a vector of outputs y and targets p:
//
//     δ = (y − p) y^(t2−t1)     escort = y^t2
struct LossTerms {
  V64 loss, delta, escort;

  HWY_INLINE LossTerms(double t1, const Tempered& y, V64 p) {
    const Power of_y(t1, y.log);
    const Power of_p(t1, Log(D64(), p));
    const V64 gain = hn::Mul(p, hn::Sub(of_p.log, of_y.log));
    const V64 rest = hn::Sub(hn::Mul(p, of_p.value), hn::Mul(y.y, of_y.value));
    const auto none = hn::Eq(p, Set64(0));  // 0 log 0 is 0
    loss = hn::NegMulAdd(rest, Set64(1 / (2 - t1)), hn::IfThenElse(none, Set64(0), gain));
    delta = hn::Mul(hn::Mul(hn::Sub(y.y, p), y.power), of_y.value);
    escort = hn::Mul(y.y, y.power);
  }
};

double BiTemperedT(int64_t rows, int64_t cols, Out d, In a, In target, float t1, float t2,
                   float scale) {
  const double temperature = static_cast<double>(t1);
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const Row row(cols, a.Row(i), static_cast<double>(t2));
    const auto at = [&](const float* pa, const float* pt)
                        HWY_ATTR { return LossTerms(temperature, row.At(pa), Load64(pt)); };
    V64 losses = Set64(0), deltas = losses, escorts = losses;
    RunHalf(
        cols,
        [&](int64_t count, const float* pa, const float* pt) HWY_ATTR {
          const LossTerms v = at(pa, pt);
          losses = hn::Add(losses, KeepFirst(count, v.loss));
          deltas = hn::Add(deltas, KeepFirst(count, v.delta));
          escorts = hn::Add(escorts, KeepFirst(count, v.escort));
        },
        a.Row(i), target.Row(i));
    total += SumLanes(losses);
    if (d.data == nullptr) continue;
    const double mean = SumLanes(deltas) / SumLanes(escorts);
    RunHalf(
        cols,
        [&](int64_t, const float* pa, const float* pt, float* pd) HWY_ATTR {
          const LossTerms v = at(pa, pt);
          const V64 g = hn::NegMulAdd(v.escort, Set64(mean), v.delta);
          hn::StoreU(Narrow(hn::Mul(g, Set64(static_cast<double>(scale)))), DH(), pd);
        },
        a.Row(i), target.Row(i), d.Row(i));
  }
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(TemperedSoftmaxT);
HWY_EXPORT(TemperedJacobianT);
HWY_EXPORT(BiTemperedT);

void TemperedSoftmax(int64_t rows, int64_t cols, Out y, In a, float t) noexcept {
  HWY_DYNAMIC_DISPATCH(TemperedSoftmaxT)(rows, cols, y, a, t);
}
void TemperedJacobian(int64_t rows, int64_t cols, Out d, In y, float t) noexcept {
  HWY_DYNAMIC_DISPATCH(TemperedJacobianT)(rows, cols, d, y, t);
}
double BiTempered(int64_t rows, int64_t cols, Out d, In a, In target, float t1, float t2,
                  float scale) noexcept {
  return HWY_DYNAMIC_DISPATCH(BiTemperedT)(rows, cols, d, a, target, t1, t2, scale);
}
}  // namespace lp
#endif  // HWY_ONCE
