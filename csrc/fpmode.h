// The floating-point mode of a thread.
#ifndef LP_FPMODE_H_
#define LP_FPMODE_H_

#include <cstdint>

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace lp {

// FpMode sets, for its lifetime, rounding to nearest, gradual underflow and no traps, and
// then puts back what was there. A library built with -ffast-math turns flush-to-zero on
// in each thread that loads it, which would change results here. Both steps are skipped
// where the mode is right already, since writing it stalls the processor.
class FpMode {
 public:
  FpMode() noexcept : saved_(Read()) {
    if ((saved_ & kControl) != kWanted) Write((saved_ & ~kControl) | kWanted);
  }
  ~FpMode() {
    if ((saved_ & kControl) != kWanted) Write(saved_);
  }
  FpMode(const FpMode&) = delete;
  FpMode& operator=(const FpMode&) = delete;

 private:
#if defined(__SSE__) || defined(_M_X64)
  using Word = unsigned;
  static constexpr Word kControl = 0xFFC0;  // all but the sticky flags
  static constexpr Word kWanted = 0x1F80;   // exceptions masked, nearest, no FTZ, no DAZ
  static Word Read() noexcept { return _mm_getcsr(); }
  static void Write(Word w) noexcept { _mm_setcsr(w); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kControl = 0x03C89F00;  // FZ, FZ16, DN, rounding, traps
  static constexpr Word kWanted = 0;
  static Word Read() noexcept {
    Word w;
    __asm__ volatile("mrs %0, fpcr" : "=r"(w));
    return w;
  }
  static void Write(Word w) noexcept { __asm__ volatile("msr fpcr, %0" : : "r"(w)); }
#else
  using Word = unsigned;
  static constexpr Word kControl = 0;
  static constexpr Word kWanted = 0;
  static Word Read() noexcept { return 0; }
  static void Write(Word) noexcept {}
#endif

  const Word saved_;
};

}  // namespace lp

#endif  // LP_FPMODE_H_
