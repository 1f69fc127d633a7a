// Which of its kernels OpenBLAS uses.
#ifndef LP_CORE_H_
#define LP_CORE_H_

namespace lp {

// The CPU that OpenBLAS's kernels are for, by OpenBLAS's own name: Haswell, SkylakeX, …
const char* BlasCore() noexcept;

// Makes OpenBLAS choose again as with OPENBLAS_CORETYPE=name, which is unset then. Whether it has
// such kernels, and uses them from now on; if not, it may use others. Needs what ModernBlasCore
// does.
bool UseBlasCore(const char* name) noexcept;

// Gives OpenBLAS kernels with the vectors of this CPU, where it took some that every CPU has
// because it doesn't know this one, and OPENBLAS_CORETYPE isn't set. For x86-64 and ELF; elsewhere
// it does nothing. Runs by itself as the library is loaded. No other thread may compute with
// OpenBLAS or read the environment meanwhile.
void ModernBlasCore() noexcept;

}  // namespace lp

#endif  // LP_CORE_H_
