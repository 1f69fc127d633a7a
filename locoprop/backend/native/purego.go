//go:build !cgo || purego

package native

// Available tells whether this build has the backend.
const Available = false
