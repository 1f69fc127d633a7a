// Validation of arguments: the first fault found fills lp_error.
#ifndef LP_CHECK_H_
#define LP_CHECK_H_

#include "locoprop.h"

namespace lp {

// Check collects the checks of one entry point. arg is the argument's position in the
// declaration, from 1; a matrix's stride stands right behind its pointer.
class Check {
 public:
  explicit Check(lp_error* err) noexcept : err_(err) {}

  Check& Size(int arg, int64_t value, int64_t limit = INT64_MAX) noexcept {
    return Require(value >= 0 && value <= limit, LP_SIZE, arg, value, limit);
  }

  // A matrix: a stride that holds its rows, and memory unless it is empty.
  Check& Matrix(int arg, const void* data, int64_t rows, int64_t cols, int64_t stride,
                int64_t stride_limit = INT64_MAX) noexcept {
    Require(stride >= cols, LP_STRIDE, arg + 1, stride, cols);
    Require(stride <= stride_limit, LP_STRIDE_LIMIT, arg + 1, stride, stride_limit);
    return Require(data != nullptr || rows <= 0 || cols <= 0, LP_NULL, arg, 0, 0);
  }

  Check& NotNull(int arg, const void* data) noexcept {
    return Require(data != nullptr, LP_NULL, arg, 0, 0);
  }

  // An enumeration's value, 0 … last.
  Check& Kind(int arg, int64_t value, int64_t last) noexcept {
    return Require(value >= 0 && value <= last, LP_KIND, arg, value, last);
  }

  Check& Require(bool ok, lp_status status, int arg, int64_t got, int64_t want) noexcept {
    if (!ok && status_ == LP_OK) {
      status_ = status;
      if (err_ != nullptr) *err_ = lp_error{status, arg, got, want};
    }
    return *this;
  }

  lp_status status() const noexcept { return status_; }
  bool failed() const noexcept { return status_ != LP_OK; }

 private:
  lp_error* err_;
  lp_status status_ = LP_OK;
};

}  // namespace lp

#endif  // LP_CHECK_H_
