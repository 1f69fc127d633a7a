package catalog

// Origin tells where the value of a setting comes from.
type Origin struct {
	Layer *Layer // the one that names it; nil: none does
	// Why is what the value follows from where no layer names it: the preset, another
	// setting, the pair of method and optimiser.
	Why string
}

// followed are the settings that others follow where nobody names them.
var followed = map[string]string{
	"loss": "target", "optimizer": "method", "warmup-steps": "schedule", "local-steps": "form", "data-prefix": "dataset",
	"solver-iterations": "solver",
}

// Explain is [Resolve] that also tells where each value of [Experiment.Values] comes from.
func Explain(layers ...Layer) (e Experiment, fromPair *Rate, origins map[string]Origin, err error) {
	t := &tracer{named: map[string]*Layer{}, origins: map[string]Origin{}}
	e, fromPair, err = resolveAll(layers, t.see)
	return e, fromPair, t.origins, err
}

// tracer watches an experiment being made.
type tracer struct {
	before  Values
	named   map[string]*Layer // the last layer that names a key
	origins map[string]Origin
}

// see notes where the values come from that aren't those of before. layer is what has
// changed them: nil for the preset at first, and at the end for what nobody named.
func (t *tracer) see(e *Experiment, layer *Layer, rate *Rate) {
	if layer != nil {
		for key := range layer.Values {
			t.named[key] = layer
		}
	}
	now := e.Values()
	for key, text := range now {
		was, had := t.before[key]
		by := t.named[key]
		switch {
		case by != nil && (by == layer || !had && layer == nil): // settings of single layers show at the end only
			t.origins[key] = Origin{Layer: by}
		case had && was == text:
		case t.before == nil && key != "preset":
			t.origins[key] = Origin{Why: "preset " + e.Preset}
		case layer == nil && rate != nil && (key == "lr" || key == "gamma"):
			t.origins[key] = Origin{Why: "default of " + rate.Pair.String()}
		case followed[key] != "" && now[followed[key]] != "" && t.before != nil:
			t.origins[key] = Origin{Why: "follows " + followed[key] + " " + now[followed[key]]}
		default:
			t.origins[key] = Origin{Why: "default"}
		}
	}
	t.before = now
}
