// Vectors and loops over matrices, compiled once per Highway target.
//
// Every element goes through the same vector operations, those of a row's rest too (in a
// padded copy), so its bits depend neither on its position nor on the row's length.
// Products that feed a sum are written as MulAdd: a compiler that fuses multiplications
// and additions on its own then finds none to fuse.
#if defined(LP_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LP_SIMD_INL_H_
#undef LP_SIMD_INL_H_
#else
#define LP_SIMD_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kMaxLanes = 16;
using D = hn::CappedTag<float, kMaxLanes>;
using V = hn::Vec<D>;
using Mask = hn::Mask<D>;

// Float vectors of half the width, and the double vectors that they widen to.
using D64 = hn::CappedTag<double, kMaxLanes / 2>;
using DH = hn::Rebind<float, D64>;
using V64 = hn::Vec<D64>;
using VH = hn::Vec<DH>;

// v as floats. Highway's fallback without vectors would make infinities the largest float.
HWY_INLINE VH Narrow(V64 v) {
#if HWY_TARGET == HWY_SCALAR
  return VH(static_cast<float>(v.raw));
#else
  return hn::DemoteTo(DH(), v);
#endif
}

HWY_INLINE V Load(const float* p) { return hn::LoadU(D(), p); }
HWY_INLINE void Store(V v, float* p) { hn::StoreU(v, D(), p); }
HWY_INLINE V Const(float v) { return hn::Set(D(), v); }

#undef LP_COPIES_RESTS
#define LP_COPIES_RESTS (HWY_MEM_OPS_MIGHT_FAULT && HWY_TARGET != HWY_AVX2)

// Padded holds the rest of a row, fewer than a vector's elements, followed by zeros. What was
// made from a pointer to non-const goes back when it ends. With AVX2 and AVX-512 a part of a
// vector is read and written as such: copied one by one, a rest took as long as a dozen vectors.
template <class T>
class Padded {
 public:
  HWY_INLINE Padded(T* from, int64_t count) : from_(from), count_(count) {
#if LP_COPIES_RESTS
    for (int64_t i = 0; i < kMaxLanes; ++i) lanes_[i] = 0;
    for (int64_t i = 0; i < count; ++i) lanes_[i] = from[i];
#else
    Store(hn::MaskedLoad(Valid(), D(), from), lanes_);
#endif
  }
  HWY_INLINE ~Padded() {
    if constexpr (!std::is_const_v<T>) {
#if LP_COPIES_RESTS
      for (int64_t i = 0; i < count_; ++i) from_[i] = lanes_[i];
#else
      hn::BlendedStore(Load(lanes_), Valid(), D(), from_);
#endif
    }
  }
  Padded(const Padded&) = delete;
  Padded& operator=(const Padded&) = delete;
  HWY_INLINE float* lanes() { return lanes_; }

 private:
  HWY_INLINE Mask Valid() const { return hn::FirstN(D(), static_cast<size_t>(count_)); }

  alignas(64) float lanes_[kMaxLanes];
  T* const from_;
  const int64_t count_;
};

// Calls f(p + i ...) for every full vector of count elements and once on padded copies of
// the rest.
template <class F, class... P>
HWY_INLINE void Run(int64_t count, const F& f, P*... p) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) f((p + i)...);
  if (i < count) f(Padded<P>(p + i, count - i).lanes()...);
}

// Rows of a view are far apart, where the processor doesn't guess what comes next: it is
// told this many rows ahead, which is worth 1 to 2 % of a local problem. Along rows longer than
// a page it does guess.
constexpr int64_t kRowsAhead = 8;
constexpr int64_t kLongRow = 1024;

HWY_INLINE void Fetch(const float* row, int64_t count) {
  for (int64_t j = 0; j < count; j += 16) hwy::Prefetch(row + j);
}

// Run over the rows of matrices; over all at once where none has gaps between rows.
template <class F, class... M>
HWY_INLINE void Map(int64_t rows, int64_t cols, const F& f, M... m) {
  if (rows == 0 || cols == 0) return;
  if (((m.stride == cols) && ...)) {
    cols *= rows;
    rows = 1;
  }
  for (int64_t i = 0; i < rows; ++i) {
    if (i + kRowsAhead < rows && cols <= kLongRow) (Fetch(m.Row(i + kRowsAhead), cols), ...);
    Run(cols, f, m.Row(i)...);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_SIMD_INL_H_
