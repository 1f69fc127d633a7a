package dataset

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestBytesRows(t *testing.T) {
	const untouched = -7
	rapid.Check(t, func(t *rapid.T) {
		n, dim := rapid.IntRange(1, 9).Draw(t, "n"), rapid.IntRange(1, 40).Draw(t, "dim")
		scale := rapid.SampledFrom([]float64{255, 1, 256, 0.3}).Draw(t, "scale")
		b, err := NewBytes(counting(n*dim), []int{dim}, scale, nil)
		if err != nil {
			t.Fatal(err)
		}
		index := rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 12).Draw(t, "index")
		stride := dim + rapid.IntRange(0, 3).Draw(t, "gap")
		dst := blas32.General{Rows: len(index), Cols: dim, Stride: stride, Data: make([]float32, len(index)*stride+2)}
		for i := range dst.Data {
			dst.Data[i] = untouched
		}
		if err := b.Rows(dst, index); err != nil {
			t.Fatal(err)
		}
		for i, got := range dst.Data {
			want := float32(untouched)
			if r, c := i/stride, i%stride; r < len(index) && c < dim {
				want = float32(float64(byte(index[r]*dim+c)) / scale)
			}
			if got != want {
				t.Fatalf("entry %d: got %v, want %v", i, got, want)
			}
		}
	})
}

// Dividing in float32 and in float64 with one rounding to float32 agree for bytes.
func TestBytesScaleIsASingleDivision(t *testing.T) {
	b, err := NewBytes(counting(256), []int{16, 16}, 255, nil)
	require.NoError(t, err)
	for p, v := range b.value {
		require.Equal(t, float32(p)/255, v)
	}
	require.Equal(t, []float32{0, 1}, []float32{b.value[0], b.value[255]})
	require.Equal(t, 255.0, b.Scale())
}

func TestBytesRowsPanicsOnMisuse(t *testing.T) {
	b, err := NewBytes(counting(12), []int{2, 2}, 255, nil)
	require.NoError(t, err)
	mat := func(rows, cols, stride, data int) blas32.General {
		return blas32.General{Rows: rows, Cols: cols, Stride: stride, Data: make([]float32, data)}
	}
	for _, c := range []struct {
		dst   blas32.General
		index []int
	}{
		{mat(2, 4, 4, 8), []int{0}},
		{mat(1, 3, 4, 8), []int{0}},
		{mat(2, 4, 3, 8), []int{0, 1}},
		{mat(2, 4, 5, 8), []int{0, 1}},
		{mat(1, 4, 4, 4), []int{3}},
		{mat(1, 4, 4, 4), []int{-1}},
	} {
		require.Panics(t, func() { _ = b.Rows(c.dst, c.index) }, "%v %v", c.dst, c.index)
	}
	require.NoError(t, b.Rows(mat(2, 4, 5, 9), []int{2, 2}), "the last row needs no gap")
	require.NoError(t, b.Rows(mat(0, 4, 4, 0), nil))
}

func TestNewBytesRefuses(t *testing.T) {
	for _, c := range []struct {
		n      int
		shape  []int
		scale  float64
		labels []int32
		want   string
	}{
		{12, []int{5}, 255, nil, "12 bytes are not a whole number of examples of 5 bytes"},
		{12, nil, 255, nil, "shape of an example is [], must be one or more dimensions, each ≥ 1"},
		{12, []int{3, 0}, 255, nil, "shape of an example is [3 0], must be"},
		{12, []int{math.MaxInt, 2}, 255, nil, "shape of an example is"},
		{12, []int{4}, 0, nil, "scale is 0, must be positive and finite"},
		{12, []int{4}, math.NaN(), nil, "scale is NaN"},
		{12, []int{4}, math.Inf(1), nil, "scale is +Inf"},
		{12, []int{4}, 255, []int32{1, 2}, "2 labels for 3 examples"},
		{12, []int{4}, 255, []int32{1, -2, 0}, "label of example 1 is -2, must be ≥ 0"},
	} {
		b, err := NewBytes(counting(c.n), c.shape, c.scale, c.labels)
		require.Nil(t, b)
		require.ErrorContains(t, err, c.want)
	}
}

func TestRowsFromManyGoroutines(t *testing.T) {
	b, err := NewBytes(counting(1000), []int{10}, 255, nil)
	require.NoError(t, err)
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			dst := blas32.General{Rows: 1, Cols: 10, Stride: 10, Data: make([]float32, 10)}
			for i := range b.Len() {
				if b.Rows(dst, []int{i}) != nil || dst.Data[w] != b.value[b.Example(i)[w]] {
					t.Errorf("example %d is wrong", i)
				}
			}
		})
	}
	group.Wait()
}

func TestRowsAllocatesNothing(t *testing.T) {
	s := curves().Test
	dst := blas32.General{Rows: 100, Cols: 784, Stride: 785, Data: make([]float32, 100*785)}
	index := make([]int, 100)
	Order(index, 1, 0)
	require.Zero(t, testing.AllocsPerRun(5, func() {
		if s.Rows(dst, index) != nil {
			t.Error("failed")
		}
	}))
}

func TestOrder(t *testing.T) {
	draw := func(seed uint32, epoch int) []int {
		dst := make([]int, 50)
		Order(dst, seed, epoch)
		return dst
	}
	require.Equal(t, draw(1, 3), draw(1, 3))
	require.NotEqual(t, draw(1, 3), draw(1, 4))
	require.NotEqual(t, draw(1, 3), draw(2, 3))
	sorted := slices.Sorted(slices.Values(draw(1, 3)))
	for i, v := range sorted {
		require.Equal(t, i, v)
	}
}

func TestList(t *testing.T) {
	var names []string
	for _, i := range List() {
		names = append(names, i.Name)
		require.NotEmpty(t, i.Description)
		require.Equal(t, i.Generated, i.Files == "", i.Name)
	}
	require.Equal(t, []string{"curves", "mnist", "fashion-mnist", "idx", "csv", "npy"}, names)
}

// A batch is written straight into a network's input, whose last column stays as it is.
func ExampleSplit() {
	data := Curves(1, 1000, 0) // seed 1, 1,000 training images, no test images
	order := make([]int, data.Train.Len())
	Order(order, 1, 0)

	const batch = 100
	width := data.Dim() + 1
	x := make([]float32, batch*width)
	view := blas32.General{Rows: batch, Cols: data.Dim(), Stride: width, Data: x}
	if err := data.Train.Rows(view, order[:batch]); err != nil {
		fmt.Println(err)
		return
	}
	lo, hi := slices.Min(x), slices.Max(x)
	fmt.Println(view.Rows, view.Cols, lo, hi)
	// Output: 100 784 0 1
}

func ExampleCurve_Render() {
	image := make([]byte, CurveSide*CurveSide)
	Curve{X: [3]float64{4, 14, 24}, Y: [3]float64{6, 20, 9}}.Render(image)
	for r := 0; r < CurveSide; r += 2 {
		for c := range CurveSide {
			fmt.Print(string(".+#"[int(image[r*CurveSide+c])*2/255]))
		}
		fmt.Println()
	}
	// Output:
	// ............................
	// ............................
	// ............................
	// ...++.......................
	// ....++.................++...
	// .....#+...............+#....
	// ......#..............+#.....
	// .......#+...........++......
	// ........++.........#+.......
	// ..........#+.....#+.........
	// .............+++............
	// ............................
	// ............................
	// ............................
}
