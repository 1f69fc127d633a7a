// lp_abi, lp_status_text, lp_get_info, lp_get_threads, lp_set_threads.
#include <cstdlib>
#include <cstring>

#include "blas.h"
#include "core.h"
#include "kernels.h"
#include "locoprop.h"

namespace lp {
namespace {

#if defined(__clang__)
constexpr char kCompiler[] = "clang " __clang_version__;
#elif defined(__GNUC__)
constexpr char kCompiler[] = "g++ " __VERSION__;
#else
constexpr char kCompiler[] = "unknown";
#endif

template <std::size_t kSize>
void Copy(char (&to)[kSize], const char* from) noexcept {
  std::size_t i = 0;
  for (; i + 1 < kSize && from[i] != '\0'; ++i) to[i] = from[i];
  to[i] = '\0';
}

int32_t MaxThreads(const char* config) noexcept {
  constexpr char kKey[] = "MAX_THREADS=";
  const char* found = std::strstr(config, kKey);
  return found == nullptr ? 0 : static_cast<int32_t>(std::atoi(found + sizeof(kKey) - 1));
}

}  // namespace
}  // namespace lp

int32_t lp_abi(void) noexcept { return LP_ABI; }

const char* lp_status_text(int32_t status) noexcept {
  switch (status) {
    case LP_OK:
      return "no error";
    case LP_NULL:
      return "null pointer where memory is needed";
    case LP_SIZE:
      return "size below 0 or too large";
    case LP_STRIDE:
      return "stride below the width of a row";
    case LP_STRIDE_LIMIT:
      return "stride above what BLAS takes";
    case LP_KIND:
      return "unknown kind, or one that doesn't go with the others";
    case LP_SCRATCH:
      return "scratch memory too short";
    case LP_NOT_POSITIVE:
      return "matrix isn't positive definite";
    case LP_NO_CONVERGENCE:
      return "eigenvalue iteration didn't converge, or the matrix isn't finite";
    default:
      return "unknown status";
  }
}

void lp_get_info(lp_info* info) noexcept {
  if (info == nullptr) return;
  lp::Copy(info->openblas, openblas_get_config());
  lp::Copy(info->core, lp::BlasCore());
  lp::Copy(info->simd, lp::SimdTarget());
  lp::Copy(info->compiler, lp::kCompiler);
  info->max_threads = lp::MaxThreads(info->openblas);
}

int32_t lp_get_threads(void) noexcept { return openblas_get_num_threads(); }

void lp_set_threads(int32_t threads) noexcept { openblas_set_num_threads(threads); }
