//go:build !unix

package dataset

import "os"

func mapFile(*os.File, int) ([]byte, error) { return nil, errNoMapping }

func unmap([]byte) error { return nil }
