package tensorboard_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/tensorboard"
)

func Example() {
	dir, err := os.MkdirTemp("", "tensorboard-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	w, err := tensorboard.Create(dir, 0)
	if err != nil {
		log.Fatal(err)
	}
	for step := range int64(3) {
		if err := w.Add(step, tensorboard.Scalar{Tag: "loss/train", Value: 1 / float64(step+1)}); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, tensorboard.Prefix+"*"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(files), "file; show it by tensorboard --logdir FOLDER")
	// Output: 1 file; show it by tensorboard --logdir FOLDER
}
