package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/nn"
)

// layersName begins the keys of settings for one layer of the network.
const layersName = "layers"

// LayerKeys lists the keys that may be set for one layer of the network.
func LayerKeys() []string { return keysOf(localSettings) }

// LayerKey is the key of a setting for one layer of the network: layers.3.gamma.
func LayerKey(layer int, key string) string { return fmt.Sprintf("%s.%d.%s", layersName, layer, key) }

// SplitLayerKey undoes [LayerKey]; ok tells whether key is of that form. Whether there is
// such a setting is not looked at.
func SplitLayerKey(key string) (layer int, name string, ok bool) {
	table, number, name := "", "", ""
	if parts := strings.SplitN(key, ".", 3); len(parts) == 3 {
		table, number, name = parts[0], parts[1], parts[2]
	}
	layer, err := strconv.Atoi(number)
	return layer, name, table == layersName && err == nil && layer >= 0 && strconv.Itoa(layer) == number
}

// At is the experiment as it is for one layer (from 0): the settings of the run, and
// over them those of the layer alone.
func (e *Experiment) At(layer int) Experiment {
	x := *e
	x.Layers = nil
	for _, s := range localSettings {
		if text, given := e.Layers[layer][s.key]; given {
			if err := s.set(&x, text); err != nil {
				panic(fmt.Sprintf("catalog: %s: %v", LayerKey(layer, s.key), err)) // Resolve has checked it
			}
		}
	}
	x.settleLocal()
	return x
}

// table is what sources say about one layer of the network.
type table struct {
	Layer       // its keys are those of localSettings
	at    bases // what the table's rates were named for
}

// table is how errors name the settings of one layer of the network: a.toml: layers.3.
func (l Layer) table() string { return strings.TrimSuffix(l.name(""), ".") }

// split takes the settings for single layers of the network out of a source.
func (r *resolver) split(l Layer) (run Layer, tables map[int]Layer) {
	run, tables = Layer{Source: l.Source, Named: l.Named, Values: Values{}}, map[int]Layer{}
	for _, key := range slices.Sorted(maps.Keys(l.Values)) {
		layer, name, ok := SplitLayerKey(key)
		switch {
		case !ok:
			run.Values[key] = l.Values[key]
			continue
		case !slices.Contains(LayerKeys(), name):
			r.errs = append(r.errs, fmt.Errorf("%s: %w", l.name(key), &UnknownError{What: "key", Name: name, Known: LayerKeys()}))
			continue
		}
		t, found := tables[layer]
		if !found {
			t = Layer{Source: l.Source, Named: l.Named, prefix: LayerKey(layer, ""), Values: Values{}}
		}
		t.Values[name] = l.Values[key]
		tables[layer] = t
	}
	return run, tables
}

// note keeps a source's tables, over those of earlier sources, once its settings of the
// run have been applied.
func (r *resolver) note(tables map[int]Layer) {
	for _, layer := range slices.Sorted(maps.Keys(tables)) {
		t := tables[layer]
		if !local(r.e) {
			r.fail("%s: %s", t.table(), condition{needs: localOnly}.text(r.e))
			continue
		}
		merged := maps.Clone(r.tables[layer].Values)
		if merged == nil {
			merged = Values{}
		}
		for key, other := range map[string]string{"gamma": "gamma-per-example", "gamma-per-example": "gamma"} {
			if _, given := t.Values[key]; given { // the later of the two
				delete(merged, other)
			}
		}
		maps.Copy(merged, t.Values)
		t.Values = merged
		r.tables[layer] = table{t, r.overlay(t).e.bases()}
	}
}

// overlay applies a layer's settings to a copy of the experiment.
func (r *resolver) overlay(t Layer) *resolver {
	x := *r.e
	x.Layers = nil
	over := &resolver{e: &x}
	over.apply(t)
	return over
}

// finishLayers settles the settings of single layers over those of the run, which are
// settled already.
func (r *resolver) finishLayers() {
	e := r.e
	e.Layers = nil
	if !local(e) { // tables of an earlier source than the one that named the method
		return
	}
	last := len(e.Arch.Widths) - 2
	for _, layer := range slices.Sorted(maps.Keys(r.tables)) {
		t := r.tables[layer]
		if layer > last {
			r.fail("%s: the network has layers 0 to %d", t.table(), last)
			continue
		}
		over := r.overlay(t.Layer)
		if now := over.e.bases(); now != t.at { // the run's method changed since: its rates are another's
			t.Values = maps.Clone(t.Values)
			if now.otherEta(t.at) {
				delete(t.Values, "lr")
			}
			if now.otherGamma(t.at, true) {
				delete(t.Values, "gamma")
				delete(t.Values, "gamma-per-example")
			}
			over = r.overlay(t.Layer)
		}
		over.settle()
		if err := over.finishRate(); err != nil {
			over.fail("%s: %w", t.table(), err)
		}
		if err := errors.Join(over.errs...); err != nil {
			r.errs = append(r.errs, err)
			continue
		}
		if e.Layers == nil {
			e.Layers = map[int]Values{}
		}
		e.Layers[layer] = differences(over.e, e, t.Values)
	}
}

// differences are the settings of a layer that were given, that the run hasn't, or that
// have another value there.
func differences(layer, run *Experiment, given Values) Values {
	v := Values{}
	for _, s := range localSettings {
		if s.missing(layer) != "" {
			continue
		}
		text := s.get(layer)
		if text == "" {
			continue
		}
		if _, named := given[s.key]; named || s.missing(run) != "" || s.get(run) != text {
			v[s.key] = text
		}
	}
	return v
}

// checkMethod plans the method for a network with the experiment's layers, but of one
// unit each: all that is wrong with it but for sizes.
func (e *Experiment) checkMethod(a nn.Arch) error {
	method, err := e.BuildMethod()
	if err != nil {
		return err
	}
	for i := range a.Widths {
		a.Widths[i] = 1
	}
	net, err := nn.New(a)
	if err != nil {
		return err
	}
	_, err = method.Plan(net, e.Loss, 1, gonum.New())
	return err
}
