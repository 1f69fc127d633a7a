// What the files that hand dense matrices to OpenBLAS share.
#ifndef LP_DENSE_H_
#define LP_DENSE_H_

#include "blas.h"
#include "check.h"

namespace lp {

// Checks the sizes of a layer's batch, which an entry point begins with.
inline Check& Sizes(Check& check, int64_t batch, int64_t cols, int64_t units) noexcept {
  return check.Size(1, batch, kBlasMax).Size(2, cols, kBlasMax).Size(3, units, kBlasMax);
}

// Copies the lower triangle of a square matrix to the upper one, in tiles that stay in
// the cache.
template <typename T>
void Mirror(int64_t n, T* a, int64_t stride) noexcept {
  constexpr int64_t kTile = 32;
  for (int64_t i0 = 0; i0 < n; i0 += kTile) {
    const int64_t i1 = i0 + kTile < n ? i0 + kTile : n;
    for (int64_t j0 = 0; j0 <= i0; j0 += kTile) {
      for (int64_t i = i0; i < i1; ++i) {
        const int64_t j1 = j0 + kTile < i ? j0 + kTile : i;
        for (int64_t j = j0; j < j1; ++j) a[j * stride + i] = a[i * stride + j];
      }
    }
  }
}

}  // namespace lp

#endif  // LP_DENSE_H_
