package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/plan"
)

// Simulated is how a step would run on a number of workers if each task took as long as it
// did alone on one: list scheduling, as the pool does it. Memory that workers share, and
// clocks that fall when all cores work, aren't simulated.
type Simulated struct {
	Workers    int     `json:"workers"`
	Seconds    float64 `json:"seconds"`
	Efficiency float64 `json:"efficiency"` // time of all tasks over that of all workers
}

// Scheduled is a step's work with one way to cut it, and its simulations.
type Scheduled struct {
	Block     int         `json:"block"`
	Tasks     int         `json:"tasks"`
	Phases    int         `json:"phases"`
	Longest   float64     `json:"longest_task_seconds"`
	Work      Spread      `json:"work_seconds"` // of all tasks, one after the other
	Simulated []Simulated `json:"simulated"`
}

// Cut is a step with a block size, the number of units of a task.
type Cut struct {
	Block int
	Config
}

// Schedule measures the tasks of each cut's step on one worker, in as many rounds as the
// first cut says, all cuts in each, and simulates the step on each number of workers with
// the medians of its tasks' times. Cuts are measured on their first backend.
func Schedule(ctx context.Context, cuts []Cut, workers []int) ([]Scheduled, error) {
	pool := plan.NewPool(1)
	defer pool.Close()
	traces := make([]*trace, len(cuts))
	for i, c := range cuts {
		t, err := newTrial(c.Config, c.Backends[0], pool)
		if err != nil {
			return nil, fmt.Errorf("bench: block %d: %w", c.Block, err)
		}
		traces[i] = &trace{trial: t}
	}
	rounds := 1
	if len(cuts) > 0 {
		rounds = max(cuts[0].Rounds, 1)
	}
	for range rounds {
		for _, t := range traces {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err := t.step(pool); err != nil {
				return nil, fmt.Errorf("bench: %w", err)
			}
		}
	}
	start := phaseSeconds(pool)
	var all []Scheduled
	for i, t := range traces {
		all = append(all, t.simulate(cuts[i].Block, workers, start))
	}
	return all, nil
}

// phaseSeconds is what starting and ending a phase takes.
func phaseSeconds(pool *plan.Pool) float64 {
	const runs = 1000
	empty := plan.NewPhase("empty", make([]plan.Task, pool.Workers()), 0, func(*plan.Task, []float32) error { return nil })
	start := time.Now()
	for range runs {
		_ = pool.Run(empty) // its tasks return no error
	}
	return time.Since(start).Seconds() / runs
}

// trace is what the tasks of a step took, cycle after cycle.
type trace struct {
	trial  *trial
	phases []tracedPhase // those of a cycle, in order
	work   []float64     // of a step, by round
}

type tracedPhase struct {
	workers int         // that it starts at most; 0: no limit
	seconds [][]float64 // by task, in the order in which they are taken, and round
}

// step makes a cycle of steps, and notes what each task took.
func (t *trace) step(pool *plan.Pool) error {
	first := t.phases == nil
	at := -1 // phase
	var task int
	total := 0.0
	pool.ObserveTasks(func(ph *plan.Phase, begun *plan.Task, took time.Duration) {
		if begun == &ph.Tasks[0] {
			at, task = at+1, 0
			if first {
				t.phases = append(t.phases, tracedPhase{ph.Workers, make([][]float64, len(ph.Tasks))})
			}
		}
		s := &t.phases[at].seconds[task]
		*s = append(*s, took.Seconds())
		task++
		total += took.Seconds()
	})
	defer pool.ObserveTasks(nil)
	for range t.trial.cycle {
		if _, err := t.trial.stepper.Step(pool, t.trial.x, t.trial.t, stepScale); err != nil {
			return err
		}
	}
	t.work = append(t.work, total/float64(t.trial.cycle))
	return nil
}

// simulate runs the step on each number of workers; start is added for each phase.
func (t *trace) simulate(block int, workers []int, start float64) Scheduled {
	cycle := float64(t.trial.cycle)
	s := Scheduled{Block: block, Phases: len(t.phases) / t.trial.cycle, Work: spread(t.work)}
	medians := make([][]float64, len(t.phases))
	work := 0.0
	for i, ph := range t.phases {
		for _, times := range ph.seconds {
			m := median(times)
			medians[i] = append(medians[i], m)
			s.Longest = max(s.Longest, m)
			work += m
		}
		s.Tasks += len(ph.seconds)
	}
	s.Tasks /= t.trial.cycle
	for _, w := range workers {
		seconds := 0.0
		for i, ph := range t.phases {
			active := w
			if ph.workers > 0 {
				active = min(w, ph.workers)
			}
			seconds += start + makespan(medians[i], active)
		}
		s.Simulated = append(s.Simulated, Simulated{Workers: w, Seconds: seconds / cycle, Efficiency: work / (float64(w) * seconds)})
	}
	return s
}

// makespan is when the last of tasks ends that workers take in order, each when it is free.
func makespan(tasks []float64, workers int) float64 {
	free := make([]float64, max(workers, 1))
	for _, t := range tasks {
		i := slices.Index(free, slices.Min(free))
		free[i] += t
	}
	return slices.Max(free)
}
