//go:build cgo && !purego

package locoprop_test

import "github.com/locoprop/locoprop-go/locoprop/backend/native"

func init() { formBackends = append(formBackends, native.New()) }
