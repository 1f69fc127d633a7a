// Transposition of matrices, compiled once per Highway target.
#if defined(LP_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LP_TRANSPOSE_INL_H_
#undef LP_TRANSPOSE_INL_H_
#else
#define LP_TRANSPOSE_INL_H_
#endif

#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

// Which matrix of a transposition has rows that lie far apart: it is walked along rows, and asked
// for ahead, by so many elements of a row. More fall out of the nearest cache, as was measured.
enum class Far { kIn, kOut, kNone };
constexpr int64_t kAheadIn = 64;
constexpr int64_t kAheadOut = 16;

// How what is transposed is written: v where to points, an element or a vector of them.
struct Set {
  template <class DS>
  HWY_INLINE void operator()(DS d, hn::Vec<DS> v, float* to) const {
    hn::StoreU(v, d, to);
  }
  HWY_INLINE void operator()(float v, float* to) const { *to = v; }
};

struct Join {
  template <class DS>
  HWY_INLINE void operator()(DS d, hn::Vec<DS> v, float* to) const {
    hn::StoreU(hn::Add(hn::LoadU(d, to), v), d, to);
  }
  HWY_INLINE void operator()(float v, float* to) const { *to += v; }
};

struct Scaled {
  template <class DS>
  HWY_INLINE void operator()(DS d, hn::Vec<DS> v, float* to) const {
    hn::StoreU(hn::Mul(v, hn::Set(d, alpha)), d, to);
  }
  HWY_INLINE void operator()(float v, float* to) const { *to = v * alpha; }
  float alpha;
};

// Scaled, and past the caches, where a vector is a cache line, of kLine bytes, and rows begin with
// one. Other threads see it after hwy::FlushStream.
struct Streamed {
  template <class DS>
  HWY_INLINE void operator()(DS d, hn::Vec<DS> v, float* to) const {
    v = hn::Mul(v, hn::Set(d, alpha));
    if constexpr (hn::MaxLanes(DS()) == hn::MaxLanes(D())) {
      hn::Stream(v, d, to);
    } else {
      hn::StoreU(v, d, to);
    }
  }
  HWY_INLINE void operator()(float v, float* to) const { *to = v * alpha; }
  static constexpr size_t kLine = 64;
  static constexpr bool kPossible = hn::MaxLanes(D()) * sizeof(float) == kLine;
  float alpha;
};

#if HWY_TARGET != HWY_SCALAR
// Transposes squares of kSide x kSide elements, 4, 8 or 16, in as many vectors.
template <int kSide>
struct Square {
  using DS = hn::FixedTag<float, kSide>;
  using VS = hn::Vec<DS>;

  // In each block of four elements of rows 0 to 3: out[l] is element l of each row.
  static HWY_INLINE void Blocks(VS row0, VS row1, VS row2, VS row3, VS* HWY_RESTRICT out) {
    const DS d;
    const hn::RepartitionToWide<DS> pairs;
    const auto lower01 = hn::BitCast(pairs, hn::InterleaveLower(d, row0, row1));
    const auto lower23 = hn::BitCast(pairs, hn::InterleaveLower(d, row2, row3));
    const auto upper01 = hn::BitCast(pairs, hn::InterleaveUpper(d, row0, row1));
    const auto upper23 = hn::BitCast(pairs, hn::InterleaveUpper(d, row2, row3));
    out[0] = hn::BitCast(d, hn::InterleaveLower(pairs, lower01, lower23));
    out[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, lower01, lower23));
    out[2] = hn::BitCast(d, hn::InterleaveLower(pairs, upper01, upper23));
    out[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, upper01, upper23));
  }

  // Calls put(l, column l) for the columns of the square that begins at (i, j) of in.
  template <class Put>
  static HWY_INLINE void Columns(In in, int64_t i, int64_t j, const Put& put) {
    const DS d;
    VS part[kSide / 4][4];  // of four rows each
    HWY_UNROLL(4)
    for (int g = 0; g < kSide / 4; ++g) {
      const auto row = [&](int r) HWY_ATTR { return hn::LoadU(d, in.Row(i + 4 * g + r) + j); };
      Blocks(row(0), row(1), row(2), row(3), part[g]);
    }
    HWY_UNROLL(4)
    for (int l = 0; l < 4; ++l) {
      if constexpr (kSide == 4) {
        put(l, part[0][l]);
      } else if constexpr (kSide == 8) {
        put(l, hn::ConcatLowerLower(d, part[1][l], part[0][l]));
        put(4 + l, hn::ConcatUpperUpper(d, part[1][l], part[0][l]));
      } else {
        const auto even = [&](int g) HWY_ATTR {
          return hn::OddEvenBlocks(hn::SwapAdjacentBlocks(part[g + 1][l]), part[g][l]);
        };
        const auto odd = [&](int g) HWY_ATTR {
          return hn::OddEvenBlocks(part[g + 1][l], hn::SwapAdjacentBlocks(part[g][l]));
        };
        put(l, hn::ConcatLowerLower(d, even(2), even(0)));
        put(4 + l, hn::ConcatLowerLower(d, odd(2), odd(0)));
        put(8 + l, hn::ConcatUpperUpper(d, even(2), even(0)));
        put(12 + l, hn::ConcatUpperUpper(d, odd(2), odd(0)));
      }
    }
  }
};
#endif

