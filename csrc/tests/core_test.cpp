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
  // Leaves the variable unset, as it is where OpenBLAS chooses by itself.
  static void Force(const std::string& core) {
    setenv(kVariable, core.c_str(), 1);
    if (blas_thread_shutdown_ != nullptr) blas_thread_shutdown_();
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv(kVariable);
  }

 private:
  bool was_set_ = false;
  std::string before_;
};

// What a program gets: kernels that every CPU has are left only on a CPU with nothing better.
TEST_F(Core, AtLoad) {
  if (std::getenv(kVariable) != nullptr) GTEST_SKIP() << kVariable << " is set";
  if (HasAvx2()) {
    EXPECT_STRNE("Prescott", lp::BlasCore());
    EXPECT_STRNE("Barcelona", lp::BlasCore());
  }
}

TEST_F(Core, UnknownCpu) {
  if (!HasAvx2()) GTEST_SKIP() << "this CPU has no AVX2";
  for (const char* fallback : {"Prescott", "Barcelona"}) {
    Force(fallback);
    if (std::string(fallback) != lp::BlasCore()) continue;  // not in this build of OpenBLAS
    lp::ModernBlasCore();
    const std::string core = lp::BlasCore();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) {
      EXPECT_TRUE(core == "Cooperlake" || core == "SkylakeX") << core;
    } else {
      EXPECT_EQ("Haswell", core);
    }
    EXPECT_EQ(nullptr, std::getenv(kVariable)) << "the environment isn't as it was";

    // The new kernels compute, on OpenBLAS's threads too, which were ended.
    const int before = lp_get_threads();
    for (const int threads : {1, 2}) {
      lp_set_threads(threads);
      ExpectProducts(257);
    }
    lp_set_threads(before);
  }
}

TEST_F(Core, KnownCpuStays) {
  Force("Nehalem");
  if (std::string("Nehalem") != lp::BlasCore()) GTEST_SKIP() << "OpenBLAS has no such kernels";
  lp::ModernBlasCore();
  EXPECT_STREQ("Nehalem", lp::BlasCore());
}

TEST_F(Core, AskedForStays) {
  Force("Prescott");
  if (std::string("Prescott") != lp::BlasCore()) GTEST_SKIP() << "OpenBLAS has no such kernels";
  setenv(kVariable, "Prescott", 1);
  lp::ModernBlasCore();
  EXPECT_STREQ("Prescott", lp::BlasCore());
  EXPECT_STREQ("Prescott", std::getenv(kVariable));
}

}  // namespace
}  // namespace lp_test

#endif
