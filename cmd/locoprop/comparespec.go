package main

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/catalog"
	"github.com/locoprop/locoprop-go/locoprop/compare"
	"github.com/locoprop/locoprop-go/locoprop/dataset"
	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"
)

// compareSpec is what a comparison is asked to be.
type compareSpec struct {
	problem    catalog.Values
	contenders []compare.Contender
	seeds      []uint32
	length     compare.Length
	targets    []float64
	path       string // the file that says all of this; "": there is none
}

// is tells whether a file, by another name perhaps, is the one that says all of it.
func (s *compareSpec) is(path string) bool {
	own, err := os.Stat(s.path)
	other, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(own, other)
}

func (s *compareSpec) names() []string {
	var list []string
	for _, c := range s.contenders {
		list = append(list, c.Name)
	}
	return list
}

// compareFile is a comparison in TOML.
type compareFile struct {
	Methods    []string                  `toml:"methods,omitempty" comment:"made by locoprop compare; locoprop compare --config FILE repeats it"`
	Seeds      []int64                   `toml:"seeds,omitempty"`
	Epochs     *int64                    `toml:"epochs,omitempty"`
	Steps      *int64                    `toml:"steps,omitempty"`
	Seconds    *float64                  `toml:"seconds,omitempty"`
	TargetLoss []float64                 `toml:"target-loss,omitempty"`
	Problem    *configFile               `toml:"problem,omitempty"`
	Contenders map[string]*contenderFile `toml:"contenders,omitempty"`
}

// contenderFile is a contender in such a file: the settings of another, changed.
type contenderFile struct {
	Base   *string `toml:"base,omitempty"` // a contender, or none; the one of its own name where it isn't given
	Title  *string `toml:"title,omitempty"`
	Source *string `toml:"source,omitempty"`
	Suited *bool   `toml:"suited,omitempty"` // batch and warm-up are cut to the data and the run
	configFile
}

// leastSeconds are the least that a run may be planned for: no clock tells less.
const leastSeconds = 1e-3

// noBase is the base of a contender that a file describes from scratch.
const noBase = "none"

// compareSpecOf puts flags over the environment and the file that --config or --resume
// names.
func compareSpecOf(c *cli.Context) (*compareSpec, error) {
	var file compareFile
	path := c.String("config")
	if c.IsSet("resume") {
		if others := otherFlags(c, "resume", "json"); len(others) > 0 {
			return nil, usagef("--resume with --%s: a comparison goes on as it was begun; --config %s begins another like it",
				others[0], quote(filepath.Join(c.String("resume"), compareConfig)))
		}
		path = filepath.Join(c.String("resume"), compareConfig)
		if _, err := os.Stat(path); err != nil {
			return nil, &dataset.Error{Path: c.String("resume"), Reason: "holds no comparison: there is no " + compareConfig}
		}
	}
	if path != "" {
		if err := readCompareFile(path, &file); err != nil {
			return nil, err
		}
	}
	s := &compareSpec{problem: catalog.Values{}}
	if file.Problem != nil {
		if err := s.takeProblem(path, file.Problem); err != nil {
			return nil, err
		}
	}
	if !c.IsSet("resume") {
		maps.Copy(s.problem, environment(sharedKeys()).Values)
		for key, text := range flagLayer(c).Values {
			if slices.Contains(sharedKeys(), key) {
				s.problem[key] = text
			}
		}
	}
	methods := file.Methods
	if c.IsSet("methods") || len(methods) == 0 {
		methods = strings.Split(or(c.String("methods"), defaultMethods), ",")
	}
	for name := range file.Contenders {
		if !slices.Contains(methods, name) && !c.IsSet("methods") {
			return nil, usagef("%s: contenders.%s: it isn't among methods", path, name)
		}
	}
	for _, text := range methods {
		contender, err := file.contender(path, strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		s.contenders = append(s.contenders, contender)
	}
	err := s.takeNumbers(c, &file)
	if others := otherFlags(c, "config", "resume", "out", "json"); len(others) == 0 && (c.IsSet("resume") || len(environment(sharedKeys()).Values) == 0) {
		s.path = path
	}
	return s, err
}

// otherFlags are the flags that are given beside some.
func otherFlags(c *cli.Context, but ...string) []string {
	var list []string
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; c.IsSet(name) && name != "help" && !slices.Contains(but, name) {
			list = append(list, name)
		}
	}
	return list
}

