// lp_panels_product, lp_panels_from, lp_panels_to, lp_panels_turn: products on panels.
#include "check.h"
#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "panels.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "simd-inl.h"
#include "transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// A tile of a product is kTall rows by two vectors, or by one, of sums that stay in registers:
// with 32 registers 24 of them, else 12.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int64_t kTall = 12;
#else
constexpr int64_t kTall = 6;
#endif

// Terms of a sum that are added up before they join those before: so many of kTall rows stay in
// the nearest caches for all panels, and rounding is less.
constexpr int64_t kTerms = 512;

// How far ahead, in terms, what lies in the shared cache is asked for.
constexpr int64_t kTermsAhead = 16;

// How far ahead, in rows, a matrix is asked for on its way into panels.
constexpr int64_t kRowsAheadIn = 16;

HWY_INLINE int64_t VectorLanes() { return static_cast<int64_t>(hn::Lanes(D())); }

constexpr int64_t Up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// The rows of A that a tile multiplies, term by term: At(i) is row i of the present one. They are
// rows of a matrix; three of them share a pointer, which leaves registers for others.
struct Rows {
  HWY_INLINE Rows(const float* row, int64_t apart) : stride(apart) {
    for (int g = 0; g < kTall / 3; ++g) a[g] = row + 3 * g * apart;
  }
  HWY_INLINE float At(int i) const { return a[i / 3][i % 3 * stride]; }
  HWY_INLINE void Ahead() const {}  // the processor follows rows by itself
  HWY_INLINE void Next() {
    for (int g = 0; g < kTall / 3; ++g) ++a[g];
  }
  const float* a[kTall / 3];
  const int64_t stride;
};

// Columns of a matrix, whose terms may lie on two cache lines.
struct Columns {
  const float* a;
  const int64_t stride;
  HWY_INLINE float At(int i) const { return a[i]; }
  HWY_INLINE void Ahead() const {
    hwy::Prefetch(a + kTermsAhead * stride);
    hwy::Prefetch(a + kTermsAhead * stride + kTall - 1);
  }
  HWY_INLINE void Next() { a += stride; }
};

// A copy of terms x kTall.
struct CopiedRows {
  const float* a;
  HWY_INLINE float At(int i) const { return a[i]; }
  HWY_INLINE void Ahead() const {}
  HWY_INLINE void Next() { a += kTall; }
};

// C = A B, or C + A B where add: c: kRows x kVectors vectors, b: terms x kVectors vectors, none
// with gaps. Sums so far lie in a farther cache, where nothing guesses which tile comes next: they
// are asked for before the terms.
template <int kVectors, int kRows, class A>
HWY_INLINE void Tile(int64_t terms, A a, const float* HWY_RESTRICT b, bool add,
                     float* HWY_RESTRICT c) {
  const int64_t lanes = VectorLanes();
  if (add) Fetch(c, kRows * kVectors * lanes);
  V sums[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::Zero(D());
  }
  for (int64_t k = 0; k < terms; ++k) {
    a.Ahead();
    V row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = Load(b + v * lanes);
    HWY_UNROLL(12)
    for (int i = 0; i < kRows; ++i) {
      const V factor = Const(a.At(i));
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::MulAdd(factor, row[v], sums[i][v]);
    }
    a.Next();
    b += kVectors * lanes;
  }
  HWY_UNROLL(12)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      Store(add ? hn::Add(Load(c), sums[i][v]) : sums[i][v], c);
      c += lanes;
    }
  }
}

// As many rows as there are, by thirds of kTall.
template <int kVectors, class A>
HWY_INLINE void RowsTile(int64_t rows, int64_t terms, const A& a, const float* b, bool add,
                         float* c) {
  constexpr int kThird = kTall / 3;
  if (rows > 2 * kThird) return Tile<kVectors, kTall>(terms, a, b, add, c);
  if (rows > kThird) return Tile<kVectors, 2 * kThird>(terms, a, b, add, c);
  Tile<kVectors, kThird>(terms, a, b, add, c);
}

