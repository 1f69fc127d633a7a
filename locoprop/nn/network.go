// Package nn holds layers, networks, their initialisation and their passes: all that
// evaluation and prediction need, and what training adds to it by panels.
//
// Notation: layer ℓ has n inputs and m units; its weights are W̃ = [W b], m × (n+1),
// its input X̃ = [X 1]. See docs/method.md.
package nn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// MaxWidth is the largest number of inputs or units of a layer, and MaxParams the
// largest number of weights of a network: far above what trains on a CPU, and low
// enough that no size computed from them overflows.
const (
	MaxWidth  = 1 << 20
	MaxParams = 1<<31 - 1
)

// Arch is the architecture of a dense network: its widths from input to output and
// the transfer function of each layer.
type Arch struct {
	Widths   []int           // L+1 of them
	Transfer []transfer.Func // L of them
}

// Check returns an error for every width and transfer function that can't be.
func (a Arch) Check() error {
	if len(a.Widths) < 2 {
		return fmt.Errorf("architecture has %d widths; it needs at least 2 (input and output)", len(a.Widths))
	}
	if len(a.Transfer) != len(a.Widths)-1 {
		return fmt.Errorf("architecture of %d widths needs %d transfer functions, not %d",
			len(a.Widths), len(a.Widths)-1, len(a.Transfer))
	}
	var errs []error
	for i, w := range a.Widths {
		if w < 1 || w > MaxWidth {
			errs = append(errs, fmt.Errorf("architecture: width %d is %d; must be 1 to %d", i, w, MaxWidth))
		}
	}
	if len(errs) == 0 && a.Params() > MaxParams {
		errs = append(errs, fmt.Errorf("architecture has %d parameters; the limit is %d", a.Params(), MaxParams))
	}
	for i, f := range a.Transfer[:len(a.Transfer)-1] {
		if f.RowCoupled() {
			errs = append(errs, fmt.Errorf("architecture: %v in hidden layer %d; it can only be the last transfer function", f, i))
		}
	}
	return errors.Join(errs...)
}

// Params is the number of weights and biases.
func (a Arch) Params() int {
	sum := 0
	for i, n := range a.Widths[:len(a.Widths)-1] {
		sum += (n + 1) * a.Widths[i+1]
	}
	return sum
}

// String is the architecture as the command line takes it, every transfer function
// spelled out but the last: 784,1000:tanh,30:identity,784.
func (a Arch) String() string {
	var b strings.Builder
	for i, w := range a.Widths {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(w))
		if i > 0 && i < len(a.Widths)-1 {
			b.WriteByte(':')
			b.WriteString(a.Transfer[i-1].String())
		}
	}
	return b.String()
}

// Network is a chain of layers.
type Network struct {
	Layers  []Layer
	weights []backend.Mat
}

// New returns the network of an architecture with all weights 0; see [Network.Init].
func New(a Arch) (*Network, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	// One arena: the weights of all layers lie together, each on a 64-byte boundary.
	const line = 16
	size := 0
	for i, n := range a.Widths[:len(a.Widths)-1] {
		size += ((n+1)*a.Widths[i+1] + line - 1) / line * line
	}
	arena := backend.Alloc(size)
	layers := make([]Layer, len(a.Transfer))
	for i, f := range a.Transfer {
		rows, cols := a.Widths[i+1], a.Widths[i]+1
		w := backend.Mat{Rows: rows, Cols: cols, Stride: cols, Data: arena[: rows*cols : rows*cols]}
		arena = arena[(rows*cols+line-1)/line*line:]
		layers[i] = &Dense{w: w, f: f}
	}
	return FromLayers(layers...)
}

// FromLayers chains layers of any kind. It returns an error where the outputs of one
// aren't the inputs of the next, a layer has no inputs or units, its weights have gaps
// between rows, or softmax isn't last.
func FromLayers(layers ...Layer) (*Network, error) {
	if len(layers) == 0 {
		return nil, errors.New("network without layers")
	}
	n := &Network{Layers: layers}
	for i, l := range layers {
		if w := l.Weights(); l.Inputs() < 1 || w.Rows < 1 || w.Cols < 2 || w.Stride != w.Cols {
			return nil, fmt.Errorf("layer %d reads %d values and has weights of %d × %d, stride %d; it needs inputs, units and a stride of its columns",
				i, l.Inputs(), w.Rows, w.Cols, w.Stride)
		}
		if i > 0 && outputs(layers[i-1]) != l.Inputs() {
			return nil, fmt.Errorf("layer %d gives %d values per example, but layer %d reads %d",
				i-1, outputs(layers[i-1]), i, l.Inputs())
		}
		if l.Transfer().RowCoupled() && i < len(layers)-1 {
			return nil, fmt.Errorf("layer %d has %v; it can only be the last transfer function", i, l.Transfer())
		}
		n.weights = append(n.weights, l.Weights())
	}
	return n, nil
}

func outputs(l Layer) int { return l.Positions() * l.Weights().Rows }

// Inputs is the number of values per example that the network reads.
func (n *Network) Inputs() int { return n.Layers[0].Inputs() }

// Outputs is the number of values per example that the network gives.
func (n *Network) Outputs() int { return outputs(n.Layers[len(n.Layers)-1]) }

// Last is the last layer.
func (n *Network) Last() Layer { return n.Layers[len(n.Layers)-1] }

// Weights lists W̃ of every layer, as views of the network's own memory.
func (n *Network) Weights() []backend.Mat { return n.weights }

// Params is the number of weights and biases.
func (n *Network) Params() int {
	sum := 0
	for _, w := range n.weights {
		sum += w.Rows * w.Cols
	}
	return sum
}

// Arch is the architecture of a network of dense layers; ok is false for another.
func (n *Network) Arch() (a Arch, ok bool) {
	a.Widths = []int{n.Inputs()}
	for _, l := range n.Layers {
		if _, dense := l.(*Dense); !dense {
			return Arch{}, false
		}
		a.Widths = append(a.Widths, l.Weights().Rows)
		a.Transfer = append(a.Transfer, l.Transfer())
	}
	return a, true
}
