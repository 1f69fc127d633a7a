// The kernels behind the entry points: arguments already checked, floating-point mode
// already set. lp_solve_direct calls these very functions, so its bits are those of the
// entry points one by one.
#ifndef LP_KERNELS_H_
#define LP_KERNELS_H_

#include "locoprop.h"

namespace lp {

// In and Out are row-major matrices that a kernel reads, or also writes.
struct In {
  const float* data;
  int64_t stride;
  const float* Row(int64_t i) const { return data + i * stride; }
};

struct Out {
  float* data;
  int64_t stride;
  float* Row(int64_t i) const { return data + i * stride; }
  // NOLINTNEXTLINE(google-explicit-constructor): what is written can be read.
  operator In() const { return {data, stride}; }
};

// What lp_sm3 is given.
struct Sm3 {
  int64_t rows, cols;
  Out w;
  In g;
  Out m;  // m.data may be NULL
  float* r;
  const float* c;
  float* top;
  float* b;
  float rate, mu, share;
};

// products
void Gemm(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, float alpha, In a, In b,
          float beta, Out c) noexcept;
void Affine(int64_t batch, int64_t cols, int64_t units, Out a, In x, In w) noexcept;
void Grad(int64_t batch, int64_t cols, int64_t units, Out g, In r, In x) noexcept;

// element by element
void Apply(int64_t rows, int64_t cols, Out y, In a, int f, float alpha) noexcept;
void Chain(int64_t rows, int64_t cols, Out d, In a, In y, int f, float alpha) noexcept;
void TemperedSoftmax(int64_t rows, int64_t cols, Out y, In a, float t) noexcept;
void TemperedJacobian(int64_t rows, int64_t cols, Out d, In y, float t) noexcept;
double BiTempered(int64_t rows, int64_t cols, Out d, In a, In target, float t1, float t2,
                  float scale) noexcept;  // d.data may be NULL
void Residual(int64_t rows, int64_t cols, Out r, In da, In ahat, In yhat, In e, int f,
              float alpha) noexcept;
void Scale(int64_t rows, int64_t cols, Out e, In d, float gamma) noexcept;
void Update(const lp_rule& rule, int64_t rows, int64_t cols, Out delta, In w0, In g, Out s0, Out s1,
            Out s2) noexcept;
void PNorm(const lp_rule& rule, int64_t rows, int64_t cols, Out delta, In w0, In g) noexcept;
void AddInto(int64_t rows, int64_t cols, Out w, In delta) noexcept;
void StepSm3(const Sm3& u) noexcept;
void SquareSums(int64_t rows, int64_t cols, In g, double* row_sums, double* col_sums) noexcept;
double ScaledSquares(int64_t rows, int64_t cols, In g, const float* a, const float* b) noexcept;
void ScaledStep(int64_t rows, int64_t cols, Out w, In g, const float* a, const float* b) noexcept;

constexpr int kLastTransfer = LP_TEMPERED_SOFTMAX;
constexpr int kLastLoss = LP_BI_TEMPERED;

// Whether an element of f(A) depends on its whole row.
constexpr bool CouplesRows(int f) { return f == LP_SOFTMAX || f == LP_TEMPERED_SOFTMAX; }

// The slots of a rule, −1 for an unknown kind.
constexpr int kLastRule = LP_PNORM;

constexpr int Slots(int kind) {
  constexpr int count[kLastRule + 1] = {0, 1, 1, 1, 2, 2, 2, 2, 2, 1, 3, 2, 3, 0, 2, 0};
  return kind < 0 || kind > kLastRule ? -1 : count[kind];
}

// Highway's target that this CPU gets.
const char* SimdTarget() noexcept;

}  // namespace lp

#endif  // LP_KERNELS_H_
