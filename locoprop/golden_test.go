package locoprop_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/locoprop/locoprop-go/locoprop"
	"github.com/locoprop/locoprop-go/locoprop/backend/gonum"
	"github.com/locoprop/locoprop-go/locoprop/internal/oracle"
	"github.com/locoprop/locoprop-go/locoprop/plan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Golden trajectories: a small network, three batches, every option alone and every pair
// of options that is valid. testdata/golden.json has what the float64 oracle makes of
// them; this writes it anew:
//
//	go test ./locoprop -run TestGolden -update
var update = flag.Bool("update", false, "write testdata/golden.json anew, from the oracle")

var goldenFile = filepath.Join("testdata", "golden.json")

// golden is one trajectory: the loss before each batch, and W̃ of all layers after the
// last, in eight digits.
type golden struct {
	Case   string    `json:"case"` // the choices that aren't the default
	Seed   uint32    `json:"seed"`
	Losses []float64 `json:"losses"`
	W      []float64 `json:"w"`
}

func caseName(all []factor, pick []int) string {
	var parts []string
	for i, f := range all {
		if pick[i] > 0 {
			parts = append(parts, f.name+"="+f.choices[pick[i]].name)
		}
	}
	return strings.Join(parts, " ")
}

// goldenTolerance is c in |w − w*| ≤ 2·2⁻²⁴·max|w*| + c·max|Δ|, in a layer. Δ is the change over
// the three batches.
func goldenTolerance(s setup) float64 {
	c := 0.0
	for ℓ := range s.arch.Transfer {
		o := s.of(ℓ)
		switch o.Form {
		case locoprop.FormAuto, locoprop.FormDirect, locoprop.FormGram, locoprop.FormKernel:
			c = max(c, agreement(o.Optimizer.Kind))
		case locoprop.FormImplicit, locoprop.FormMajorised, locoprop.FormMetric:
			c = max(c, 1e-3) // ends at a tolerance; P is float32
		default:
			c = max(c, 1e-4)
		}
		if o.Safety.Armijo || o.Safety.Cap > 0 {
			c = max(c, 1e-3) // the start of the second batch is rounded, and the cap relative to the weights
		}
	}
	return c
}

// generate makes a trajectory, with the first seed at which it is stable: at kinks and
// at thresholds (of ReLU, clipping, Armijo's rule, rejection) float32 may decide otherwise
// than float64, and weights that are off by their rounding show that.
func generate(t *testing.T, all []factor, pick []int) golden {
	t.Helper()
	s := newSetup(all, pick)
	for seed := uint32(1); seed < 40; seed++ {
		end, start, losses := s.reference(t, seed, 0)
		stable := true
		for _, share := range []float64{0x1p-24, -0x1p-24, 0x1p-22} {
			moved, _, _ := s.reference(t, seed, share)
			for ℓ := range end {
				change := oracle.MaxDiff(end[ℓ], start[ℓ])
				limit := 6*0x1p-22*oracle.MaxAbs(end[ℓ]) + goldenTolerance(s)/4*change
				stable = stable && change > 0 && oracle.MaxDiff(end[ℓ], moved[ℓ]) <= limit && oracle.MaxAbs(end[ℓ]) < 100
			}
		}
		if stable {
			return golden{caseName(all, pick), seed, eightDigits(losses), eightDigits(flat(end))}
		}
	}
	require.Fail(t, "no stable trajectory", "%s", caseName(all, pick))
	return golden{}
}

func flat(all []oracle.Mat) []float64 {
	var x []float64
	for _, m := range all {
		x = append(x, m.Data...)
	}
	return x
}

func eightDigits(x []float64) []float64 {
	r := make([]float64, len(x))
	for i, v := range x {
		r[i], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'e', 7, 64), 64)
	}
	return r
}

func readGolden(t *testing.T) []golden {
	t.Helper()
	b, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	var all []golden
	require.NoError(t, json.Unmarshal(b, &all))
	return all
}

func writeGolden(t *testing.T, all []factor, picks [][]int) {
	t.Helper()
	var b bytes.Buffer
	for i, pick := range picks {
		line, err := json.Marshal(generate(t, all, pick))
		require.NoError(t, err)
		b.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		b.Write(line)
	}
	b.WriteString("\n]\n")
	require.NoError(t, os.MkdirAll("testdata", 0o755))
	require.NoError(t, os.WriteFile(goldenFile, b.Bytes(), 0o644))
}

