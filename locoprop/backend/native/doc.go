// Package native is the backend of C++ kernels over OpenBLAS and Highway. OpenBLAS has
// one thread setting for the whole process: New sets it to one thread, for other users of
// OpenBLAS in the program too, and it is restored when the last backend that set it
// (netlib does too) is closed.
//
// Importing the package links OpenBLAS and Highway. It needs cgo, a C++17 compiler and
// their development packages (Debian and Ubuntu: g++, libopenblas-dev, libhwy-dev).
// Without cgo, or with the build tag purego, [Available] is false and New isn't there:
//
//	//go:build cgo && !purego
//	config.Backend = native.New()
//
// Besides the kernels it implements backend.BlockSolver, KernelSolver, GramSolver and
// MetricSolver: all iterations of a block's local problem in one call, bit for bit those
// of the generic loop; and backend.Panels, with products of its own, whose bits are others.
package native
