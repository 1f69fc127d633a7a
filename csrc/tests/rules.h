// The update rules with constants, for tests and benchmarks.
#ifndef LP_TESTS_RULES_H_
#define LP_TESTS_RULES_H_

#include <vector>

#include "locoprop.h"

namespace lp_test {

inline int Slots(int kind) {
  constexpr int count[] = {0, 1, 1, 1, 2, 2, 2, 2, 2, 1, 3, 2, 3, 0, 2, 0};
  return count[kind];
}

// Every rule at rate eta, as at its third step.
inline std::vector<lp_rule> Rules(float eta = 0.01f) {
  const auto rule = [](int kind, std::vector<float> c) {
    lp_rule u{};
    u.kind = static_cast<uint8_t>(kind);
    for (size_t i = 0; i < c.size(); ++i) u.c[i] = c[i];
    return u;
  };
  const float c1 = 1 - 0.9f * 0.9f * 0.9f;
  const float c2 = 1 - 0.999f * 0.999f * 0.999f;
  return {
      rule(LP_SGD, {eta}),
      rule(LP_MOMENTUM, {eta, 0.9f}),
      rule(LP_NESTEROV, {eta, 0.9f}),
      rule(LP_ADAGRAD, {eta}),
      rule(LP_RMSPROP_TF1, {eta, 0.999f, 0.9f, 0.1f, 1e-5f}),
      rule(LP_RMSPROP_TORCH, {eta, 0.5f, 0.99f, 0.01f, 1e-8f}),
      rule(LP_ADAM_TF1, {eta, 0.9f, 0.1f, 0.999f, 0.001f, 1e-8f}),
      rule(LP_ADAM_TORCH, {eta / c1, 0.9f, 0.1f, 0.999f, 0.001f, 1e-8f, 1 / c2}),
      rule(LP_ADAMW, {eta / c1, 0.9f, 0.1f, 0.999f, 0.001f, 1e-8f, 1 / c2, eta * 0.1f}),
      rule(LP_MOMENTUM_BUFFER, {eta, 0.9f}),
      rule(LP_AMSGRAD, {eta / c1, 0.9f, 0.1f, 0.999f, 0.001f, 1e-8f, 1 / c2}),
      rule(LP_NADAMW, {eta, 0.9f, 0.1f, 0.999f, 0.001f, 1e-8f, eta, eta * 0.1f}),
      rule(LP_SCHEDULE_FREE, {eta, 0.9f, 0.3f, 0.999f, 0.001f, 1e-8f, eta * 0.1f}),
      rule(LP_EGU, {eta, 0.25f}),
      rule(LP_EGU_GD, {eta}),
      rule(LP_PNORM, {eta, 6.5f}),
  };
}

}  // namespace lp_test

#endif  // LP_TESTS_RULES_H_
