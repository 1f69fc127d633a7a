//go:build cgo && !purego

package locoprop_test

import (
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/backend/netlib"
)

func init() {
	formBackends = append(formBackends, native.New())
	allBackends = append(formBackends, netlib.New())
}
