//go:build !cgo || purego

package netlib

// Available tells whether this build has the backend.
const Available = false
