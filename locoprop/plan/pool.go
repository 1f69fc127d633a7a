package plan

import (
	"cmp"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/internal/pace"
)

// Task is one independent piece of a phase.
type Task struct {
	Layer       int     // −1 where the task spans all layers
	Lo, Hi      int     // the rows it writes: units of the layer, or examples where Layer is −1 or the task is a tile
	Left, Right int     // the columns of those rows that a tile writes; both 0: all of them
	Cost        float64 // flops, for scheduling; 0: unknown
	ID          int     // the method's own number of the task; scheduling ignores it
}

// Phase is a set of tasks that may run in any order and at once.
type Phase struct {
	Name    string
	Tasks   []Task // longest first; see NewPhase
	Scratch int    // float32 of scratch that a task needs
	Workers int    // workers that it is worth starting, from its cost; 0: one for each task
	// Do performs a task. scratch has Scratch elements, 64-byte aligned, of unspecified
	// content, and belongs to the worker.
	Do func(t *Task, scratch []float32) error
}

// ElementCost is what an element counts for in [Task.Cost] where a task reads and writes
// memory rather than multiplying matrices: about the flops of products that take as long.
const ElementCost = 16

// grain is the cost of what a worker should get at least: waking one takes some
// microseconds, in which it could have done this much.
const grain = 1 << 17

// NewPhase orders tasks longest first (ties as given), which is the order in which
// workers take them. A phase that costs little is run on fewer workers than there are,
// since waking them would take longer than it saves; who does a task changes no bits.
func NewPhase(name string, tasks []Task, scratch int, do func(*Task, []float32) error) *Phase {
	slices.SortStableFunc(tasks, func(a, b Task) int { return cmp.Compare(b.Cost, a.Cost) })
	var cost float64
	for _, t := range tasks {
		cost += t.Cost
	}
	ph := &Phase{Name: name, Tasks: tasks, Scratch: scratch, Do: do}
	if cost > 0 {
		ph.Workers = int(min(max(1, cost/grain), float64(len(tasks))))
	}
	return ph
}

// Pool runs phases on a fixed number of workers: the caller's goroutine and
// workers − 1 others, which wait between phases. Use by one goroutine at a time.
//
// With backends native and netlib, workers spend their time in C. Go's scheduler leaves them alone where
// it has a processor to spare: with runtime.GOMAXPROCS of workers + 1, steps of short kernels take up
// to a sixth less time. The program locoprop sees to that, a library doesn't.
type Pool struct {
	workers int
	looks   int          // at a gate, before sleeping
	start   []gate       // of worker i + 1
	done    gate         // of the caller
	pending atomic.Int64 // workers other than the caller's that haven't ended the phase
	closed  bool
	next    atomic.Int64
	phase   *Phase
	errs    []taskError // per worker
	paces   []pace.Pace // per worker
	scratch [][]float32

	observe func(Timing)
	onTask  func(*Phase, *Task, time.Duration)
	busy    []time.Duration // per worker, in the phase that is observed
}

type taskError struct {
	task int
	err  error
}

// NewPool starts a pool of workers (at least 1). Close ends it.
func NewPool(workers int) *Pool {
	workers = max(workers, 1)
	p := &Pool{
		workers: workers,
		errs:    make([]taskError, workers),
		paces:   make([]pace.Pace, workers),
		scratch: make([][]float32, workers),
		busy:    make([]time.Duration, workers),
		start:   make([]gate, workers-1),
	}
	if workers <= min(runtime.GOMAXPROCS(0), runtime.NumCPU()) {
		p.looks = waitLooks // else who looks may keep who works from a core
	}
	p.done.wake = make(chan struct{}, 1)
	for i := range p.start {
		p.start[i].wake = make(chan struct{}, 1)
		go p.help(i + 1)
	}
	return p
}

// help does a worker's part of each phase that it is called for.
func (p *Pool) help(worker int) {
	for {
		p.paces[worker].Yield()
		p.start[worker-1].await(p.looks)
		if p.closed {
			return
		}
		p.work(worker)
		if p.pending.Add(-1) == 0 {
			p.done.open()
		}
	}
}

