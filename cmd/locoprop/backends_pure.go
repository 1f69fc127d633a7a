//go:build !cgo || purego

package main

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
)

// whyPure says why this build has Go alone, and what to do about it.
const whyPure = "this build is pure Go (made without cgo, or with the tag purego); `make setup build` adds the C++ kernels, which are several times faster"

// openers are the backends in this build.
var openers = map[string]func() backend.Kernels{
	"gonum": func() backend.Kernels { return gonum.New() },
}
