package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultTestShare is the share of a file's examples that are for testing where nothing
// else is said and there is no file of test examples.
const DefaultTestShare = 0.2

// TableOptions are those of [LoadCSV] and [LoadNPY]. The zero value reads all examples
// without labels, as training examples unless the folder has a file of test examples;
// the command line's own default of TestShare is [DefaultTestShare].
type TableOptions struct {
	// Labels asks for labels. A CSV file has them in its LabelColumn, an NPY file
	// x.npy in x-labels.npy beside it.
	Labels bool

	// Test is the file of test examples. Empty: the one that lies in the folder of the
	// data set, and where there is none, some of the training examples.
	Test string

	// TestShare is the share of the examples that are for testing where there is no
	// file of them, from 0 to below 1; 0 leaves the test split empty. Which they are
	// follows from Seed and the number of examples alone.
	TestShare float64
	Seed      uint32

	// LabelColumn of a CSV file, by its name, its number from 1, or its number from the
	// end, -1 the last. It isn't part of the values, with or without Labels.
	LabelColumn string

	// Header says whether a CSV file begins with one.
	Header Header

	// Classes are the names of the classes in the order of their labels, as a model has
	// them; empty but not nil: labels are whole numbers from 0. Where it is nil, the
	// training file decides: whole numbers from 0 are labels as they are, and other
	// names, or negative numbers, get labels from 0 in ascending order of their text.
	Classes []string
}

// check returns all that is wrong with the options, whatever the files hold.
func (o *TableOptions) check(file string, csv bool) error {
	var errs []error
	if o.Labels && o.LabelColumn == "" && csv {
		errs = append(errs, errorf(file, "labels are asked for: --label-column must name their column"))
	}
	if !(o.TestShare >= 0 && o.TestShare < 1) {
		errs = append(errs, errorf(file, "share of %v for testing; must be from 0 to below 1", o.TestShare))
	}
	if int(o.Header) >= len(HeaderNames) {
		errs = append(errs, errorf(file, "unknown answer %d to whether there is a header; known are 0 to %d", o.Header, len(HeaderNames)-1))
	}
	return errors.Join(errs...)
}

// LoadCSV loads the data set "csv" from a file of training examples as [ReadCSV] takes
// it, or from a folder that holds train.csv and, where there is one, test.csv, plain or
// with .gz. The test file must have the columns of the training file. Where ctx ends, so
// does the reading, with its error.
func LoadCSV(ctx context.Context, path string, o TableOptions) (*Data, error) {
	trainFile, testFile, err := tableFiles(path, ".csv", o)
	if err != nil {
		return nil, err
	}
	if err := o.check(trainFile, true); err != nil {
		return nil, err
	}
	train, err := readCSV(ctx, trainFile, o)
	if err != nil {
		return nil, err
	}
	files := []*csvFile{train}
	if testFile != "" {
		test, err := readCSV(ctx, testFile, o)
		if err != nil {
			return nil, err
		}
		if err := train.sameColumns(test); err != nil {
			return nil, err
		}
		files = append(files, test)
	}
	d := &Data{Name: "csv", Scale: 1}
	if o.Labels {
		if d.ClassNames = o.Classes; o.Classes == nil {
			d.ClassNames = train.classes()
		}
	}
	splits := make([]*Numbers, len(files))
	for i, f := range files {
		splits[i] = f.numbers()
		if !o.Labels {
			continue
		}
		if splits[i].labels, err = f.labelsFor(d.ClassNames); err != nil {
			return nil, err
		}
	}
	return d.arrange(splits, []string{trainFile, testFile}, o)
}

