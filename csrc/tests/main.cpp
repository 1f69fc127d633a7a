// Runs the tests with the Highway target that LP_TEST_TARGET names: AVX2, SSE4, NEON, …, or
// baseline for the one that every CPU of this architecture has. 77: not on this CPU.
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "locoprop.h"

namespace {

// The target of a name, among those of this CPU; 0: none.
int64_t Find(const char* name) {
  if (std::strcmp(name, "baseline") == 0) return HWY_STATIC_TARGET;
  const int64_t all = hwy::SupportedTargets();
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t target = all & (int64_t{1} << bit);
    if (target != 0 && std::strcmp(hwy::TargetName(target), name) == 0) return target;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const char* name = std::getenv("LP_TEST_TARGET")) {
    const int64_t target = Find(name);
    if (target == 0) {
      std::printf("skipped: this CPU has no %s\n", name);
      return 77;
    }
    hwy::SetSupportedTargetsForTest(target);
  }
  lp_set_threads(1);
  lp_info info;
  lp_get_info(&info);
  std::printf("%s; %s; Highway %s\n", info.openblas, info.core, info.simd);
  const char* core = std::getenv("OPENBLAS_CORETYPE");
  if (core != nullptr && std::strcmp(core, info.core) != 0) {
    std::printf("skipped: OpenBLAS has no kernels for %s\n", core);
    return 77;
  }
  return RUN_ALL_TESTS();
}
