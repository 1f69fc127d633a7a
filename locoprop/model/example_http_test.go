package model_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/loss"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/locoprop/locoprop-go/locoprop/transfer"
)

// Predictions in an HTTP handler: one predictor serves all requests at once.
func ExamplePredictor() {
	m, err := exampleModel() // in a server: model.Load("model.safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	predictor, err := model.NewPredictor(m, model.PredictorOptions{Batch: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var x []float32
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&x); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		y := backend.NewMat(1, predictor.Outputs())
		question := backend.Mat{Rows: 1, Cols: len(x), Stride: max(len(x), 1), Data: x}
		if err := predictor.Predict(r.Context(), y, question); err != nil { // a wrong number of values, for example
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(y.Data) // the client has gone where this fails
	}))
	defer server.Close()

	for _, question := range []string{"[0.25, 0.75]", "[1, 2, 3]", "nothing"} {
		response, err := http.Post(server.URL, "application/json", strings.NewReader(question))
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = response.Body.Close()
		fmt.Println(response.StatusCode, strings.TrimSpace(string(answer)))
	}
	// Output:
	// 200 [0.25,0.75]
	// 422 predictor: examples have 3 values; the model reads 2
	// 400 invalid character 'o' in literal null (expecting 'u')
}

// exampleModel gives what it is given.
func exampleModel() (*model.Model, error) {
	n, err := nn.New(nn.Arch{Widths: []int{2, 2}, Transfer: []transfer.Func{transfer.Identity}})
	if err != nil {
		return nil, err
	}
	w := n.Weights()[0]
	w.Data[0], w.Data[w.Stride+1] = 1, 1
	return &model.Model{Network: n, Loss: loss.Squared, Scale: 1}, nil
}