// LoadNPY loads the data set "npy" from a file of training examples as [ReadNPY] takes
// it, or from a folder that holds train.npy and, where there is one, test.npy. Labels are
// in files of their own, as [ReadNPYLabels] takes them: train-labels.npy for train.npy.
// Examples of two dimensions count as images. Where ctx ends, so does the reading, with its
// error.
func LoadNPY(ctx context.Context, path string, o TableOptions) (*Data, error) {
	trainFile, testFile, err := tableFiles(path, ".npy", o)
	if err != nil {
		return nil, err
	}
	if err := o.check(trainFile, false); err != nil {
		return nil, err
	}
	var splits []*Numbers
	for _, file := range []string{trainFile, testFile} {
		if file == "" {
			continue
		}
		s, err := loadNPYSplit(ctx, file, o)
		if err != nil {
			return nil, errors.Join(err, closeAll(splits))
		}
		splits = append(splits, s)
	}
	d := &Data{Name: "npy", Scale: 1}
	if shape := splits[0].Shape(); len(shape) == 2 {
		d.Height, d.Width = shape[0], shape[1]
	}
	if d, err = d.arrange(splits, []string{trainFile, testFile}, o); err != nil {
		return nil, errors.Join(err, closeAll(splits))
	}
	return d, nil
}

// loadNPYSplit reads a file of examples and, where they are asked for, that of its labels.
func loadNPYSplit(ctx context.Context, file string, o TableOptions) (*Numbers, error) {
	s, err := ReadNPY(ctx, file)
	if err != nil || !o.Labels {
		return s, err
	}
	labelFile := strings.TrimSuffix(file, ".npy") + "-labels.npy"
	labels, err := ReadNPYLabels(ctx, labelFile)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.setLabels(labels); err != nil {
		err = errorf(labelFile, "%d labels, must be %d as there are examples in %s", len(labels), s.Len(), file)
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// closeAll closes splits that nobody will use.
func closeAll(splits []*Numbers) error {
	var errs []error
	for _, s := range splits {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// tableFiles finds the file of training examples and that of test examples, "" where
// there is none.
func tableFiles(path, ext string, o TableOptions) (train, test string, err error) {
	if path == "" {
		return "", "", errorf("", "data set %s is read from files: --data must name a %s file, or a folder that holds train%s", ext[1:], ext, ext)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", errorf(path, "no such file or folder; --data names a %s file, or a folder that holds train%s", ext, ext)
	case err != nil:
		return "", "", ioError(path, "can't read", err)
	case !info.IsDir():
		return path, o.Test, nil
	}
	name, err := find(path, "train"+ext)
	if err != nil {
		return "", "", err
	}
	if name == "" {
		return "", "", errorf(filepath.Join(path, "train"+ext), "no such file; --data names the folder that holds it, or a %s file", ext)
	}
	train = filepath.Join(path, name)
	if o.Test != "" {
		return train, o.Test, nil
	}
	if name, err = find(path, "test"+ext); err != nil || name == "" {
		return train, "", err
	}
	return train, filepath.Join(path, name), nil
}

// arrange makes training and test split of one file's examples or of two files'.
func (d *Data) arrange(splits []*Numbers, files []string, o TableOptions) (*Data, error) {
	all := splits[0]
	switch {
	case len(splits) > 1:
		if test := splits[1]; !slices.Equal(all.Shape(), test.Shape()) {
			return nil, errorf(files[1], "examples are %s, must be %s as in %s", times(test.Shape()), times(all.Shape()), files[0])
		}
		d.Train, d.Test = all, splits[1]
	case o.TestShare > 0 && all.Len() > 1:
		train, test := holdOut(all.Len(), o.TestShare, o.Seed)
		d.Train, d.Test = all.subset(train), all.subset(test)
	case o.TestShare == 0:
		d.Train, d.Test = all, all.subset([]int{})
	default:
		return nil, errorf(files[0], "%d examples can't give a share of %v for testing; must be 2 or more", all.Len(), o.TestShare)
	}
	if !o.Labels {
		return d, nil
	}
	if d.Classes = len(d.ClassNames); d.Classes > 0 {
		return d, nil
	}
	d.Classes = int(slices.Max(all.labels)) + 1
	if len(splits) > 1 {
		for i, l := range splits[1].labels {
			if int(l) >= d.Classes {
				return nil, errorf(files[1], "label of example %d is %d, the training labels are 0 to %d", i, l, d.Classes-1)
			}
		}
	}
	return d, nil
}
