package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	trainImages = "train-images-idx3-ubyte"
	t10kImages  = "t10k-images-idx3-ubyte"
	testImages  = "test-images-idx3-ubyte"
)

// Options of [LoadNamed] and [LoadDir].
type Options struct {
	// Labels asks for the label files, which must then exist, be sound and have a
	// label for each example. Without it (the default) they are not looked at.
	Labels bool
}

// LoadNamed loads mnist or fashion-mnist from the four files of their distribution,
// plain or compressed:
//
//	root/NAME/train-images-idx3-ubyte[.gz]    root/NAME/train-labels-idx1-ubyte[.gz]
//	root/NAME/t10k-images-idx3-ubyte[.gz]     root/NAME/t10k-labels-idx1-ubyte[.gz]
//
// Where a file is there both plain and compressed, the plain one is read. Their
// numbers of examples and image sizes may be any. Another name is an error, though not
// one of the data, as is the end of ctx, which ends the reading at once.
func LoadNamed(ctx context.Context, root, name string, o Options) (*Data, error) {
	if name != "mnist" && name != "fashion-mnist" {
		return nil, fmt.Errorf("data set %q, must be mnist or fashion-mnist", name)
	}
	if root == "" {
		return nil, errorf("", "data set %s is read from files: --data or LOCOPROP_DATA must name the folder that holds %s", name, name)
	}
	dir := filepath.Join(root, name)
	train, err := findNamed(root, name, trainImages)
	if err != nil {
		return nil, err
	}
	test, err := findNamed(root, name, t10kImages)
	if err != nil {
		return nil, err
	}
	return load(ctx, name, dir, train, test, o)
}

// findNamed looks for a file of a named data set and, where it isn't there, says what
// would help.
func findNamed(root, name, base string) (string, error) {
	dir := filepath.Join(root, name)
	file, err := find(dir, base)
	if file != "" || err != nil {
		return file, err
	}
	hint := "--data or LOCOPROP_DATA names the folder that holds " + name
	if f, _ := find(root, base); f != "" {
		hint = "it lies in " + root + " itself: name the folder above " + name + ", or use --dataset idx"
	}
	return "", errorf(filepath.Join(dir, base), "no such file, nor with .gz; %s", hint)
}

// find gives the name, within dir, of the file base or base.gz, and "" where there is
// neither.
func find(dir, base string) (string, error) {
	for _, name := range []string{base, base + ".gz"} {
		_, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", ioError(filepath.Join(dir, name), "can't read", err)
		}
	}
	return "", nil
}

// LoadDir loads the data set "idx" from a folder of IDX files, such as EMNIST's. The
// folder must hold exactly one file that matches each of
//
//	PREFIX*train-images-idx3-ubyte[.gz]    PREFIX*{t10k,test}-images-idx3-ubyte[.gz]
//
// where an empty prefix matches all names; hidden files (.*) are passed over. Several
// matches are an [*AmbiguousError]. Label files have the same names with labels-idx1
// in place of images-idx3. EMNIST's images are stored with rows and columns exchanged;
// they are taken as they are. Where ctx ends, so does the reading, with its error.
func LoadDir(ctx context.Context, dir, prefix string, o Options) (*Data, error) {
	if dir == "" {
		return nil, errorf("", "data set idx is read from files: --data or LOCOPROP_DATA must name their folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, ioError(dir, "can't list the folder (--data or LOCOPROP_DATA names it)", err)
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); !e.IsDir() && !strings.HasPrefix(n, ".") {
			names = append(names, n)
		}
	}
	train, err := pick(dir, names, prefix, "*"+trainImages+"[.gz]", trainImages)
	if err != nil {
		return nil, err
	}
	test, err := pick(dir, names, prefix, "*{t10k,test}-images-idx3-ubyte[.gz]", t10kImages, testImages)
	if err != nil {
		return nil, err
	}
	return load(ctx, "idx", dir, train, test, o)
}

// pick gives the one name that starts with prefix and ends in one of the endings,
// .gz aside; pattern describes them.
func pick(dir string, names []string, prefix, pattern string, endings ...string) (string, error) {
	var all, matches []string
	for _, n := range names {
		plain := strings.TrimSuffix(n, ".gz")
		if !slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(plain, e) }) {
			continue
		}
		all = append(all, n)
		if strings.HasPrefix(n, prefix) {
			matches = append(matches, n)
		}
	}
	switch {
	case len(matches) == 1:
		return matches[0], nil
	case len(matches) > 1:
		slices.Sort(matches)
		return "", &AmbiguousError{Dir: dir, Pattern: prefix + pattern, Matches: matches}
	case len(all) > 0:
		slices.Sort(all)
		return "", errorf(dir, "no file matches %s; --data-prefix must be the start of one of: %s", prefix+pattern, strings.Join(all, ", "))
	}
	return "", errorf(dir, "no file matches %s; --data or LOCOPROP_DATA names the folder that holds it", prefix+pattern)
}

// load reads both splits and checks that they go together.
func load(ctx context.Context, name, dir, trainFile, testFile string, o Options) (*Data, error) {
	trainFile, testFile = filepath.Join(dir, trainFile), filepath.Join(dir, testFile)
	train, err := loadSplit(ctx, trainFile, o)
	if err != nil {
		return nil, err
	}
	test, err := loadSplit(ctx, testFile, o)
	if err != nil {
		return nil, errors.Join(err, train.Close())
	}
	d := &Data{Name: name, Train: train, Test: test, Scale: byteScale}
	if !slices.Equal(train.Shape(), test.Shape()) {
		err := errorf(testFile, "examples are %s, must be %s as in %s", times(test.Shape()), times(train.Shape()), trainFile)
		return nil, errors.Join(err, d.Close())
	}
	if s := train.Shape(); len(s) == 2 {
		d.Height, d.Width = s[0], s[1]
	}
	if o.Labels {
		d.Classes = int(slices.Max(train.Labels())) + 1
		for i, l := range test.Labels() {
			if int(l) >= d.Classes {
				err := errorf(labelsOf(testFile), "label of example %d is %d, the training labels are 0 to %d", i, l, d.Classes-1)
				return nil, errors.Join(err, d.Close())
			}
		}
	}
	return d, nil
}

func loadSplit(ctx context.Context, images string, o Options) (*Bytes, error) {
	b, err := ReadExamples(ctx, images, byteScale)
	if err != nil || !o.Labels {
		return b, err
	}
	if err := b.loadLabels(ctx, images); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// loadLabels reads the label file that belongs to the image file of b.
func (b *Bytes) loadLabels(ctx context.Context, images string) error {
	dir := filepath.Dir(images)
	name, err := find(dir, filepath.Base(labelsOf(images)))
	if err != nil {
		return err
	}
	if name == "" {
		return errorf(labelsOf(images), "no such file, nor with .gz; the labels of %s are asked for", images)
	}
	labels, err := ReadLabels(ctx, filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if err := b.setLabels(labels); err != nil {
		return errorf(filepath.Join(dir, name), "%d labels, must be %d as there are examples in %s", len(labels), b.Len(), images)
	}
	return nil
}

// labelsOf gives the path of the label file, without .gz, that belongs to an image file.
func labelsOf(images string) string {
	stem := strings.TrimSuffix(strings.TrimSuffix(images, ".gz"), "images-idx3-ubyte")
	return stem + "labels-idx1-ubyte"
}
