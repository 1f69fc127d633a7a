//go:build !linux

package backend

// adviseHuge does nothing where large pages can't be asked for.
func adviseHuge([]float32) {}