// Every backend reaches the weights of the golden trajectories, and the oracle still
// makes the same of a sample of them.
func TestGoldenTrajectories(t *testing.T) {
	all := factors()
	picks := coverage(all)
	if *update {
		writeGolden(t, all, picks)
	}
	want := readGolden(t)
	require.Len(t, want, len(picks), "options or their values changed: run with -update and look at the difference")
	t.Run("oracle", func(t *testing.T) {
		for i, pick := range picks {
			require.Equal(t, caseName(all, pick), want[i].Case)
			if i%10 != 0 {
				continue
			}
			end, _, losses := newSetup(all, pick).reference(t, want[i].Seed, 0)
			requireClose(t, want[i].Losses, losses, want[i].Case)
			requireClose(t, want[i].W, flat(end), want[i].Case)
		}
	})
	for _, k := range allBackends {
		t.Run(k.Info().Name, func(t *testing.T) {
			pool := plan.NewPool(2)
			defer pool.Close()
			for i, pick := range picks {
				s, g := newSetup(all, pick), want[i]
				start := snapshot(s.network(t, g.Seed))
				n, losses := s.run(t, k, pool, g.Seed)
				for b, loss := range losses {
					assert.InEpsilon(t, g.Losses[b], loss, 1e-4, "%s: loss of batch %d", g.Case, b)
				}
				rest := g.W
				for ℓ, w := range snapshot(n) {
					end := oracle.Mat{Rows: w.Rows, Cols: w.Cols, Data: rest[:len(w.Data)]}
					rest = rest[len(w.Data):]
					limit := 6*0x1p-24*oracle.MaxAbs(end) + goldenTolerance(s)*oracle.MaxDiff(end, start[ℓ])
					assert.LessOrEqual(t, oracle.MaxDiff(w, end), limit, "%s: layer %d", g.Case, ℓ)
				}
				assert.Empty(t, rest)
			}
		})
	}
}

// requireClose allows for eight digits and for what fused products and other versions of
// package math change.
func requireClose(t *testing.T, want, got []float64, name string) {
	t.Helper()
	require.Len(t, got, len(want), name)
	top := 0.0
	for _, v := range want {
		top = max(top, math.Abs(v))
	}
	for i := range want {
		require.InDelta(t, want[i], got[i], 1e-6*top, "%s: number %d", name, i)
	}
}

// Every choice changes what its base makes: else its trajectory could show nothing. Those
// that don't are listed: what auto picks here, γ said otherwise, and the metric form's own rule.
func TestEveryChoiceActs(t *testing.T) {
	all := factors()
	pool := plan.NewPool(1)
	defer pool.Close()
	acted := 0
	for f := range all {
		for a := 1; a < len(all[f].choices); a++ {
			pick, base := single(all, f, a)
			s := newSetup(all, pick)
			if !s.valid() {
				continue
			}
			n, _ := s.run(t, gonum.New(), pool, 1)
			m, _ := newSetup(all, base).run(t, gonum.New(), pool, 1)
			name := caseName(all, pick)
			same := name == "form=kernel" || name == "gamma-per-example=on" || name == "form=metric gamma-rule=fisher"
			require.Equal(t, same, assert.ObjectsAreEqual(snapshot(m), snapshot(n)), name)
			acted++
		}
	}
	assert.Greater(t, acted, 40)
}

// Every choice is in a golden trajectory, and so is every pair of choices but those that
// the table of what is valid rules out.
func TestGoldenTrajectoriesCoverPairs(t *testing.T) {
	all := factors()
	seen := map[pair]bool{}
	for _, pick := range coverage(all) {
		require.True(t, newSetup(all, pick).valid())
		for _, p := range pairsOf(pick) {
			seen[p] = true
		}
	}
	missing := 0
	for f := range all {
		for a := range all[f].choices {
			for g := f + 1; g < len(all); g++ {
				for b := range all[g].choices {
					if p := (pair{f, a, g, b}); !seen[p] {
						_, ok := completion(all, p)
						require.False(t, ok, "%s=%s %s=%s", all[f].name, all[f].choices[a].name, all[g].name, all[g].choices[b].name)
						missing++
					}
				}
			}
		}
	}
	assert.Positive(t, missing)
	t.Logf("%d pairs in %d trajectories, %d pairs are invalid", len(seen), len(coverage(all)), missing)
}
