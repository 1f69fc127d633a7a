// OpenBLAS: its header, checked, and the LAPACK functions of its library.
#ifndef LP_BLAS_H_
#define LP_BLAS_H_

#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>  // Debian: OpenBLAS's own, whichever BLAS is the default
#elif __has_include(<openblas/cblas.h>)
#include <openblas/cblas.h>  // Fedora, Arch
#elif __has_include(<cblas.h>)
#include <cblas.h>
#else
#error "OpenBLAS's header isn't there: install libopenblas-dev, or build with -tags purego"
#endif

#ifndef OPENBLAS_VERSION
#error "the cblas.h found isn't OpenBLAS's: install libopenblas-dev, or build with -tags purego"
#endif

#include <cstddef>
#include <cstdint>

// LAPACK as Fortran sees it: everything by address, then the lengths of the strings.
// Debian's OpenBLAS has no LAPACKE and no header for these.
extern "C" {
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info,
             std::size_t uplo_len);
void dpotri_(const char* uplo, const int* n, double* a, const int* lda, int* info,
             std::size_t uplo_len);
void dsyevd_(const char* jobz, const char* uplo, const int* n, double* a, const int* lda, double* w,
             double* work, const int* lwork, int* iwork, const int* liwork, int* info,
             std::size_t jobz_len, std::size_t uplo_len);
}

namespace lp {

// The largest size or stride that OpenBLAS's 32-bit arguments take.
constexpr int64_t kBlasMax = INT32_MAX;

static_assert(sizeof(blasint) == sizeof(int), "OpenBLAS with 64-bit integers isn't supported");

}  // namespace lp

#endif  // LP_BLAS_H_