// takeProblem takes the settings that all contenders share.
func (s *compareSpec) takeProblem(path string, file *configFile) error {
	take(s.problem, "", file)
	for _, number := range sortedKeys(file.Layers) {
		return usagef("%s: problem.%s.%s: settings of single layers are the contenders'; they stand in [contenders.NAME.%s.%s]", path, layersKey, number, layersKey, number)
	}
	for _, key := range sortedKeys(s.problem) {
		if !slices.Contains(sharedKeys(), key) {
			return usagef("%s: problem.%s: not a setting of the problem; contenders' settings stand in [contenders.NAME], length and seeds above all tables", path, key)
		}
	}
	return nil
}

// takeNumbers takes seeds, length and targets.
func (s *compareSpec) takeNumbers(c *cli.Context, file *compareFile) error {
	seeds := strings.Split(or(c.String("seeds"), defaultSeeds), ",")
	if !c.IsSet("seeds") && file.Seeds != nil {
		seeds = nil
		for _, v := range file.Seeds {
			seeds = append(seeds, strconv.FormatInt(v, 10))
		}
	}
	for _, text := range seeds {
		v, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
		if err != nil {
			return usagef("--seeds %s: %q must be a whole number from 0 to %d", strings.Join(seeds, ","), text, uint32(math.MaxUint32))
		}
		s.seeds = append(s.seeds, uint32(v))
	}
	if err := s.takeLength(c, file); err != nil {
		return err
	}
	s.targets = file.TargetLoss
	if c.IsSet("target-loss") {
		s.targets = nil
		for _, text := range c.StringSlice("target-loss") {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return usagef("--target-loss %s: must be a finite number", text)
			}
			s.targets = append(s.targets, v)
		}
	}
	return nil
}

func (s *compareSpec) takeLength(c *cli.Context, file *compareFile) error {
	given := map[string]string{}
	for _, name := range []string{"epochs", "steps", "seconds"} {
		if c.IsSet(name) {
			given[name] = c.String(name)
		}
	}
	if len(given) == 0 {
		for name, v := range map[string]*int64{"epochs": file.Epochs, "steps": file.Steps} {
			if v != nil {
				given[name] = strconv.FormatInt(*v, 10)
			}
		}
		if file.Seconds != nil {
			given["seconds"] = strconv.FormatFloat(*file.Seconds, 'g', -1, 64)
		}
	}
	if len(given) > 1 {
		return usagef("%s: each says how long runs are; give one of them", strings.Join(sortedKeys(given), ", "))
	}
	for name, text := range given {
		if name == "seconds" {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= leastSeconds && v <= catalog.MaxCount) {
				return usagef("--seconds %s: must be a number from %g to %d", text, leastSeconds, catalog.MaxCount)
			}
			s.length.Time = time.Duration(v * float64(time.Second))
			return nil
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 1 || v > catalog.MaxCount {
			return usagef("--%s %s: must be a whole number from 1 to %d", name, text, catalog.MaxCount)
		}
		if name == "epochs" {
			s.length.Epochs = int(v)
		} else {
			s.length.Steps = int(v)
		}
		return nil
	}
	s.length.Time = defaultSeconds * time.Second
	return nil
}

// contender is the contender that an entry of methods names: one of the catalog, one of
// the file, or NAME=FILE.
func (f *compareFile) contender(path, entry string) (compare.Contender, error) {
	if name, file, named := strings.Cut(entry, "="); named {
		return contenderOfFile(name, file)
	}
	own, described := f.Contenders[entry]
	base := entry
	if described && own.Base != nil {
		base = *own.Base
	}
	if base == "paper" {
		base = "locoprop-m"
	}
	c := compare.Contender{Name: entry, Settings: catalog.Values{}}
	if base != noBase {
		known, err := catalog.ContenderNamed(base)
		switch {
		case err != nil && described:
			return c, usagef("%s: contenders.%s: base: %w; %s for settings from scratch", path, entry, err, noBase)
		case err != nil:
			return c, usagef("--methods: %w", err)
		}
		c.Title, c.Source, c.Settings, c.Suited = known.Title, known.Source, known.Settings, true
	}
	if !described {
		return c, nil
	}
	for to, text := range map[*string]*string{&c.Title: own.Title, &c.Source: own.Source} {
		if text != nil {
			*to = *text
		}
	}
	if own.Suited != nil {
		c.Suited = *own.Suited
	}
	take(c.Settings, "", &own.configFile)
	for number, table := range own.Layers {
		take(c.Settings, layersKey+"."+number+".", table)
	}
	return c, nil
}