// Calls f(first unit, units, vectors) for each panel of a matrix.
template <class F>
HWY_INLINE void EachPanel(int64_t units, const F& f) {
  const int64_t lanes = VectorLanes();
  for (int64_t u = 0; u < units; u += 2 * lanes) {
    const int64_t count = units - u < 2 * lanes ? units - u : 2 * lanes;
    f(u, count, count > lanes ? 2 : 1);
  }
}

HWY_INLINE void Clear(float* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = 0;
}

// Copies rows of M, or columns where kTrans, term by term, and zeros behind: fewer than a tile
// reads, which mustn't read what lies beside them. to has room for a vector more.
template <bool kTrans>
HWY_INLINE void CopyRows(int64_t rows, int64_t terms, In m, float* to) {
#if !LP_COPIES_RESTS
  if constexpr (kTrans && hn::MaxLanes(D()) >= kTall) {
    const D d;
    const Mask valid = hn::FirstN(d, static_cast<size_t>(rows));
    for (int64_t k = 0; k < terms; ++k) {
      Store(hn::MaskedLoad(valid, d, m.Row(k)), to + k * kTall);  // on what comes next, too
    }
    return;
  }
#endif
  Clear(to, terms * kTall);
  if constexpr (kTrans) {
    const auto copy = [](const float* from, float* into) HWY_ATTR { Store(Load(from), into); };
    for (int64_t k = 0; k < terms; ++k) Run(rows, copy, m.Row(k), to + k * kTall);
  } else {
    Transpose<Far::kIn>(rows, terms, m, {to, kTall}, Set());
  }
}

// C = M B, or M' B where kTrans, 0 where there are no terms: in panels, c: rows x units, b: terms x
// units.
template <bool kTrans>
HWY_INLINE void Multiply(int64_t rows, int64_t terms, int64_t units, In m, const float* b,
                         float* c) {
  const int64_t c_rows = Up(rows, kTall);
  const int64_t b_rows = Up(terms, kTall);
  if (terms == 0) return Clear(c, c_rows * Up(units, VectorLanes()));
  alignas(64) float last[kTall * kTerms + kMaxLanes];
  for (int64_t k = 0; k < terms; k += kTerms) {
    const int64_t now = terms - k < kTerms ? terms - k : kTerms;
    for (int64_t i = 0; i < c_rows; i += kTall) {
      const auto tiles = [&](const auto& group) HWY_ATTR {
        EachPanel(units, [&](int64_t u, int64_t, int vectors) HWY_ATTR {
          const int64_t width = vectors * VectorLanes();
          const float* const pb = b + u * b_rows + k * width;
          float* const pc = c + u * c_rows + i * width;
          vectors == 2 ? RowsTile<2>(rows - i, now, group, pb, k > 0, pc)
                       : RowsTile<1>(rows - i, now, group, pb, k > 0, pc);
        });
      };
      const In group{kTrans ? m.Row(k) + i : m.Row(i) + k, m.stride};
      if (rows - i < kTall && rows % (kTall / 3) != 0) {
        CopyRows<kTrans>(rows - i, now, group, last);
        tiles(CopiedRows{last});
      } else if constexpr (kTrans) {
        tiles(Columns{group.data, group.stride});
      } else {
        tiles(Rows(group.data, group.stride));
      }
    }
  }
}

HWY_NOINLINE void MultiplyT(int64_t rows, int64_t terms, int64_t units, In m, const float* b,
                            float* c) {
  Multiply<false>(rows, terms, units, m, b, c);
}
HWY_NOINLINE void MultiplyTransposedT(int64_t rows, int64_t terms, int64_t units, In m,
                                      const float* b, float* c) {
  Multiply<true>(rows, terms, units, m, b, c);
}

int64_t PanelUnitsT() { return 2 * VectorLanes(); }

int64_t PanelsLenT(int64_t rows, int64_t units) {
  return Up(rows, kTall) * Up(units, VectorLanes());
}

