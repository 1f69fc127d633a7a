package nn

import (
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop/internal/philox"
)

// Init names a way to draw initial weights.
type Init uint8

// The initialisations, for a layer with n inputs and m units.
const (
	Glorot Init = iota // weights U(±√(6/(n+m))), biases U(±√(3/m)); Glorot & Bengio 2010
	He                 // weights U(±√(6/n)), biases 0; He et al. 2015
)

// InitNames are the names of the initialisations, in the order of their constants.
var InitNames = []string{"glorot", "he"}

// String gives the name that the command line uses.
func (i Init) String() string {
	if int(i) < len(InitNames) {
		return InitNames[i]
	}
	return fmt.Sprintf("nn.Init(%d)", uint8(i))
}

// Init draws all weights. They are a function of (seed, layer, index) alone: weight
// (u, j) of a layer is number u·n + j of its stream, bias u is number m·n + u. Uniform
// numbers are formed in float64 and rounded once.
func (n *Network) Init(kind Init, seed uint32) {
	for ℓ, w := range n.weights {
		stream := philox.New(seed, philox.Init, uint64(ℓ))
		inputs, units := w.Cols-1, w.Rows
		weight, bias := math.Sqrt(6/float64(inputs+units)), math.Sqrt(3/float64(units))
		if kind == He {
			weight, bias = math.Sqrt(6/float64(inputs)), 0
		}
		draw := func(index int, bound float64) float32 {
			return float32(bound * (2*stream.Uniform(uint64(index)) - 1))
		}
		for u := range units {
			row := w.Data[u*w.Stride : u*w.Stride+w.Cols]
			for j := range inputs {
				row[j] = draw(u*inputs+j, weight)
			}
		}
		for u := range units {
			w.Data[u*w.Stride+inputs] = draw(units*inputs+u, bias) + 0 // never −0
		}
	}
}
