// Highway, checked, with this file's kernels compiled once per target: a source file
// defines HWY_TARGET_INCLUDE as its own name, includes this and then the -inl.h files.
#ifndef LP_SIMD_H_
#define LP_SIMD_H_

#if !__has_include(<hwy/highway.h>)
#error "Highway's headers aren't there: install libhwy-dev, or build with -tags purego"
#endif

// Left out, to save time in compiling: targets of CPUs that hardly exist, and those whose
// further instructions nothing here uses. SVE (arm64 gets NEON) has vectors whose size the
// compiler doesn't know; they can't be members of a struct.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#if !HWY_HAVE_FLOAT64
#error "this CPU's vectors have no float64: build with -tags purego"
#endif

#endif  // LP_SIMD_H_
