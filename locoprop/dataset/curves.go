package dataset

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Sizes of CURVES where nothing else is asked for.
const (
	CurvesTrain = 20000
	CurvesTest  = 10000
)

// Curves generates the CURVES data set: train + test images of 28 × 28 pixels, each
// the curve [CurveOf] drawn by [Curve.Render], without labels. The usual sizes are
// [CurvesTrain] and [CurvesTest]; both must be in [0, 2³²). Image i of a split is the
// same for every size and on every machine. It takes one byte of memory per pixel.
//
// Hinton and Salakhutdinov (Science 2006) trained on a data set of curves that isn't
// redistributed; this one is in its spirit, and results on the two don't compare.
func Curves(seed uint32, train, test int) *Data {
	return &Data{
		Name:   "curves",
		Train:  curveSplit(seed, 0, train),
		Test:   curveSplit(seed, 1, test),
		Height: CurveSide,
		Width:  CurveSide,
		Scale:  byteScale,
	}
}

func curveSplit(seed, split uint32, n int) *Bytes {
	if n < 0 || uint64(n) >= 1<<32 {
		panic("dataset: number of curves out of range")
	}
	pix := make([]byte, n*curvePixels)
	parallel(n, func(i int) {
		CurveOf(seed, split, uint32(i)).Render(pix[i*curvePixels : (i+1)*curvePixels])
	})
	b, err := NewBytes(pix, []int{CurveSide, CurveSide}, byteScale, nil)
	if err != nil {
		panic(err) // can't happen: the sizes above fit
	}
	return b
}

// parallel calls f(i) for all i in [0, n) from as many goroutines as may run at once.
func parallel(n int, f func(i int)) {
	const chunk = 64 // images that a goroutine takes at a time
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (n+chunk-1)/chunk) {
		group.Go(func() {
			for {
				hi := int(next.Add(chunk))
				for i := hi - chunk; i < min(hi, n); i++ {
					f(i)
				}
				if hi >= n {
					return
				}
			}
		})
	}
	group.Wait()
}
