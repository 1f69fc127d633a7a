// Package bindings calls the C++ kernels of package csrc: one thin function per C
// function, flat arguments, a failed call's status turned into an [*Error]. What each
// function computes stands at its declaration in csrc/locoprop.h.
//
// It is the only package besides csrc that imports "C". Backends are its users; a
// program uses backend/native, which has an example; this package has none. Without cgo,
// or with the build tag purego, it is empty.
//
// A call costs about 50 ns and allocates nothing. Matrices are given as the address of
// their first element, nil where they have none, and a stride; the C side checks sizes
// and strides, but it can't see how much memory lies behind an address.
package bindings
