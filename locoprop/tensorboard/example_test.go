package tensorboard_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/tensorboard"
)

func Example() {
	dir, err := os.MkdirTemp("", "tensorboard-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	w, err := tensorboard.Create(dir, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for step := range int64(3) {
		if err := w.Add(step, tensorboard.Scalar{Tag: "loss/train", Value: 1 / float64(step+1)}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, tensorboard.Prefix+"*"))
	fmt.Println(len(files), "file; show it by tensorboard --logdir FOLDER", err)
	// Output: 1 file; show it by tensorboard --logdir FOLDER <nil>
}
