package train

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/locoprop/locoprop-go/locoprop/backend"
)

// Arithmetic tells what the last bits of a run depend on besides its settings and data:
// the backend and the libraries, kind of CPU and compiler that it is made of, the block,
// and the program itself. Two runs with the same settings, data and Arithmetic have the
// same weights, bit for bit; where it differs, they may differ in rounding. It is a list
// of NAME = VALUE with commas between; see [ArithmeticChanges].
func Arithmetic(k backend.Kernels, block int) string {
	info := k.Info()
	parts := []string{"backend = " + info.Name}
	if info.Arithmetic != "" {
		parts = append(parts, info.Arithmetic)
	}
	parts = append(parts, "block = "+strconv.Itoa(block), "Go = "+runtime.Version(), "target = "+target())
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append([]*debug.Module{&b.Main}, b.Deps...) {
			name, version := m.Path[strings.LastIndex(m.Path, "/")+1:], m.Version
			if (name == "gonum" || name == "locoprop-go") && version != "" {
				parts = append(parts, name+" = "+version)
			}
		}
	}
	return strings.Join(parts, ", ")
}

// target is the processor that Go compiled for.
func target() string {
	t := runtime.GOARCH
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "GOAMD64" || s.Key == "GOARM64" {
				t += " " + strings.ReplaceAll(s.Value, ",", " ")
			}
		}
	}
	return t
}

// ArithmeticChanges tells what differs between two texts of [Arithmetic], such as
// "CPU kernel Haswell → Zen"; nothing where they are the same. Between unlike backends
// only that counts.
func ArithmeticChanges(then, now string) []string {
	before := map[string]string{}
	for _, part := range strings.Split(then, ", ") {
		if name, value, found := strings.Cut(part, " = "); found {
			before[name] = value
		}
	}
	var changes []string
	for _, part := range strings.Split(now, ", ") {
		name, value, _ := strings.Cut(part, " = ")
		if was, found := before[name]; found && was != value {
			changes = append(changes, fmt.Sprintf("%s %s → %s", name, was, value))
		}
		if name == "backend" && len(changes) > 0 {
			break
		}
	}
	return changes
}
