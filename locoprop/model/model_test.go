package model_test

import (
	"bytes"
	"maps"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func example(t *testing.T) *model.Model {
	t.Helper()
	n, err := nn.New(nn.Arch{
		Widths:   []int{5, 3, 2, 5},
		Transfer: []transfer.Func{transfer.Tanh, transfer.LeakyReLU(0.1), transfer.Sigmoid},
	})
	require.NoError(t, err)
	n.Init(nn.Glorot, 3)
	return &model.Model{Network: n, Loss: loss.SigmoidCE, Scale: 255}
}

func encode(t *testing.T, m *model.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, model.Encode(&b, m))
	return b.Bytes()
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	m := example(t)
	require.NoError(t, model.Save(path, m))
	got, err := model.Load(path)
	require.NoError(t, err)
	arch, _ := got.Network.Arch()
	want, _ := m.Network.Arch()
	assert.Equal(t, want, arch)
	assert.Equal(t, m.Network.Weights(), got.Network.Weights())
	assert.Equal(t, m.Loss, got.Loss)
	assert.Equal(t, m.Target, got.Target)
	assert.InDelta(t, 255, got.Scale, 0)
	assert.Equal(t, encode(t, m), encode(t, got), "the same bytes again")
}

// What another program finds in the file.
func TestContent(t *testing.T) {
	m := example(t)
	b := encode(t, m)
	f, err := tensorfile.Decode(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	assert.True(t, f.Checked)
	assert.Equal(t, map[string]string{
		"format": "locoprop-model", "version": "1",
		"architecture": "5,3,2,5", "transfer": "tanh,leaky-relu(0.1),sigmoid",
		"loss": "sigmoid-ce", "target": "input", "scale": "255",
	}, f.Meta)
	require.Len(t, f.Tensors, 6)
	w := m.Network.Weights()[1]
	weight, _ := f.Lookup("layers.1.weight")
	bias, _ := f.Lookup("layers.1.bias")
	assert.Equal(t, []int{2, 3}, weight.Shape)
	assert.Equal(t, []int{2}, bias.Shape)
	for u := range 2 {
		for j := range 3 {
			assert.Equal(t, w.Data[u*w.Stride+j], weight.F32[u*3+j])
		}
		assert.Equal(t, w.Data[u*w.Stride+3], bias.F32[u])
	}
}

func TestSaveOtherWeights(t *testing.T) {
	m := example(t)
	averaged := example(t)
	averaged.Network.Init(nn.He, 9)
	m.Weights = averaged.Network.Weights()
	assert.Equal(t, encode(t, averaged), encode(t, m))
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		spoil func(*model.Model)
		want  string
	}{
		{func(m *model.Model) { m.Network = nil }, "without a network"},
		{func(m *model.Model) { m.Loss = loss.SoftmaxCE }, "needs softmax as the last transfer function"},
		{func(m *model.Model) { m.Scale = 0 }, "scale is 0"},
		{func(m *model.Model) { m.Scale = math.Inf(1) }, "scale is +Inf"},
		{func(m *model.Model) { m.Scale = math.NaN() }, "scale is NaN"},
		{func(m *model.Model) { m.Target = 7 }, "unknown target 7"},
		{func(m *model.Model) { m.Weights = m.Network.Weights()[1:] }, "weights of 2 layers for a network of 3"},
		{func(m *model.Model) { m.Network.Weights()[1].Data[0] = float32(math.Inf(-1)) }, "layer 1 has a weight that is -Inf"},
		{func(m *model.Model) {
			m.Network, _ = nn.New(nn.Arch{Widths: []int{2, 3}, Transfer: []transfer.Func{transfer.Sigmoid}})
		}, "2 inputs and 3 outputs"},
		{func(m *model.Model) { m.Network, _ = nn.FromLayers(odd{nn.NewDense(2, 2, transfer.Sigmoid)}) }, "only networks of dense layers"},
	} {
		m := example(t)
		c.spoil(m)
		assert.ErrorContains(t, model.Encode(&bytes.Buffer{}, m), c.want)
		path := filepath.Join(t.TempDir(), "model")
		assert.ErrorContains(t, model.Save(path, m), path)
		_, err := os.Stat(path)
		assert.ErrorIs(t, err, os.ErrNotExist, "nothing is left behind")
	}
}

