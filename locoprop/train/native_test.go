//go:build cgo && !purego

package train

import "github.com/locoprop/locoprop-go/locoprop/backend/native"

func init() { evaluators = append(evaluators, native.New()) }
