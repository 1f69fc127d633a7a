// Package netlib is backend/gonum over OpenBLAS: the Go loops of package gonum, with the
// products of gonum.org/v1/netlib. Between gonum and native, it tells what OpenBLAS is
// worth apart from the C++ kernels. OpenBLAS has one thread setting for the whole
// process: New sets it to one thread, for other users of OpenBLAS in the program too, and
// it is restored when the last backend that set it (native does too) is closed.
//
// Importing the package links OpenBLAS. It needs cgo and what backend/native needs;
// without cgo, or with the build tag purego, [Available] is false and New isn't there.
package netlib
