// lp_fma_peak, and the name of Highway's target.
#include <cstring>

#include "fpmode.h"
#include "kernels.h"
#include "locoprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "peak.cpp"
#include "simd.h"
// Behind simd.h, which includes this file once per target.
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lp {
namespace HWY_NAMESPACE {

const char* TargetT() { return hwy::TargetName(HWY_TARGET); }

// Ten chains, more than latency times pipes needs (4 × 2) and few enough for 16 registers.
double FmaPeakT(int64_t rounds, float* sink) {
  constexpr int kChains = 10;
  const D d;
  const double per_pass = 2.0 * kChains * static_cast<double>(hn::Lanes(d));
  const int64_t passes = 1 + static_cast<int64_t>(static_cast<double>(rounds) * 1000 / per_pass);
  const V x = hn::Set(d, 0.999f);
  const V y = hn::Set(d, *sink);
  V c0 = hn::Set(d, 0.0f), c1 = hn::Set(d, 1.0f), c2 = hn::Set(d, 2.0f), c3 = hn::Set(d, 3.0f);
  V c4 = hn::Set(d, 4.0f), c5 = hn::Set(d, 5.0f), c6 = hn::Set(d, 6.0f), c7 = hn::Set(d, 7.0f);
  V c8 = hn::Set(d, 8.0f), c9 = hn::Set(d, 9.0f);
  for (int64_t i = 0; i < passes; ++i) {
    c0 = hn::MulAdd(c0, x, y);
    c1 = hn::MulAdd(c1, x, y);
    c2 = hn::MulAdd(c2, x, y);
    c3 = hn::MulAdd(c3, x, y);
    c4 = hn::MulAdd(c4, x, y);
    c5 = hn::MulAdd(c5, x, y);
    c6 = hn::MulAdd(c6, x, y);
    c7 = hn::MulAdd(c7, x, y);
    c8 = hn::MulAdd(c8, x, y);
    c9 = hn::MulAdd(c9, x, y);
  }
  const V low = hn::Add(hn::Add(hn::Add(c0, c1), hn::Add(c2, c3)), c4);
  const V high = hn::Add(hn::Add(hn::Add(c5, c6), hn::Add(c7, c8)), c9);
  *sink = hn::GetLane(hn::Add(low, high));
  return per_pass * static_cast<double>(passes);
}

}  // namespace HWY_NAMESPACE
}  // namespace lp
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lp {
HWY_EXPORT(TargetT);
HWY_EXPORT(FmaPeakT);

const char* SimdTarget() noexcept { return HWY_DYNAMIC_DISPATCH(TargetT)(); }
// The target of a name, among those of this CPU; 0: none.
static int64_t Find(const char* name) noexcept {
  if (std::strcmp(name, "baseline") == 0) return HWY_STATIC_TARGET;
  const int64_t all = hwy::SupportedTargets();
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t target = all & (int64_t{1} << bit);
    if (target != 0 && std::strcmp(hwy::TargetName(target), name) == 0) return target;
  }
  return 0;
}
}  // namespace lp

lp_status lp_set_target(const char* name) noexcept {
  if (name == nullptr) return LP_NULL;
  const int64_t target = lp::Find(name);
  if (target == 0) return LP_KIND;
  hwy::SetSupportedTargetsForTest(target);
  return LP_OK;
}

double lp_fma_peak(int64_t rounds, float* sink) noexcept {
  if (sink == nullptr || rounds < 0) return 0;
  lp::FpMode mode;
  using namespace lp;
  return HWY_DYNAMIC_DISPATCH(FmaPeakT)(rounds, sink);
}
#endif  // HWY_ONCE
