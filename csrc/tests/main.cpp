// Runs the tests with the Highway target that LP_TEST_TARGET names: AVX2, SSE4, NEON, …, or
// baseline for the one that every CPU of this architecture has. 77: not on this CPU.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "locoprop.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const char* name = std::getenv("LP_TEST_TARGET")) {
    if (lp_set_target(name) != LP_OK) {
      std::printf("skipped: this CPU has no %s\n", name);
      return 77;
    }
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
