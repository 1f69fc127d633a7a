// Package philox gives random numbers as a pure function of what they are for.
//
// There is no generator state: word j of a stream depends on (seed, purpose, index, j)
// and on nothing else, so a resumed run needs no saved generator, and work may be done
// in any order and by any number of goroutines. The function is Philox4x32-10 of
// Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011:
//
//	key      = (seed, purpose)
//	counter  = (index mod 2³², index ≫ 32, block mod 2³², block ≫ 32),  block = j/4
//	word j   = output j mod 4 of that block
package philox

// Purpose says what a stream is for: streams of different purposes are independent
// under the same seed. The values are part of what a seed means: they never change.
type Purpose uint32

// The purposes and the meaning of their index.
const (
	Init    Purpose = 0 // initial weights; index: the layer
	Order   Purpose = 1 // order of the training examples; index: the epoch, or window·2³² + epoch
	Curves  Purpose = 2 // the generated curves; index: split·2³² + image
	Targets Purpose = 3 // targets sampled from the model; index: the step
	Local   Purpose = 4 // random choices within a local problem; index: the step
	Split   Purpose = 5 // which examples of a file are for testing; index: 0
)

const (
	mul0, mul1 = 0xD2511F53, 0xCD9E8D57 // multipliers of the two halves
	bump0      = 0x9E3779B9             // 2³²·(golden ratio − 1), added to key word 0 each round
	bump1      = 0xBB67AE85             // 2³²·(√3 − 1), added to key word 1 each round
	rounds     = 10
)

// Block is Philox4x32-10: the four words that belong to a counter under a key.
func Block(counter [4]uint32, key [2]uint32) [4]uint32 {
	c0, c1, c2, c3 := counter[0], counter[1], counter[2], counter[3]
	k0, k1 := key[0], key[1]
	for range rounds {
		p0, p1 := uint64(mul0)*uint64(c0), uint64(mul1)*uint64(c2)
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0, k1 = k0+bump0, k1+bump1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// Stream reads the words of one (seed, purpose, index) in any order. It keeps the
// block last read, so reading in ascending order computes each block once. A Stream
// is a plain value, made by [New]; one Stream must not be shared between goroutines,
// but any number of equal ones may be.
type Stream struct {
	key   [2]uint32
	index uint64
	block uint64    // number of the block held
	words [4]uint32 // its words
}

// New returns the stream of a seed, a purpose and an index.
func New(seed uint32, p Purpose, index uint64) Stream {
	s := Stream{key: [2]uint32{seed, uint32(p)}, index: index}
	s.load(0)
	return s
}

func (s *Stream) load(block uint64) {
	s.block = block
	s.words = Block([4]uint32{
		uint32(s.index), uint32(s.index >> 32), uint32(block), uint32(block >> 32),
	}, s.key)
}

// Word returns word j of the stream, uniform over all 32-bit values.
func (s *Stream) Word(j uint64) uint32 {
	if block := j / 4; block != s.block {
		s.load(block)
	}
	return s.words[j%4]
}

// Uniform returns word j as a number strictly between 0 and 1:
//
//	u = (2·(word ≫ 9) + 1)·2⁻²⁴
//
// an odd multiple of 2⁻²⁴, exact in float32 too; the 2²³ values are equally likely
// and lie symmetrically about ½.
func (s *Stream) Uniform(j uint64) float64 {
	return float64(2*(s.Word(j)>>9)+1) * (1.0 / (1 << 24))
}

// Permutation writes a random permutation of 0, 1, …, n−1 into dst, n = len(dst) ≤ 2³²:
// [Shuffle] of these numbers in their order. It allocates nothing.
func Permutation(dst []int, seed uint32, p Purpose, index uint64) {
	for i := range dst {
		dst[i] = i
	}
	Shuffle(dst, seed, p, index)
}

// Shuffle puts the n = len(dst) ≤ 2³² entries of dst into a random order. It is the
// shuffle of Fisher and Yates from the end: for i = n−1 down to 1 it swaps entries i and
//
//	j = (word·(i+1)) ≫ 32,   word number n−1−i of the stream (seed, p, index)
//
// so an entry's chances differ from equal by at most n·2⁻³². It allocates nothing.
func Shuffle(dst []int, seed uint32, p Purpose, index uint64) {
	n := len(dst)
	if uint64(n) > 1<<32 {
		panic("philox: a permutation has at most 2³² entries")
	}
	s := New(seed, p, index)
	for i := n - 1; i > 0; i-- {
		j := int(uint64(s.Word(uint64(n-1-i))) * uint64(i+1) >> 32)
		dst[i], dst[j] = dst[j], dst[i]
	}
}
