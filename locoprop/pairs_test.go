package locoprop_test

import (
	"math/rand/v2"
	"slices"
)

// pair is two choices of different factors.
type pair struct{ f, a, g, b int }

func pairsOf(pick []int) []pair {
	var all []pair
	for f := range pick {
		for g := f + 1; g < len(pick); g++ {
			all = append(all, pair{f, pick[f], g, pick[g]})
		}
	}
	return all
}

// bases are what some choices take beside them to have an effect: reset needs a state, γ's
// rule the form that has one.
var bases = map[string]map[string]string{"reset": {"optimizer": "momentum"}, "gamma-rule": {"form": "metric"}}

// single is choice a of factor f with its base, and the base itself.
func single(all []factor, f, a int) (pick, base []int) {
	base = make([]int, len(all))
	for name, value := range bases[all[f].name] {
		g := slices.IndexFunc(all, func(x factor) bool { return x.name == name })
		base[g] = slices.IndexFunc(all[g].choices, func(c choice) bool { return c.name == value })
	}
	pick = slices.Clone(base)
	pick[f] = a
	return pick, base
}

// settled is how many factors were there first. Those behind them come one after the other,
// and take picks beside those that there are: a factor that is added last leaves the golden
// trajectories of the others as they were.
const settled = 21

// coverage lists picks of choices, all valid: every choice alone where that is valid, and
// then so many that every pair of choices that can be is in one of them. It is a
// function of the factors alone.
func coverage(all []factor) [][]int {
	c := cover{rng: rand.New(rand.NewPCG(1, 1)), done: map[pair]bool{}}
	for n := min(settled, len(all)); n <= len(all); n++ {
		c.grow(all[:n])
	}
	return c.picks
}

type cover struct {
	all   []factor
	rng   *rand.Rand
	done  map[pair]bool
	picks [][]int
}

// grow takes more factors in behind those that there are, which had their defaults so far.
func (c *cover) grow(all []factor) {
	first := len(c.all)
	c.all = all
	for i, pick := range c.picks {
		c.picks[i] = append(pick, make([]int, len(all)-first)...)
		c.mark(c.picks[i])
	}
	if first == 0 {
		c.add(make([]int, len(all)))
	}
	for f := first; f < len(all); f++ {
		for a := range all[f].choices {
			if pick, _ := single(all, f, a); a > 0 && c.valid(pick) {
				c.add(pick)
			}
		}
	}
	for f := range all {
		for a := range all[f].choices {
			for g := max(f+1, first); g < len(all); g++ {
				for b := range all[g].choices {
					p := pair{f, a, g, b}
					if c.done[p] {
						continue
					}
					if pick, ok := completion(all, p); ok {
						c.improve(pick, p)
						c.add(pick)
					}
				}
			}
		}
	}
}

func (c *cover) valid(pick []int) bool { return newSetup(c.all, pick).valid() }

func (c *cover) add(pick []int) {
	c.picks = append(c.picks, slices.Clone(pick))
	c.mark(pick)
}

func (c *cover) mark(pick []int) {
	for _, p := range pairsOf(pick) {
		c.done[p] = true
	}
}

// improve changes what the pair leaves open so that more new pairs are in the pick.
func (c *cover) improve(pick []int, keep pair) {
	gain := func(f int) int {
		n := 0
		for g := range pick {
			p := pair{f, pick[f], g, pick[g]}
			if g < f {
				p = pair{g, pick[g], f, pick[f]}
			}
			if g != f && !c.done[p] {
				n++
			}
		}
		return n
	}
	for range 2 {
		for _, f := range c.rng.Perm(len(pick)) {
			if f == keep.f || f == keep.g {
				continue
			}
			best, most := pick[f], gain(f)
			for a := range c.all[f].choices {
				pick[f] = a
				if n := gain(f); n > most && c.valid(pick) {
					best, most = a, n
				}
			}
			pick[f] = best
		}
	}
}

// completion is a valid pick with a pair, where there is one. All that decides on validity
// is tried: methods, forms, proximal terms, and a network of identities.
func completion(all []factor, p pair) (pick []int, ok bool) {
	index := func(name string) int {
		return slices.IndexFunc(all, func(f factor) bool { return f.name == name })
	}
	open := map[string][]int{}
	for name, choices := range map[string][]int{"method": {0, 1}, "prox": {0, 1}, "transfer": {0, 1}, "loss": {0, 2}, "layers": {0, 2}} {
		open[name] = choices
	}
	for form := range all[index("form")].choices {
		open["form"] = append(open["form"], form)
	}
	names := []string{"form", "method", "prox", "transfer", "loss", "layers"}
	pick = make([]int, len(all))
	var try func(depth int) bool
	try = func(depth int) bool {
		if depth == len(names) {
			return newSetup(all, pick).valid()
		}
		f := index(names[depth])
		if f == p.f || f == p.g {
			return try(depth + 1)
		}
		for _, a := range open[names[depth]] {
			pick[f] = a
			if try(depth + 1) {
				return true
			}
		}
		return false
	}
	pick[p.f], pick[p.g] = p.a, p.b
	ok = try(0)
	return pick, ok
}