void FromT(bool trans, int64_t rows, int64_t units, float alpha, In m, float* panels) {
  const int64_t padded = Up(rows, kTall);
  EachPanel(units, [&](int64_t u, int64_t count, int vectors) HWY_ATTR {
    const int64_t width = vectors * VectorLanes();
    float* const panel = panels + u * padded;
    const Out out{panel, width};
    if (count < width) {
      Clear(panel, padded * width);
    } else {
      Clear(out.Row(rows), (padded - rows) * width);
    }
    if (trans) {
      return Transpose<Far::kIn>(count, rows, {m.Row(u), m.stride}, out, Scaled{alpha});
    }
    const auto scale = [&](const float* from, float* to)
                           HWY_ATTR { Store(hn::Mul(Load(from), Const(alpha)), to); };
    for (int64_t i = 0; i < rows; ++i) {
      if (i + kRowsAheadIn < rows) Fetch(m.Row(i + kRowsAheadIn) + u, count);
      Run(count, scale, m.Row(i) + u, out.Row(i));
    }
  });
}

void ToT(bool trans, int64_t rows, int64_t units, const float* panels, bool add, Out m) {
  const int64_t padded = Up(rows, kTall);
  EachPanel(units, [&](int64_t u, int64_t count, int vectors) HWY_ATTR {
    const In panel{panels + u * padded, vectors * VectorLanes()};
    if (trans) {
      const Out out{m.Row(u), m.stride};
      return add ? Transpose<Far::kOut>(rows, count, panel, out, Join())
                 : Transpose<Far::kOut>(rows, count, panel, out, Set());
    }
    const auto put = [](const float* from, float* to) HWY_ATTR { Store(Load(from), to); };
    const auto join = [](const float* from, float* to)
                          HWY_ATTR { Store(hn::Add(Load(to), Load(from)), to); };
    for (int64_t i = 0; i < rows; ++i) {
      float* const to = m.Row(i) + u;
      add ? Run(count, join, panel.Row(i), to) : Run(count, put, panel.Row(i), to);
    }
  });
}

// Rows first to first + count of panels, as write writes them.
template <class W>
HWY_INLINE void Turn(int64_t rows, int64_t first, int64_t count, int64_t units, const float* from,
                     float* to, W write) {
  EachPanel(units, [&](int64_t u, int64_t across, int vectors) HWY_ATTR {
    const int64_t width = vectors * VectorLanes();
    float* const panel = to + u * Up(rows, kTall) + first * width;
    EachPanel(count, [&](int64_t i, int64_t down, int from_vectors) HWY_ATTR {
      const int64_t from_width = from_vectors * VectorLanes();
      const In in{from + i * Up(units, kTall) + u * from_width, from_width};
      Transpose<Far::kNone>(across, down, in, {panel + i * width, width}, write);
    });
  });
}

// Panels that take so many elements are read when the caches hold others.
constexpr int64_t kStreamed = 1 << 18;

void TurnT(int64_t rows, int64_t first, int64_t count, int64_t units, float alpha,
           const float* from, float* to) {
  if constexpr (Streamed::kPossible) {
    if (rows * units >= kStreamed && reinterpret_cast<uintptr_t>(to) % Streamed::kLine == 0) {
      Turn(rows, first, count, units, from, to, Streamed{alpha});
      return hwy::FlushStream();
    }
  }
  Turn(rows, first, count, units, from, to, Scaled{alpha});
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
namespace {
HWY_EXPORT(MultiplyT);
HWY_EXPORT(MultiplyTransposedT);
HWY_EXPORT(PanelUnitsT);
HWY_EXPORT(PanelsLenT);
HWY_EXPORT(FromT);
HWY_EXPORT(ToT);
HWY_EXPORT(TurnT);

int64_t PanelUnits() noexcept { return HWY_DYNAMIC_DISPATCH(PanelUnitsT)(); }
int64_t PanelsLen(int64_t rows, int64_t units) noexcept {
  return HWY_DYNAMIC_DISPATCH(PanelsLenT)(rows, units);
}
void Multiply(bool trans, int64_t rows, int64_t terms, int64_t units, In m, const float* b,
              float* c) noexcept {
  trans ? HWY_DYNAMIC_DISPATCH(MultiplyTransposedT)(rows, terms, units, m, b, c)
        : HWY_DYNAMIC_DISPATCH(MultiplyT)(rows, terms, units, m, b, c);
}
void From(bool trans, int64_t rows, int64_t units, float alpha, In m, float* panels) noexcept {
  HWY_DYNAMIC_DISPATCH(FromT)(trans, rows, units, alpha, m, panels);
}
void To(bool trans, int64_t rows, int64_t units, const float* panels, bool add, Out m) noexcept {
  HWY_DYNAMIC_DISPATCH(ToT)(trans, rows, units, panels, add, m);
}

void Turn(int64_t rows, int64_t first, int64_t count, int64_t units, float alpha, const float* from,
          float* to) noexcept {
  HWY_DYNAMIC_DISPATCH(TurnT)(rows, first, count, units, alpha, from, to);
}

// Sizes whose products stay below INT64_MAX with all padding.
constexpr int64_t kMost = INT64_C(1) << 30;

Check& Sizes(Check& check, int arg, int64_t a, int64_t b) noexcept {
  return check.Size(arg, a, kMost).Size(arg + 1, b, kMost);
}
}  // namespace
}  // namespace lp

