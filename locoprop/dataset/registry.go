package dataset

// Info describes a data set that --dataset can name.
type Info struct {
	Name        string // as --dataset takes it
	Description string // one line

	// Sizes as distributed or by default; 0 where they depend on the files.
	Train, Test   int // examples
	Height, Width int // pixels of an example
	Classes       int // labels are 0 … Classes−1; 0: no labels, or it depends

	// Generated: made by the program, no file is needed.
	Generated bool

	// Files says which files are read, relative to the folder that --data or
	// LOCOPROP_DATA names; empty where Generated.
	Files string
}

// List gives the data sets in a fixed order, the default first.
func List() []Info {
	return []Info{
		{
			Name:        "curves",
			Description: "smooth curves through three random points, 28x28 grey; generated",
			Train:       CurvesTrain, Test: CurvesTest, Height: CurveSide, Width: CurveSide,
			Generated: true,
		},
		{
			Name:        "mnist",
			Description: "handwritten digits, 28x28 grey (LeCun et al. 1998)",
			Train:       60000, Test: 10000, Height: 28, Width: 28, Classes: 10,
			Files: "mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]",
		},
		{
			Name:        "fashion-mnist",
			Description: "pieces of clothing, 28x28 grey (Xiao et al. 2017)",
			Train:       60000, Test: 10000, Height: 28, Width: 28, Classes: 10,
			Files: "fashion-mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]",
		},
		{
			Name:        "idx",
			Description: "any data set in IDX files of bytes, EMNIST's for example",
			Files:       "PREFIX*{train,t10k,test}-{images-idx3,labels-idx1}-ubyte[.gz]; PREFIX is --data-prefix",
		},
		{
			Name:        "csv",
			Description: "lines of numbers with commas between, labels in a column",
			Files:       "{train,test}.csv[.gz], or --data FILE; --label-column, --test-data, --test-share",
		},
		{
			Name:        "npy",
			Description: "arrays of NumPy: float32, float64 or bytes, examples first",
			Files:       "{train,test}{,-labels}.npy, or --data FILE; --test-data, --test-share",
		},
	}
}
