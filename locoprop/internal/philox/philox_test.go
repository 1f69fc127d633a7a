package philox

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Known answers from the test vectors that come with Random123 (philox4x32, 10 rounds).
func TestBlockKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{f, f, f, f},
			[2]uint32{f, f},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	} {
		require.Equal(t, c.want, Block(c.counter, c.key))
	}
}

// The purposes' numbers decide what a seed means; a change would change every run.
func TestPurposesAreFixed(t *testing.T) {
	require.Equal(t, []Purpose{0, 1, 2, 3, 4, 5}, []Purpose{Init, Order, Curves, Targets, Local, Split})
}

func TestStreamLaysOutCounterAndKey(t *testing.T) {
	const seed, index = 7, uint64(3)<<32 | 5
	s := New(seed, Targets, index)
	const far = uint64(1)<<40 | 9 // block number above 32 bits
	for _, j := range []uint64{far, 0, 3, 4, far + 1, 5, 2, 4} {
		b := j / 4
		want := Block([4]uint32{5, 3, uint32(b), uint32(b >> 32)}, [2]uint32{seed, 3})[j%4]
		require.Equal(t, want, s.Word(j), "word %d", j)
	}
}

func TestStreamIsRandomAccess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, index := rapid.Uint32().Draw(t, "seed"), rapid.Uint64().Draw(t, "index")
		p := Purpose(rapid.Uint32Range(0, 4).Draw(t, "purpose"))
		s := New(seed, p, index)
		for _, j := range rapid.SliceOfN(rapid.Uint64(), 1, 20).Draw(t, "j") {
			fresh := New(seed, p, index)
			if got, want := s.Word(j), fresh.Word(j); got != want {
				t.Fatalf("word %d: %#x after other reads, %#x alone", j, got, want)
			}
		}
	})
}

func TestUniform(t *testing.T) {
	s := New(1, Init, 0)
	const n = 1 << 16
	var sum, squares float64
	for j := range uint64(n) {
		u := s.Uniform(j)
		require.Equal(t, float64(2*(s.Word(j)>>9)+1)/16777216, u)
		require.Equal(t, u, float64(float32(u)), "exact in float32")
		require.True(t, u > 0 && u < 1)
		sum += u
		squares += (u - 0.5) * (u - 0.5)
	}
	// Five standard errors: of the mean √(1/12n), of the variance √(1/180n).
	require.InDelta(t, 0.5, sum/n, 5/math.Sqrt(12*n))
	require.InDelta(t, 1.0/12, squares/n, 5/math.Sqrt(180*n))
}

func TestPermutationIsFisherYatesFromTheEnd(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 1000} {
		got := make([]int, n)
		for i := range got {
			got[i] = -1 // what was there doesn't matter
		}
		Permutation(got, 4, Order, 9)
		want := make([]int, n)
		for i := range want {
			want[i] = i
		}
		s := New(4, Order, 9)
		for k := 0; k < n-1; k++ {
			i := n - 1 - k
			j := int(math.Floor(float64(s.Word(uint64(k))) / 4294967296 * float64(i+1)))
			want[i], want[j] = want[j], want[i]
		}
		require.Equal(t, want, got, "n = %d", n)
		slices.Sort(got)
		for i, v := range got {
			require.Equal(t, i, v)
		}
	}
}

func TestPermutationDependsOnEveryKey(t *testing.T) {
	draw := func(seed uint32, p Purpose, index uint64) []int {
		p100 := make([]int, 100)
		Permutation(p100, seed, p, index)
		return p100
	}
	base := draw(1, Order, 0)
	require.Equal(t, base, draw(1, Order, 0))
	require.NotEqual(t, base, draw(2, Order, 0))
	require.NotEqual(t, base, draw(1, Local, 0))
	require.NotEqual(t, base, draw(1, Order, 1))
	require.NotEqual(t, base, draw(1, Order, 1<<32))
}

func TestNoAllocation(t *testing.T) {
	dst := make([]int, 1000)
	require.Zero(t, testing.AllocsPerRun(10, func() { Permutation(dst, 1, Order, 2) }))
}

func BenchmarkWord(b *testing.B) {
	s := New(1, Init, 0)
	var sum uint32
	j := uint64(0)
	for b.Loop() {
		sum += s.Word(j)
		j++
	}
	_ = sum
}

func BenchmarkPermutation60000(b *testing.B) {
	dst := make([]int, 60000)
	b.ReportAllocs()
	for b.Loop() {
		Permutation(dst, 1, Order, 2)
	}
}