// odd is a layer of a kind that files don't know.
type odd struct{ nn.Layer }

func TestLoadRefuses(t *testing.T) {
	good := example(t)
	b := encode(t, good)
	parsed, err := tensorfile.Decode(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	for _, c := range []struct {
		key, value string // of the metadata
		tensors    func([]plan.Tensor) []plan.Tensor
		want       string
	}{
		{key: "format", value: "locoprop-checkpoint", want: `not a model file: format is "locoprop-checkpoint"`},
		{key: "version", value: "3", want: `version "3"; this program reads versions 1 and 2`},
		{key: "architecture", value: "", want: `architecture is ""`},
		{key: "architecture", value: "5,3,x,5", want: "must be widths with commas between"},
		{key: "architecture", value: "5,3,2,0", want: "width 3 is 0"},
		{key: "architecture", value: "5,3,2,2000000", want: "width 3 is 2000000"},
		{key: "architecture", value: "5,3,5", want: "needs 2 transfer functions, not 3"},
		{key: "architecture", value: "5,3,2,1048576", want: "shape [5 2]; the architecture needs [1048576 2]"},
		{key: "transfer", value: "tanh,softmax,sigmoid", want: "softmax in hidden layer 1"},
		{key: "transfer", value: "tanh,tan,sigmoid", want: `unknown transfer function "tan"`},
		{key: "loss", value: "softmax-ce", want: "needs softmax as the last transfer function"},
		{key: "loss", value: "", want: `unknown loss ""`},
		{key: "target", value: "both", want: `unknown target "both"; known are input, label`},
		{key: "scale", value: "", want: `scale is ""`},
		{key: "scale", value: "-1", want: "scale is -1"},
		{tensors: func(x []plan.Tensor) []plan.Tensor { return x[1:] }, want: "5 arrays; an architecture of 3 layers has 6"},
		{tensors: func(x []plan.Tensor) []plan.Tensor { x[0].Name = "layers.7.bias"; return x }, want: "array layers.0.bias is missing"},
		{tensors: func(x []plan.Tensor) []plan.Tensor { x[0].F32, x[0].I64 = nil, make([]int64, 3); return x }, want: "array layers.0.bias isn't of type F32"},
		{tensors: func(x []plan.Tensor) []plan.Tensor { x[0].Shape = []int{3, 1}; return x }, want: "array layers.0.bias has shape [3 1]; the architecture needs [3]"},
		{tensors: func(x []plan.Tensor) []plan.Tensor {
			x[2].F32 = []float32{1, float32(math.NaN())}[:len(x[2].F32)]
			return x
		}, want: "layer 1 has a weight that is NaN"},
	} {
		meta := maps.Clone(parsed.Meta)
		if c.key != "" {
			meta[c.key] = c.value
		}
		list := append([]plan.Tensor(nil), parsed.Tensors...)
		if c.tensors != nil {
			list = c.tensors(list)
		}
		path := filepath.Join(t.TempDir(), "m")
		write(t, path, list, meta)
		_, err := model.Load(path)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, path)
		assert.ErrorIs(t, err, dataset.ErrData)
	}
}

func write(t *testing.T, path string, list []plan.Tensor, meta map[string]string) {
	t.Helper()
	tensors := make([]tensorfile.Tensor, len(list))
	for i, x := range list {
		tensors[i].Tensor = x
	}
	var b bytes.Buffer
	require.NoError(t, tensorfile.Write(&b, tensors, meta))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
}

func TestLoadDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	_, err := model.Load(path)
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorIs(t, err, dataset.ErrData)
	b := encode(t, example(t))
	for _, n := range []int{0, 7, 8, 100, len(b) / 2, len(b) - 1} {
		require.NoError(t, os.WriteFile(path, b[:n], 0o600))
		_, err := model.Load(path)
		assert.ErrorContains(t, err, path)
		assert.ErrorIs(t, err, dataset.ErrData)
	}
	b[len(b)-3] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	_, err = model.Load(path)
	assert.EqualError(t, err, path+": damaged: its content and its sha256 don't agree")
}