int64_t lp_panel_units(void) noexcept { return lp::PanelUnits(); }

int64_t lp_panels_len(int64_t rows, int64_t units) noexcept {
  lp::Check check(nullptr);
  if (lp::Sizes(check, 1, rows, units).failed()) return INT64_MAX;
  return lp::PanelsLen(rows, units);
}

lp_status lp_panels_product(int32_t trans, int64_t rows, int64_t terms, int64_t units,
                            const float* m, int64_t ldm, const float* b, float* c,
                            lp_error* err) noexcept {
  const bool t = trans != 0;
  lp::Check check(err);
  lp::Sizes(check, 2, rows, terms).Size(4, units, lp::kMost);
  check.Matrix(5, m, t ? terms : rows, t ? rows : terms, ldm, lp::kMost);
  if (rows > 0 && units > 0) {
    check.NotNull(8, c);
    if (terms > 0) check.NotNull(7, b);
  }
  if (check.failed() || rows == 0 || units == 0) return check.status();
  lp::FpMode mode;
  lp::Multiply(t, rows, terms, units, {m, ldm}, b, c);
  return LP_OK;
}

lp_status lp_panels_from(int32_t trans, int64_t rows, int64_t units, float alpha, const float* m,
                         int64_t ldm, float* panels, lp_error* err) noexcept {
  const bool t = trans != 0;
  lp::Check check(err);
  lp::Sizes(check, 2, rows, units).Matrix(5, m, t ? units : rows, t ? rows : units, ldm);
  if (rows > 0 && units > 0) check.NotNull(7, panels);
  if (check.failed() || rows == 0 || units == 0) return check.status();
  lp::FpMode mode;
  lp::From(t, rows, units, alpha, {m, ldm}, panels);
  return LP_OK;
}

lp_status lp_panels_to(int32_t trans, int64_t rows, int64_t units, const float* panels, int32_t add,
                       float* m, int64_t ldm, lp_error* err) noexcept {
  const bool t = trans != 0;
  lp::Check check(err);
  lp::Sizes(check, 2, rows, units).Matrix(6, m, t ? units : rows, t ? rows : units, ldm);
  if (rows > 0 && units > 0) check.NotNull(4, panels);
  if (check.failed() || rows == 0 || units == 0) return check.status();
  lp::FpMode mode;
  lp::To(t, rows, units, panels, add != 0, {m, ldm});
  return LP_OK;
}

lp_status lp_panels_turn(int64_t rows, int64_t first, int64_t count, int64_t units, float alpha,
                         const float* from, float* to, lp_error* err) noexcept {
  lp::Check check(err);
  lp::Sizes(check, 1, rows, first).Size(3, count, lp::kMost).Size(4, units, lp::kMost);
  check.Require(count <= rows, LP_SIZE, 3, count, rows);
  check.Require(first <= rows - count, LP_SIZE, 2, first, rows - count);
  if (count > 0 && units > 0) check.NotNull(6, from).NotNull(7, to);
  if (check.failed() || count == 0 || units == 0) return check.status();
  lp::FpMode mode;
  lp::Turn(rows, first, count, units, alpha, from, to);
  return LP_OK;
}
#endif  // HWY_ONCE
