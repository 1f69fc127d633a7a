//go:build cgo && !purego

// Package csrc holds the C++ kernels behind one C header, locoprop.h, whose comments are
// the contract. It is a Go package so that `go build` compiles the C++ and sees what
// changed; package bindings calls it, and nothing else should import it.
//
// It needs cgo, a C++17 compiler, OpenBLAS and Highway (Debian and Ubuntu: g++,
// libopenblas-dev, libhwy-dev). Without cgo, or with the build tag purego, the package
// doesn't exist: Go refuses C++ files in a package that doesn't use cgo. CMakeLists.txt
// at the module's root builds the same files for the C++ tests in csrc/tests and the
// benchmarks in csrc/bench.
package csrc

// No flag here may make floating-point results undefined (-ffast-math), and none names a
// CPU: kernels are compiled for several and chosen when the program runs.

// #cgo CXXFLAGS: -std=c++17 -O3 -fno-exceptions -fno-rtti
// #cgo LDFLAGS: -lopenblas -lhwy -lm
// #include "locoprop.h"
import "C"

import _ "embed" // locoprop.h

// Header is the text of the C interface. Embedding it makes every package that imports
// this one rebuild when the header changes, a change of macros included, which cgo
// alone doesn't see.
//
//go:embed locoprop.h
var Header string
