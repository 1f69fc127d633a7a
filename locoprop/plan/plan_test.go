package plan_test

import (
	"math"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func liveState() []plan.Tensor {
	return []plan.Tensor{
		{Name: "w", Shape: []int{2, 2}, F32: []float32{1, 2, 3, 4}},
		{Name: "c", Shape: []int{2}, F64: []float64{5, 6}},
		{Name: "step", Shape: []int{1}, I64: []int64{7}},
	}
}

func TestRestore(t *testing.T) {
	live := liveState()
	saved := []plan.Tensor{
		{Name: "w", Shape: []int{2, 2}, F32: []float32{-1, -2, -3, -4}},
		{Name: "c", Shape: []int{2}, F64: []float64{-5, -6}},
		{Name: "step", Shape: []int{1}, I64: []int64{-7}},
	}
	memory := live[0].F32
	require.NoError(t, plan.Restore(live, saved))
	assert.Equal(t, saved, live)
	assert.Equal(t, []float32{-1, -2, -3, -4}, memory, "the live memory is written")
}

func TestRestoreRefuses(t *testing.T) {
	for _, c := range []struct {
		change func([]plan.Tensor) []plan.Tensor
		want   string
	}{
		{func(s []plan.Tensor) []plan.Tensor { return s[:2] }, "state has 2 tensors, and this method needs 3"},
		{func(s []plan.Tensor) []plan.Tensor { s[1].Name = "d"; return s }, `state tensor 1 is "d", and this method needs "c"`},
		{func(s []plan.Tensor) []plan.Tensor { s[0], s[1] = s[1], s[0]; return s }, `state tensor 0 is "c", and this method needs "w"`},
		{func(s []plan.Tensor) []plan.Tensor { s[0].Shape = []int{4}; return s }, `state tensor "w" has shape [4], and this method needs [2 2] of the same type`},
		{func(s []plan.Tensor) []plan.Tensor { s[0].Shape = []int{4, 1}; return s }, `state tensor "w" has shape [4 1]`},
		{func(s []plan.Tensor) []plan.Tensor { s[0].F32 = s[0].F32[:3]; return s }, `state tensor "w"`},
		{func(s []plan.Tensor) []plan.Tensor { s[2].I64, s[2].F64 = nil, []float64{1}; return s }, `state tensor "step"`},
	} {
		live := liveState()
		saved := liveState()
		for _, s := range saved {
			for i := range s.F32 {
				s.F32[i] = 99
			}
		}
		assert.ErrorContains(t, plan.Restore(live, c.change(saved)), c.want)
		assert.Equal(t, liveState(), live, "nothing is changed")
	}
}

func TestDivergedError(t *testing.T) {
	assert.EqualError(t, &plan.DivergedError{Layer: 2, What: "pre-activations", Value: math.NaN()}, "pre-activations of layer 2: found NaN")
	assert.EqualError(t, &plan.DivergedError{Layer: -1, What: "input", Value: math.Inf(1)}, "input: found +Inf")
}

func TestFirstNonFinite(t *testing.T) {
	padded := backend.NewPadded(2, 3)
	for i := range padded.Data {
		padded.Data[i] = float32(math.NaN()) // in the gaps too
	}
	for i := range 2 {
		clear(padded.Data[i*padded.Stride : i*padded.Stride+3])
	}
	weights := []backend.Mat{backend.NewMat(2, 2), padded}
	ℓ, _ := plan.FirstNonFinite(weights)
	assert.Equal(t, -1, ℓ)
	padded.Data[padded.Stride+2] = float32(math.Inf(-1))
	ℓ, v := plan.FirstNonFinite(weights)
	assert.Equal(t, 1, ℓ)
	assert.True(t, math.IsInf(v, -1))
	weights[0].Data[3] = float32(math.NaN())
	ℓ, v = plan.FirstNonFinite(weights)
	assert.Equal(t, 0, ℓ)
	assert.True(t, math.IsNaN(v))
}

func TestSlots(t *testing.T) {
	w := backend.NewMat(4, 3)
	s := plan.NewSlots(w, optimizer.New(optimizer.RMSPropTF1))
	state := s.Tensors(1)
	var names []string
	for _, x := range state {
		names = append(names, x.Name)
	}
	assert.Equal(t, []string{"layers.1.rmsprop.s", "layers.1.rmsprop.v", "layers.1.step"}, names)
	assert.Equal(t, []int{4, 3}, state[0].Shape)
	assert.Equal(t, float32(1), state[0].F32[11], "s starts at 1")
	assert.Equal(t, float32(0), state[1].F32[11])
	s.Count[0] = 8
	assert.Equal(t, []int64{8}, state[2].I64, "the state is the live memory")
	rows := s.Rows(1, 3)
	require.Len(t, rows, 2)
	rows[0].Data[0], rows[1].Data[0] = 7, 9
	assert.Equal(t, float32(7), state[0].F32[3])
	assert.Equal(t, float32(9), state[1].F32[3])
	s.ResetRows(1, 2)
	assert.Equal(t, float32(1), state[0].F32[3])
	assert.Equal(t, float32(0), state[1].F32[3])
	assert.InDelta(t, 2*4*3*4, s.Bytes(), 0)
	assert.Len(t, plan.NewSlots(w, optimizer.Rule{}).Tensors(0), 1, "plain SGD has no slots")
	assert.Equal(t, plan.Tensor{Name: "layers.2.w", Shape: []int{4, 3}, F32: w.Data}, plan.MatTensor(2, "w", w))
}

func TestFlops(t *testing.T) {
	n, err := nn.New(nn.Arch{Widths: []int{3, 2, 4}, Transfer: []transfer.Func{transfer.Tanh, transfer.Identity}})
	require.NoError(t, err)
	layers := plan.PassFlops(n, 10)
	require.Len(t, layers, 2)
	assert.Equal(t, plan.LayerPlan{Layer: 0, Inputs: 3, Units: 2, Transfer: "tanh", ForwardFlops: 2 * 10 * 4 * 2}, layers[0])
	assert.Equal(t, plan.LayerPlan{Layer: 1, Inputs: 2, Units: 4, Transfer: "identity", ForwardFlops: 2 * 10 * 3 * 4, BackwardFlops: 2 * 10 * 2 * 4}, layers[1])
	assert.InDelta(t, 160+240+160, plan.Flops(layers), 0)
}
