package nn

import (
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Layer is an affine map of its design matrix followed by a transfer function:
//
//	A = X̃ W̃ᵀ,  Y = f(A)
//
// The design matrix X̃ is the layer's input as a local problem sees it. For a dense
// layer it is the input itself, a row per example; for a convolution it is im2col's
// result, a row per example and position, so that every method treats both alike.
type Layer interface {
	// Inputs is the number of values per example that the layer reads.
	Inputs() int
	// Positions is the number p of design rows per example: 1 for a dense layer. The
	// layer gives p·m values per example, those of a position together.
	Positions() int
	// Weights is W̃ = [W b], m × (n+1): a row per unit, the bias last. It has no gaps
	// between rows.
	Weights() backend.Mat
	// Transfer is f.
	Transfer() transfer.Func
	// Design returns X̃ for the inputs x (B × (Inputs+1), the last column ones). A layer
	// whose design is its input returns x; another fills dst, B·p × (n+1), its column
	// of ones included, and returns dst. DesignIsInput tells which.
	Design(dst, x backend.Mat) backend.Mat
	// Fold is the transpose of Design: it adds up the derivatives of the design
	// matrix, ddesign (B·p × n), into those of the input, dx (B × Inputs), which it
	// overwrites. Not called where the design is the input.
	Fold(dx, ddesign backend.Mat)
	// DesignIsInput reports whether Design returns its input.
	DesignIsInput() bool
}

// Dense is a fully connected layer with n inputs and m units.
type Dense struct {
	w backend.Mat
	f transfer.Func
}

var _ Layer = (*Dense)(nil)

// NewDense returns a layer with zero weights.
func NewDense(inputs, units int, f transfer.Func) *Dense {
	return &Dense{w: backend.NewMat(units, inputs+1), f: f}
}

// Inputs is n.
func (l *Dense) Inputs() int { return l.w.Cols - 1 }

// Positions is 1.
func (l *Dense) Positions() int { return 1 }

// Weights is W̃, m × (n+1).
func (l *Dense) Weights() backend.Mat { return l.w }

// Transfer is f.
func (l *Dense) Transfer() transfer.Func { return l.f }

// Design returns x.
func (l *Dense) Design(_, x backend.Mat) backend.Mat { return x }

// Fold does nothing: the design is the input.
func (l *Dense) Fold(_, _ backend.Mat) {}

// DesignIsInput is true.
func (l *Dense) DesignIsInput() bool { return true }
