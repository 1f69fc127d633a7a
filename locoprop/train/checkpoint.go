package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/locoprop/locoprop-go/locoprop/internal/atomicfile"
	"github.com/locoprop/locoprop-go/locoprop/internal/tensorfile"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/locoprop/locoprop-go/locoprop/schedule"
)

// A checkpoint is a safetensors file of the stepper's state. Its metadata hold the
// position, and under the prefix "run." all that must be the same where it is restored.
const (
	checkpointFormat  = "locoprop-checkpoint"
	checkpointVersion = "1"
	runPrefix         = "run."
	settingPrefix     = runPrefix + "setting."
)

// Save writes a checkpoint: all that a trainer with the same configuration, on any
// number of workers, needs to go on bit for bit. The file is written whole or not at
// all.
func (t *Trainer) Save(path string) error { return t.saveTo(atomicfile.OS, path) }

func (t *Trainer) saveTo(fsys atomicfile.FS, path string) error {
	meta := t.identity()
	if err := t.position.put(meta); err != nil {
		return err
	}
	meta["format"], meta["version"] = checkpointFormat, checkpointVersion
	var tensors []tensorfile.Tensor
	for _, s := range t.stepper.State() {
		tensors = append(tensors, tensorfile.Tensor{Tensor: s})
	}
	return atomicfile.Write(fsys, path, func(w io.Writer) error { return tensorfile.Write(w, tensors, meta) })
}

// Restore puts the trainer where a checkpoint stood. The checkpoint must come from a
// run of the same configuration (limits, evaluation, Workers and callbacks aside) on the
// same data; otherwise the error names what differs, and nothing is changed. Every
// error names the file, and errors.Is(err, dataset.ErrData) holds.
func (t *Trainer) Restore(path string) error {
	f, err := tensorfile.Read(path)
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err != nil {
		return &damagedError{err}
	}
	if err := t.restore(f); err != nil {
		return &dataset.Error{Path: path, Err: err}
	}
	return nil
}

func (t *Trainer) restore(f *tensorfile.File) error {
	if got := f.Meta["format"]; got != checkpointFormat {
		return &damagedError{fmt.Errorf("not a checkpoint: format is %q, must be %q", got, checkpointFormat)}
	}
	if got := f.Meta["version"]; got != checkpointVersion {
		return fmt.Errorf("checkpoint of version %q; this program reads version %s", got, checkpointVersion)
	}
	if !f.Checked {
		return &damagedError{errors.New("damaged: a checkpoint has a sha256, and this one has none")}
	}
	if err := differences(f.Meta, t.identity()); err != nil {
		return err
	}
	var p position
	if err := p.take(f.Meta, t.batches); err != nil {
		return err
	}
	live := t.stepper.State()
	saved := make([]plan.Tensor, 0, len(f.Tensors))
	for _, l := range live {
		s, found := f.Lookup(l.Name)
		if !found {
			return fmt.Errorf("state of another method: it has no tensor %q", l.Name)
		}
		saved = append(saved, s)
	}
	if len(f.Tensors) != len(live) {
		return fmt.Errorf("state of another method: it has %d tensors, and this one has %d", len(f.Tensors), len(live))
	}
	if err := plan.Restore(live, saved); err != nil {
		return err
	}
	t.position, t.saved, t.failed = p, false, nil
	return nil
}

// identity is all that fixes the bits of a run beside the state, by name. What a later
// version adds must be left out where it is as it was before there was a choice, so that
// older checkpoints stay good.
func (t *Trainer) identity() map[string]string {
	c := &t.c
	id := map[string]string{
		"architecture": describe(c),
		"loss":         c.Loss.String(),
		"target":       c.Target.String(),
		"method":       c.Method.Name(),
		"rate":         strconv.FormatFloat(c.Method.Rate(), 'g', -1, 64),
		"backend":      t.kernels.Info().Name,
		"batch":        strconv.Itoa(c.Batch),
		"schedule":     describeSchedule(c.Schedule),
		"seed":         strconv.FormatUint(uint64(c.Seed), 10),
		"data":         t.DataDigest(),
	}
	if t.short != nil {
		id["last batch"] = fmt.Sprintf("%d examples", t.shortBatch())
	}
	if c.Window > 0 {
		id["shuffle window"] = strconv.Itoa(c.Window)
	}
	meta := make(map[string]string, len(id)+len(c.Settings))
	for k, v := range id {
		meta[runPrefix+k] = v
	}
	for k, v := range c.Settings {
		meta[settingPrefix+k] = v
	}
	return meta
}

