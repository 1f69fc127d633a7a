package backend

import (
	"errors"
	"fmt"
)

// NotPositiveDefinite is the error of Cholesky: the leading minor of order Minor
// isn't positive definite.
type NotPositiveDefinite struct{ Minor int } //nolint:errname // it says what the matrix isn't

func (e *NotPositiveDefinite) Error() string {
	return fmt.Sprintf("matrix isn't positive definite: leading minor of order %d isn't positive", e.Minor)
}

// ErrNoConvergence is the error of SymEig.
var ErrNoConvergence = errors.New("symmetric eigenvalue iteration didn't converge")
