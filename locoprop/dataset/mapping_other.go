//go:build !unix

package dataset

import (
	"errors"
	"os"
)

// errNoMapping: files are read whole.
var errNoMapping = errors.New("files can't be mapped on this system")

func mapFile(*os.File, int) ([]byte, error) { return nil, errNoMapping }

func unmap([]byte) error { return nil }
