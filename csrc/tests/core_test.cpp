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
__attribute__((weak)) void gotoblas_dynamic_init(void);
__attribute__((weak)) void gotoblas_dynamic_quit(void);
__attribute__((weak)) int blas_thread_shutdown_(void);
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

// Sets OPENBLAS_CORETYPE, makes OpenBLAS choose anew, and sets both back at the end.
class Core : public testing::Test {
 protected:
  void SetUp() override {
    if (gotoblas_dynamic_init == nullptr) GTEST_SKIP() << "OpenBLAS has kernels for one CPU";
    const char* set = std::getenv(kVariable);
    was_set_ = set != nullptr;
    before_ = was_set_ ? set : lp::BlasCore();
  }
  void TearDown() override {
    if (gotoblas_dynamic_init == nullptr) return;
    Force(before_);
    if (was_set_) setenv(kVariable, before_.c_str(), 1);
  }
  // Whether OpenBLAS has such kernels, which it uses then. Leaves the variable unset, as it is
  // where OpenBLAS chooses by itself.
  static bool Force(const std::string& core) {
    setenv(kVariable, core.c_str(), 1);
    if (blas_thread_shutdown_ != nullptr) blas_thread_shutdown_();
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv(kVariable);
    return core == lp::BlasCore();
  }
  // The best kernels of this build of OpenBLAS for this CPU; empty: none with AVX2.
  static std::string Best() {
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (avx512 && __builtin_cpu_supports("avx512bf16") && Force("Cooperlake")) return "Cooperlake";
    if (avx512 && Force("SkylakeX")) return "SkylakeX";
    return Force("Haswell") ? "Haswell" : "";
  }

 private:
  bool was_set_ = false;
  std::string before_;
};

// What a program gets: kernels that every CPU has are left only on a CPU with nothing better. Shows
// something only where OpenBLAS doesn't know the CPU.
TEST_F(Core, AtLoad) {
  if (std::getenv(kVariable) != nullptr) GTEST_SKIP() << kVariable << " is set";
  if (HasAvx2()) {
    EXPECT_STRNE("Prescott", lp::BlasCore());
    EXPECT_STRNE("Barcelona", lp::BlasCore());
  }
}

TEST_F(Core, UnknownCpu) {
  if (!HasAvx2()) GTEST_SKIP() << "this CPU has no AVX2";
  const std::string best = Best();
  if (best.empty()) GTEST_SKIP() << "OpenBLAS has no kernels with AVX2";
  for (const char* fallback : {"Prescott", "Barcelona"}) {
    if (!Force(fallback)) continue;
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
  if (!Force("Nehalem")) GTEST_SKIP() << "OpenBLAS has no such kernels";
  lp::ModernBlasCore();
  EXPECT_STREQ("Nehalem", lp::BlasCore());
}

TEST_F(Core, AskedForStays) {
  if (!Force("Prescott")) GTEST_SKIP() << "OpenBLAS has no such kernels";
  setenv(kVariable, "Prescott", 1);
  lp::ModernBlasCore();
  EXPECT_STREQ("Prescott", lp::BlasCore());
  EXPECT_STREQ("Prescott", std::getenv(kVariable));
}

}  // namespace
}  // namespace lp_test

#endif
