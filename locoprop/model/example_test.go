package model_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A model in a file, all that predicting needs.
func Example() {
	n, err := nn.New(nn.Arch{Widths: []int{4, 2, 4}, Transfer: []transfer.Func{transfer.Tanh, transfer.Sigmoid}})
	if err != nil {
		fmt.Println(err)
		return
	}
	n.Init(nn.Glorot, 1)
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")
	if err := model.Save(path, &model.Model{Network: n, Loss: loss.SigmoidCE, Target: model.Input, Scale: 255}); err != nil {
		fmt.Println(err)
		return
	}
	m, err := model.Load(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	same := m.Network.Weights()[0].Data[0] == n.Weights()[0].Data[0]
	fmt.Println(m.Loss, m.Target, m.Scale, m.Network.Params(), same)
	// Output:
	// sigmoid-ce input 255 22 true
}