func TestTargetNames(t *testing.T) {
	for i, name := range model.TargetNames {
		got, err := model.ParseTarget(name)
		require.NoError(t, err)
		assert.Equal(t, model.Target(i), got)
		assert.Equal(t, name, got.String())
	}
	assert.Equal(t, "model.Target(9)", model.Target(9).String())
}

// Weights with gaps between rows are saved without them.
func TestSaveStridedWeights(t *testing.T) {
	m := example(t)
	want := encode(t, m)
	for _, w := range m.Network.Weights() {
		padded := backend.NewPadded(w.Rows, w.Cols)
		backend.Copy(padded, w)
		m.Weights = append(m.Weights, padded)
	}
	assert.Equal(t, want, encode(t, m))
}

func scaled(t *testing.T) *model.Model {
	t.Helper()
	n, err := nn.New(nn.Arch{Widths: []int{3, 2}, Transfer: []transfer.Func{transfer.Softmax}})
	require.NoError(t, err)
	n.Init(nn.Glorot, 3)
	return &model.Model{
		Network: n, Loss: loss.SoftmaxCE, Target: model.Label, Scale: 1, Classes: []string{"no", `"yes", or so`},
		Scaling: &dataset.Scaling{Shift: []float64{1.7e9 + 0.25, 0, -1}, Divisor: []float64{0.1, 1, 3}, Clip: true},
	}
}

// Scaling and names of classes come back exactly; a model without them is the file that
// it always was (TestContent).
func TestScalingAndClasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	for name, change := range map[string]func(*model.Model){
		"both":         func(*model.Model) {},
		"scaling only": func(m *model.Model) { m.Classes, m.Scaling.Clip = nil, false },
		"classes only": func(m *model.Model) { m.Scaling = nil },
	} {
		m := scaled(t)
		change(m)
		require.NoError(t, model.Save(path, m), name)
		got, err := model.Load(path)
		require.NoError(t, err, name)
		assert.Equal(t, m.Scaling, got.Scaling, name)
		assert.Equal(t, m.Classes, got.Classes, name)
		b := encode(t, m)
		f, err := tensorfile.Decode(bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		assert.Equal(t, "2", f.Meta["version"], name)
	}
}

func TestScalingAndClassesRefuse(t *testing.T) {
	for want, spoil := range map[string]func(*model.Model){
		"2 shifts and 3 divisors; examples have 3 values": func(m *model.Model) { m.Scaling.Shift = m.Scaling.Shift[1:] },
		"place 1 has shift 0 and divisor 0":               func(m *model.Model) { m.Scaling.Divisor[1] = 0 },
		"place 0 has shift NaN":                           func(m *model.Model) { m.Scaling.Shift[0] = math.NaN() },
		"1 names of classes; the network has 2 outputs":   func(m *model.Model) { m.Classes = m.Classes[1:] },
	} {
		m := scaled(t)
		spoil(m)
		assert.ErrorContains(t, model.Encode(&bytes.Buffer{}, m), want)
	}
	b := encode(t, scaled(t))
	parsed, err := tensorfile.Decode(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	for want, c := range map[string]struct{ key, value, drop string }{
		"classes are \"no\"; must be a JSON array":      {key: "classes", value: "no"},
		"4 arrays; an architecture of 1 layers has 2":   {key: "version", value: "1"},
		"array input.divisor must be of type F64":       {drop: "input.divisor"},
		"3 arrays; an architecture of 1 layers has 2":   {drop: "input.shift"},
		"3 names of classes; the network has 2 outputs": {key: "classes", value: `["a","b","c"]`},
		"array layers.0.bias is missing":                {drop: "layers.0.bias"},
	} {
		meta := maps.Clone(parsed.Meta)
		if c.key != "" {
			meta[c.key] = c.value
		}
		var list []plan.Tensor
		for _, x := range parsed.Tensors {
			if x.Name != c.drop {
				list = append(list, x)
			}
		}
		if c.drop == "layers.0.bias" {
			list = append(list, plan.Tensor{Name: "other", Shape: []int{1}, F32: []float32{0}})
		}
		path := filepath.Join(t.TempDir(), "m")
		write(t, path, list, meta)
		_, err := model.Load(path)
		assert.ErrorContains(t, err, want)
	}
}
