package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/model"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

// dataKeys are the settings that choose data for a trained model.
var dataKeys = []string{"dataset", "data", "data-prefix", "data-seed", "test-data", "test-share", "label-column", "header"}

func modelFlag() cli.Flag {
	return &cli.StringFlag{Name: "model", Usage: "model `FILE`, as in RUN/model.safetensors", DefaultText: "none: it must be given"}
}

func evalCommand() *cli.Command {
	return &cli.Command{
		Name:        "eval",
		Usage:       "measure a model on a data set",
		UsageText:   "locoprop eval --model FILE [data flags] [--json]",
		Description: "Loss, excess over the least possible loss and, for classifiers, accuracy, on both splits.",
		Flags: append(append([]cli.Flag{modelFlag()}, flagsFor(append([]string{"target", "workers", "backend"}, dataKeys...)...)...),
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"}),
		Action: evaluate,
	}
}

func evaluate(c *cli.Context) error {
	m, err := loadModel(c)
	if err != nil {
		return err
	}
	e, err := dataOf(c, m)
	if err != nil {
		return err
	}
	compute, err := computeOf(c)
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	d, err := e.LoadDataFor(c.Context, m)
	if err != nil {
		return err
	}
	training, test, err := train.Evaluate(c.Context, m, d, compute)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(evaluationObject(d, m, training, test))
	}
	return printEvaluation(c.App.Writer, d.Name, training, test)
}

// loadModel reads the model that --model names.
func loadModel(c *cli.Context) (*model.Model, error) {
	if c.String("model") == "" {
		return nil, usagef("%s needs --model FILE", c.Command.HelpName)
	}
	return model.Load(c.String("model"))
}

// dataOf is an experiment of which only the data count, those for a model.
func dataOf(c *cli.Context, m *model.Model) (*catalog.Experiment, error) {
	l := flagLayer(c)
	target, given := l.Values["target"]
	if given && target != m.Target.String() {
		if _, err := catalog.ParseTarget(target); err != nil {
			return nil, &usageError{fmt.Errorf("--target %s: %w", target, err)}
		}
		return nil, usagef("--target %s: the model was trained for target %v", target, m.Target)
	}
	delete(l.Values, "workers") // checked with the backend
	delete(l.Values, "target")  // of another's experiment; the model's is set below
	e, _, err := catalog.Resolve(l)
	if err != nil {
		return nil, &usageError{err}
	}
	e.Target = m.Target
	if m.Target == model.Label && e.Dataset == "curves" {
		return nil, usagef("--dataset curves: it has no labels, which the model's target is; name another data set")
	}
	return &e, locateData(&e)
}

// computeOf opens the backend and checks the number of workers that flags name.
func computeOf(c *cli.Context) (train.Compute, error) {
	own := environment([]string{"workers", "backend"})
	for key, text := range flagLayer(c).Values {
		if key == "workers" || key == "backend" {
			own.Source, own.Named = "", nil
			own.Values[key] = text
		}
	}
	wanted, _, err := catalog.Resolve(own)
	if err != nil {
		return train.Compute{}, &usageError{err}
	}
	k, err := openBackend(wanted.Backend)
	if err != nil {
		return train.Compute{}, err
	}
	workers, err := workersFor(wanted.Workers, k)
	return train.Compute{Backend: k, Workers: workers}, err
}

// splitObject is one split's result as JSON; what isn't finite is null.
type splitObject struct {
	Examples     int      `json:"examples"`
	Loss         *float64 `json:"loss"`
	Floor        *float64 `json:"floor"`
	Excess       *float64 `json:"excess"`
	SquaredError *float64 `json:"squared_error"`
	Accuracy     *float64 `json:"accuracy,omitempty"`
}

func evaluationObject(d *dataset.Data, m *model.Model, training, test train.Evaluation) any {
	split := func(e train.Evaluation) splitObject {
		return splitObject{e.Examples, finite(e.Loss), finite(e.Floor), finite(e.Excess), finite(e.SquaredError), e.Accuracy}
	}
	return struct {
		Dataset string      `json:"dataset"`
		Target  string      `json:"target"`
		Loss    string      `json:"loss"`
		Train   splitObject `json:"train"`
		Test    splitObject `json:"test"`
	}{d.Name, m.Target.String(), m.Loss.String(), split(training), split(test)}
}

// finite points to a number, nil for one that JSON can't hold.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func printEvaluation(out io.Writer, data string, training, test train.Evaluation) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	accuracy := training.Accuracy != nil
	fmt.Fprintf(w, "%s\texamples\tloss\tfloor\texcess\tsquared error\t", data)
	if accuracy {
		fmt.Fprint(w, "accuracy\t")
	}
	fmt.Fprintln(w)
	for _, s := range []struct {
		name string
		e    train.Evaluation
	}{{"train", training}, {"test", test}} {
		fmt.Fprintf(w, "%s\t%d\t%.4f\t%.4f\t%.4f\t%.6f\t", s.name, s.e.Examples, s.e.Loss, s.e.Floor, s.e.Excess, s.e.SquaredError)
		if accuracy {
			fmt.Fprintf(w, "%.2f %%\t", 100**s.e.Accuracy)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