// contenderOfFile makes a contender of the method's settings in the configuration of a
// run; what it says of the problem is left aside.
func contenderOfFile(name, path string) (compare.Contender, error) {
	l, err := readConfig(path)
	if err != nil {
		return compare.Contender{}, err
	}
	maps.DeleteFunc(l.Values, func(key, _ string) bool { return slices.Contains(catalog.ProblemKeys(), key) })
	return compare.Contender{Name: name, Source: "settings of " + filepath.Base(path), Settings: l.Values}, nil
}

func readCompareFile(path string, f *compareFile) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return usagef("configuration %s: %w", path, cause(err))
	}
	if err := decodeStrictly(content, f); err != nil {
		return &usageError{configError(path, err, knownOfCompare)}
	}
	return nil
}

// knownOfCompare lists the keys that stand where an unknown one was found.
func knownOfCompare(key []string) []string {
	switch {
	case len(key) > 1 && key[0] == "problem":
		return sharedKeys()
	case len(key) > 4 && key[2] == layersKey:
		return catalog.LayerKeys()
	case len(key) > 2 && key[0] == "contenders":
		own := func(k string) bool { return slices.Contains(catalog.ProblemKeys(), k) }
		return append([]string{"base", "title", "source", "suited", layersKey}, slices.DeleteFunc(catalog.Keys(), own)...)
	}
	return []string{"methods", "seeds", "epochs", "steps", "seconds", "target-loss", "problem", "contenders"}
}

// encode writes the comparison as a file that repeats it.
func (s *compareSpec) encode() ([]byte, error) {
	f := compareFile{Methods: s.names(), TargetLoss: s.targets}
	for _, v := range s.seeds {
		f.Seeds = append(f.Seeds, int64(v))
	}
	epochs, steps, seconds := int64(s.length.Epochs), int64(s.length.Steps), s.length.Time.Seconds()
	switch {
	case epochs > 0:
		f.Epochs = &epochs
	case steps > 0:
		f.Steps = &steps
	default:
		f.Seconds = &seconds
	}
	var b bytes.Buffer
	add := func(table string, content []byte, err error) error {
		if table != "" {
			fmt.Fprintf(&b, "\n[%s]\n", table)
		}
		b.Write(content)
		return err
	}
	head, err := toml.Marshal(&f)
	if err := add("", head, err); err != nil {
		return nil, err
	}
	problem, err := encodeStruct(&configFile{}, s.problem)
	if bytes.HasPrefix(problem, []byte("#")) { // what a run's configuration says of itself
		_, problem, _ = bytes.Cut(problem, []byte("\n"))
	}
	if err := add("problem", problem, err); err != nil {
		return nil, err
	}
	for _, c := range s.contenders {
		base := noBase
		about, err := toml.Marshal(&contenderFile{Base: &base, Title: &c.Title, Source: &c.Source, Suited: &c.Suited})
		if err := add("contenders."+strconv.Quote(c.Name), about, err); err != nil {
			return nil, err
		}
		run, layers := splitLayers(c.Settings)
		settings, err := encodeStruct(&configFile{}, run)
		if err := add("", settings, err); err != nil {
			return nil, err
		}
		for _, layer := range slices.Sorted(maps.Keys(layers)) {
			table, err := encodeStruct(&localConfig{}, layers[layer])
			if err := add(fmt.Sprintf("contenders.%q.%s.%d", c.Name, layersKey, layer), table, err); err != nil {
				return nil, err
			}
		}
	}
	return b.Bytes(), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