// DataDigest tells data apart: their name, the numbers of training and test examples, and
// a digest of all values, and of the labels where they are the target.
func (t *Trainer) DataDigest() string {
	return fmt.Sprintf("%s, %d and %d examples, digest %016x", t.c.Data.Name, t.splits[0].src.n, t.splits[1].src.n, t.digest)
}

// describe is the architecture of any network: its inputs, then units and transfer
// function of each layer.
func describe(c *Config) string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(c.Network.Inputs()))
	for _, l := range c.Network.Layers {
		fmt.Fprintf(&b, ",%d", l.Weights().Rows)
		if p := l.Positions(); p > 1 {
			fmt.Fprintf(&b, "x%d", p)
		}
		fmt.Fprintf(&b, ":%v", l.Transfer())
	}
	return b.String()
}

func describeSchedule(s schedule.Schedule) string {
	text := s.Kind.String()
	switch {
	case s.Kind == schedule.Constant:
	case s.Steps > 0:
		text += fmt.Sprintf(" over %d steps", s.Steps)
	default:
		text += fmt.Sprintf(" over %d epochs", s.Epochs)
	}
	if s.Warmup > 0 {
		text += fmt.Sprintf(", %d warm-up steps", s.Warmup)
	}
	return text
}

// differences compares what two runs must share.
func differences(saved, live map[string]string) error {
	names := make(map[string]bool)
	for _, meta := range []map[string]string{saved, live} {
		for k := range meta {
			if strings.HasPrefix(k, runPrefix) {
				names[k] = true
			}
		}
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(names)) {
		was, hadIt := saved[k]
		is, hasIt := live[k]
		if was == is && hadIt == hasIt {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(k, settingPrefix), runPrefix)
		list = append(list, fmt.Sprintf("%s is %s there and %s here", name, orMissing(was, hadIt), orMissing(is, hasIt)))
	}
	if len(list) > 0 {
		return fmt.Errorf("checkpoint of another run: %s", strings.Join(list, "; "))
	}
	return nil
}

func orMissing(value string, found bool) string {
	if !found {
		return "not set"
	}
	return value
}

// put writes the position into a checkpoint's metadata.
func (p *position) put(meta map[string]string) error {
	if err := putJSON(meta, "last", p.last); err != nil {
		return err
	}
	if !math.IsInf(p.best.TestLoss, 0) {
		if err := putJSON(meta, "best", p.best); err != nil {
			return err
		}
	}
	if len(p.rollbacks) > 0 {
		if err := putJSON(meta, "rollbacks", p.rollbacks); err != nil {
			return err
		}
	}
	for key, n := range map[string]int64{
		"epoch": int64(p.epoch), "batch": int64(p.batch), "step": int64(p.step), "lines": int64(p.lines),
		"nanoseconds": int64(p.trained), "eval_nanoseconds": int64(p.evaluated),
	} {
		meta[key] = strconv.FormatInt(n, 10)
	}
	if p.layerLines > 0 {
		meta["layer_lines"] = strconv.Itoa(p.layerLines)
	}
	return nil
}

func putJSON(meta map[string]string, key string, value any) error {
	b, err := json.Marshal(value)
	meta[key] = string(b)
	return err
}

// take reads a position back and checks that it is one.
func (p *position) take(meta map[string]string, batches int) error {
	var errs []error
	number := func(key string) int64 {
		n, err := strconv.ParseInt(meta[key], 10, 64)
		if err != nil || n < 0 {
			errs = append(errs, fmt.Errorf("%s is %q; must be a whole number, 0 or more", key, meta[key]))
		}
		return n
	}
	p.epoch, p.batch, p.step, p.lines = int(number("epoch")), int(number("batch")), int(number("step")), int(number("lines"))
	if _, diagnosed := meta["layer_lines"]; diagnosed {
		p.layerLines = int(number("layer_lines"))
	}
	p.trained, p.evaluated = time.Duration(number("nanoseconds")), time.Duration(number("eval_nanoseconds"))
	if len(errs) == 0 && (p.batch > batches || p.step != p.epoch*batches+p.batch) {
		errs = append(errs, fmt.Errorf("%d steps don't make %d epochs of %d batches and %d batches", p.step, p.epoch, batches, p.batch))
	}
	if err := json.Unmarshal([]byte(meta["last"]), &p.last); err != nil {
		errs = append(errs, fmt.Errorf("last evaluation: %w", err))
	}
	p.best = noBest
	for key, to := range map[string]any{"best": &p.best, "rollbacks": &p.rollbacks} {
		if text, found := meta[key]; found {
			if err := json.Unmarshal([]byte(text), to); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
		}
	}
	return errors.Join(errs...)
}
