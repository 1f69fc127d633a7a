// Which of its kernels OpenBLAS uses.
//
// OpenBLAS picks kernels by the number of the CPU's model as it is loaded. A release older than the
// model takes the ones that every CPU has, whatever this one can: up to 0.3.24 that is Prescott,
// with vectors of four, for Intel's Emerald Rapids, Raptor Lake and others (OpenBLAS issue 4267).
// Debian 12 has 0.3.21. Here the features of the CPU decide in that case.
#include "core.h"

#include <cstdlib>
#include <cstring>

#include "blas.h"

#if defined(__x86_64__) && defined(__ELF__)
// OpenBLAS's own way to choose, where it was built with kernels for several CPUs, and to end its
// threads, where it has any; otherwise absent.
extern "C" {
__attribute__((weak)) void gotoblas_dynamic_init(void);
__attribute__((weak)) void gotoblas_dynamic_quit(void);
__attribute__((weak)) int blas_thread_shutdown_(void);
}
#endif

namespace lp {

const char* BlasCore() noexcept { return openblas_get_corename(); }

#if defined(__x86_64__) && defined(__ELF__)

namespace {

constexpr char kVariable[] = "OPENBLAS_CORETYPE";

bool BlasCoreIs(const char* name) noexcept { return std::strcmp(BlasCore(), name) == 0; }

// A thread of OpenBLAS's that is still on its way to its first task would choose at the same time:
// they end first, and start again when they are needed, as after a fork.
void Choose() noexcept {
  if (blas_thread_shutdown_ != nullptr) blas_thread_shutdown_();
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
}

}  // namespace

bool UseBlasCore(const char* name) noexcept {
  if (gotoblas_dynamic_init == nullptr || gotoblas_dynamic_quit == nullptr) return false;
  if (setenv(kVariable, name, 1) != 0) return false;
  Choose();
  unsetenv(kVariable);
  return BlasCoreIs(name);
}

// The constructor runs as the library or program that this is in is loaded: lp_get_info's use of
// BlasCore sees to it that a static library's part with this is linked.
__attribute__((constructor)) void ModernBlasCore() noexcept {
  if (gotoblas_dynamic_init == nullptr || gotoblas_dynamic_quit == nullptr) return;
  if (std::getenv(kVariable) != nullptr) return;
  gotoblas_dynamic_init();  // linked statically, OpenBLAS may be loaded after this; else it returns
  // What OpenBLAS falls back to on unknown models of Intel's and others', and of AMD's.
  if (!BlasCoreIs("Prescott") && !BlasCoreIs("Barcelona")) return;
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512bf16") && UseBlasCore("Cooperlake")) return;
  if (avx512 && UseBlasCore("SkylakeX")) return;
  if (UseBlasCore("Haswell")) return;
  Choose();  // built for none of them: its own choice again
}

#else

bool UseBlasCore(const char*) noexcept { return false; }

void ModernBlasCore() noexcept {}

#endif

}  // namespace lp
