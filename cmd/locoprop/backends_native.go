//go:build cgo && !purego

package main

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/backend/netlib"
)

// whyPure would say why this build has Go alone.
const whyPure = ""

// openers are the backends in this build.
var openers = map[string]func() backend.Kernels{
	"native": func() backend.Kernels { return native.New() },
	"gonum":  func() backend.Kernels { return gonum.New() },
	"netlib": func() backend.Kernels { return netlib.New() },
}
