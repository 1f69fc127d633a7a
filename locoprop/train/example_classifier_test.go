package train_test

import (
	"context"
	"fmt"
	"math"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/optimizer"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// A classifier of points by the ring in which they lie, trained and then asked.
func Example_classifier() {
	// 300 points on a spiral, three rings of it; the label is the ring.
	var points []float64
	var labels []int32
	for i := range 300 {
		radius := 0.1 + 0.9*float64(i)/300
		angle := float64(i) * 2.4
		x, y := radius*math.Cos(angle), radius*math.Sin(angle)
		points, labels = append(points, x, y), append(labels, int32(3*i/300))
	}
	examples, err := dataset.NewNumbers(points, 2, labels)
	if err != nil {
		fmt.Println(err)
		return
	}
	net, err := nn.New(nn.Arch{Widths: []int{2, 16, 3}, Transfer: []transfer.Func{transfer.Tanh, transfer.Softmax}})
	if err != nil {
		fmt.Println(err)
		return
	}
	net.Init(nn.Glorot, 1)
	method, err := locoprop.New(locoprop.Options{Eta: 1e-3, Gamma: 10, Steps: 5, Optimizer: optimizer.New(optimizer.RMSPropTF1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	t, err := train.New(ctx, train.Config{
		Network: net, Loss: loss.SoftmaxCE, Method: method,
		Data:   &dataset.Data{Name: "rings", Train: examples, Classes: 3, Scale: 1},
		Target: train.TargetLabel, Batch: 50, Epochs: 60, EvalEvery: 60,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	result, err := t.Run(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("more than 85 % right:", *result.Last.TrainAccuracy > 0.85)

	predictor, err := model.NewPredictor(t.Model(), model.PredictorOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, radius := range []float64{0.2, 0.55, 0.9} {
		x, y := radius*math.Cos(1), radius*math.Sin(1)
		question := backend.Mat{Rows: 1, Cols: 2, Stride: 2, Data: []float32{float32(x), float32(y)}}
		answer := backend.NewMat(1, 3)
		if err := predictor.Predict(ctx, answer, question); err != nil {
			fmt.Println(err)
			return
		}
		ring := 0
		for k, p := range answer.Data {
			if p > answer.Data[ring] {
				ring = k
			}
		}
		fmt.Printf("a point at radius %.2f is in ring %d\n", radius, ring)
	}
	// Output:
	// more than 85 % right: true
	// a point at radius 0.20 is in ring 0
	// a point at radius 0.55 is in ring 1
	// a point at radius 0.90 is in ring 2
}
