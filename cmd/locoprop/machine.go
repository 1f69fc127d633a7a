package main

import (
	"time"

	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/report"
	"github.com/locoprop/locoprop-go/locoprop/train"
)

// recordMachine adds to the run's folder where this process works on it, and returns
// what adds what came of it. Neither is worth ending a run for.
func (r *training) recordMachine() (end func()) {
	before := r.trainer.Result()
	info, here := r.kernels.Info(), bench.ThisMachine()
	r.appendMachine(report.Machine{
		Event: report.EventStart, Version: version(), Go: here.Go, OS: here.OS, Arch: here.Arch,
		CPU: here.CPU, CPUs: here.CPUs, Workers: r.e.Workers, Batches: before.Batches, Backend: info.Name, Detail: info.Detail,
	})
	return func() { r.appendMachine(workOf(before, r.trainer.Result())) }
}

// workOf is what a process did between two places of a run.
func workOf(before, after train.Result) report.Machine {
	return report.Machine{
		Event: report.EventEnd, Seconds: after.Seconds - before.Seconds, EvalSeconds: after.EvalSeconds - before.EvalSeconds,
		Steps: after.Step - before.Step, PeakMemory: int64(kibibytes("/proc/self/status", "VmHWM")) * 1024,
	}
}

func (r *training) appendMachine(m report.Machine) {
	m.Time = time.Now().UTC().Truncate(time.Second)
	if err := m.Append(r.folder.Dir()); err != nil {
		r.warn(err)
	}
}