// Workers is the number of workers.
func (p *Pool) Workers() int { return p.workers }

// ScratchBytes is the memory that the workers' scratch takes.
func (p *Pool) ScratchBytes() int {
	sum := 0
	for _, s := range p.scratch {
		sum += 4 * len(s)
	}
	return sum
}

// Close ends the workers. The pool can't be used afterwards.
func (p *Pool) Close() {
	p.closed = true
	for i := range p.start {
		p.start[i].open()
	}
}

// Timing is how long a phase took: Wall from its begin to its end, Busy the time that
// workers spent on tasks, added up. Of Wall·Workers the rest was spent waiting.
type Timing struct {
	Phase      string
	Wall, Busy time.Duration
}

// Observe makes every Run tell f how long its phase took, until Observe(nil). It must
// not be called while a phase runs.
func (p *Pool) Observe(f func(Timing)) { p.observe = f }

// ObserveTasks makes every Run tell f how long each task took, until ObserveTasks(nil).
// Workers call f, several at once where there are several. It must not be called while a
// phase runs.
func (p *Pool) ObserveTasks(f func(ph *Phase, t *Task, took time.Duration)) { p.onTask = f }

// Run performs all tasks of a phase and returns when the last has ended. After an
// error no further task is begun; of several errors that of the earliest task is
// returned. It doesn't allocate once it has run the phase that needs most scratch.
func (p *Pool) Run(ph *Phase) error {
	if p.observe == nil {
		return p.run(ph)
	}
	clear(p.busy)
	start := time.Now()
	err := p.run(ph)
	t := Timing{Phase: ph.Name, Wall: time.Since(start)}
	for _, b := range p.busy {
		t.Busy += b
	}
	p.observe(t)
	return err
}

func (p *Pool) run(ph *Phase) error {
	if p.closed {
		panic("plan: Run of a pool that is closed")
	}
	active := min(p.workers, len(ph.Tasks))
	if ph.Workers > 0 {
		active = min(active, ph.Workers)
	}
	for w := range active {
		if len(p.scratch[w]) < ph.Scratch {
			p.scratch[w] = backend.Alloc(ph.Scratch)
		}
		p.errs[w] = taskError{}
	}
	p.phase = ph
	p.next.Store(0)
	p.pending.Store(int64(active - 1))
	for w := 1; w < active; w++ {
		p.start[w-1].open()
	}
	p.work(0)
	p.paces[0].Yield()
	if active > 1 {
		p.done.await(p.looks)
	}
	p.phase = nil
	var first taskError
	for _, e := range p.errs[:active] {
		if e.err != nil && (first.err == nil || e.task < first.task) {
			first = e
		}
	}
	return first.err
}

// work takes tasks until none is left, and times that where the pool is observed.
func (p *Pool) work(worker int) {
	if p.observe == nil {
		p.take(worker)
		return
	}
	start := time.Now()
	p.take(worker)
	p.busy[worker] = time.Since(start)
}

func (p *Pool) take(worker int) {
	ph := p.phase
	for {
		i := int(p.next.Add(1)) - 1
		if i >= len(ph.Tasks) {
			return
		}
		if err := p.perform(ph, &ph.Tasks[i], worker); err != nil {
			p.errs[worker] = taskError{i, err}
			p.next.Store(int64(len(ph.Tasks))) // begin no more
			return
		}
		if int(p.next.Load()) < len(ph.Tasks) {
			p.paces[worker].Yield()
		}
	}
}

// perform does a task, and times it where tasks are observed.
func (p *Pool) perform(ph *Phase, t *Task, worker int) error {
	if p.onTask == nil {
		return ph.Do(t, p.scratch[worker])
	}
	start := time.Now()
	err := ph.Do(t, p.scratch[worker])
	p.onTask(ph, t, time.Since(start))
	return err
}