// out = in', as W writes it. in: rows x cols.
template <Far kFar, class W>
class Transposition {
 public:
  HWY_INLINE Transposition(int64_t rows, int64_t cols, In in, Out out, W write)
      : rows_(rows), cols_(cols), in_(in), out_(out), write_(write) {}

  HWY_INLINE void Make() const {
    int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    constexpr int kMost = static_cast<int>(hn::MaxLanes(D()));
    if constexpr (kMost > 4) i = Groups<kMost>(i);
    i = Groups<4>(i);
#endif
    for (; i < rows_; ++i) One(i, 1, 0, cols_);
  }

 private:
  // Columns j to end of count rows, one by one.
  HWY_INLINE void One(int64_t i, int count, int64_t j, int64_t end) const {
    for (; j < end; ++j) {
      for (int l = 0; l < count; ++l) write_(in_.Row(i + l)[j], out_.Row(j) + i + l);
    }
  }

#if HWY_TARGET != HWY_SCALAR
  template <int kSide>
  HWY_INLINE void Put(int64_t i, int64_t j) const {
    Square<kSide>::Columns(in_, i, j, [&](int l, auto v) HWY_ATTR {
      write_(hn::FixedTag<float, kSide>(), v, out_.Row(j + l) + i);
    });
  }

  // kSide rows from i on, and as many columns from j on, or what is left of them.
  template <int kSide>
  HWY_INLINE void Part(int64_t i, int64_t j) const {
    const int64_t end = j + kSide < cols_ ? j + kSide : cols_;
    if constexpr (kFar == Far::kIn) {
      for (int l = 0; l < kSide; ++l) hwy::Prefetch(in_.Row(i + l) + j + kAheadIn);
    } else if constexpr (kFar == Far::kOut) {
      for (int64_t q = j; q < end; ++q) hwy::Prefetch(out_.Row(q) + i + kAheadOut);
    }
    if (end - j == kSide) return Put<kSide>(i, j);
    if constexpr (kSide > 4) {
      for (; j + 4 <= end; j += 4) {
        for (int k = 0; k < kSide; k += 4) Put<4>(i + k, j);
      }
    }
    One(i, kSide, j, end);
  }

  // Groups of kSide rows from begin on; returns the first row that is left.
  template <int kSide>
  HWY_INLINE int64_t Groups(int64_t begin) const {
    const int64_t end = begin + (rows_ - begin) / kSide * kSide;
    if constexpr (kFar == Far::kOut) {
      for (int64_t j = 0; j < cols_; j += kSide) {
        for (int64_t i = begin; i < end; i += kSide) Part<kSide>(i, j);
      }
    } else {
      for (int64_t i = begin; i < end; i += kSide) {
        for (int64_t j = 0; j < cols_; j += kSide) Part<kSide>(i, j);
      }
    }
    return end;
  }
#endif

  const int64_t rows_, cols_;
  const In in_;
  const Out out_;
  const W write_;
};

template <Far kFar, class W>
HWY_INLINE void Transpose(int64_t rows, int64_t cols, In in, Out out, W write) {
  Transposition<kFar, W>(rows, cols, in, out, write).Make();
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#endif  // LP_TRANSPOSE_INL_H_
