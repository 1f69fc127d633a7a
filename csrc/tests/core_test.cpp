// Which kernels OpenBLAS takes on a CPU that it doesn't know. Forced here, since which CPUs it
// knows depends on its release.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "blas.h"
#include "core.h"
#include "locoprop.h"

#if defined(__x86_64__) && defined(__ELF__)

extern "C" {
__attribute__((weak)) extern int blas_server_avail;
}

namespace lp_test {
namespace {

constexpr char kVariable[] = "OPENBLAS_CORETYPE";

// A product of matrices of small integers, which no order of its sums rounds.
void ExpectProducts(int n) {
  std::vector<float> a(n * n), b(n * n), c(n * n), want(n * n);
  for (int i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i % 7 - 3);
    b[i] = static_cast<float>(i % 5 - 2);
  }
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < n; ++k) {
      for (int j = 0; j < n; ++j) want[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, b.data(), n, 0,
              c.data(), n);
  EXPECT_EQ(want, c);
}

bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

// Tests make OpenBLAS choose anew; its choice and OPENBLAS_CORETYPE are set back at the end.
class Core : public testing::Test {
 protected:
  void SetUp() override {
    const char* set = std::getenv(kVariable);
    was_set_ = set != nullptr;
    before_ = was_set_ ? set : lp::BlasCore();
  }
  void TearDown() override {
    lp::UseBlasCore(before_.c_str());
    if (was_set_) setenv(kVariable, before_.c_str(), 1);
  }
  // The best kernels of this build of OpenBLAS for this CPU; empty: none with AVX2.
  static std::string Best() {
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (avx512 && __builtin_cpu_supports("avx512bf16") && lp::UseBlasCore("Cooperlake"))
      return "Cooperlake";
    if (avx512 && lp::UseBlasCore("SkylakeX")) return "SkylakeX";
    return lp::UseBlasCore("Haswell") ? "Haswell" : "";
  }

 private:
  bool was_set_ = false;
  std::string before_;
};

// What a program gets: kernels that every CPU has are left only on a CPU with nothing better. Shows
// something only where OpenBLAS doesn't know the CPU.
TEST_F(Core, AtLoad) {
  if (std::getenv(kVariable) != nullptr) GTEST_SKIP() << "unset " << kVariable << " to run this";
  if (HasAvx2()) {
    EXPECT_STRNE("Prescott", lp::BlasCore());
    EXPECT_STRNE("Barcelona", lp::BlasCore());
  }
}

TEST_F(Core, UnknownCpu) {
  if (!HasAvx2()) GTEST_SKIP() << "needs a CPU with AVX2";
  const std::string best = Best();
  if (best.empty()) GTEST_SKIP() << "needs an OpenBLAS with DYNAMIC_ARCH and AVX2 kernels";
  for (const char* fallback : {"Prescott", "Barcelona"}) {
    if (!lp::UseBlasCore(fallback)) continue;
    const int before = lp_get_threads();
    lp_set_threads(2);  // which starts OpenBLAS's threads
    lp::ModernBlasCore();
    if (&blas_server_avail != nullptr) {
      EXPECT_EQ(0, blas_server_avail) << "they could choose, too";
    }
    EXPECT_EQ(best, lp::BlasCore());
    EXPECT_EQ(nullptr, std::getenv(kVariable)) << "the environment isn't as it was";

    // The new kernels compute, on OpenBLAS's threads too, which were ended.
    for (const int threads : {1, 2}) {
      lp_set_threads(threads);
      ExpectProducts(257);
    }
    lp_set_threads(before);
  }
}

TEST_F(Core, KnownCpuStays) {
  if (!lp::UseBlasCore("Nehalem"))
    GTEST_SKIP() << "needs an OpenBLAS with DYNAMIC_ARCH and these kernels";
  lp::ModernBlasCore();
  EXPECT_STREQ("Nehalem", lp::BlasCore());
}

TEST_F(Core, AskedForStays) {
  if (!lp::UseBlasCore("Prescott"))
    GTEST_SKIP() << "needs an OpenBLAS with DYNAMIC_ARCH and these kernels";
  setenv(kVariable, "Prescott", 1);
  lp::ModernBlasCore();
  EXPECT_STREQ("Prescott", lp::BlasCore());
  EXPECT_STREQ("Prescott", std::getenv(kVariable));
}

}  // namespace
}  // namespace lp_test

#endif
