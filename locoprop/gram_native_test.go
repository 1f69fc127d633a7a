//go:build cgo && !purego

package locoprop_test

import (
	"github.com/locoprop/locoprop-go/locoprop/backend/native"
	"github.com/locoprop/locoprop-go/locoprop/backend/netlib"
)

func init() {
	k := native.New()
	formBackends = append(formBackends, k)
	allBackends = append(allBackends, k, netlib.New())
}
