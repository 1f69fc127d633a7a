package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/backend"
	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/nn"
	"github.com/urfave/cli/v2"
)

const (
	defaultBlocks    = "32,64,128,256,512"
	simulatedWorkers = "2,16,64,128"
	mostSimulated    = 1024
)

func benchScheduleCommand() *cli.Command {
	keys := slices.DeleteFunc(slices.Clone(benchKeys), func(k string) bool { return k == "block" || k == "workers" })
	return &cli.Command{
		Name:      "schedule",
		Usage:     "simulate a step on many workers from its tasks' times on one",
		UsageText: "locoprop bench schedule [--blocks LIST] [--simulate LIST] [settings of the step] [--rounds NUMBER] [--page FILE] [--json]",
		Description: "Measures every task of a step on one worker, for several block sizes, and simulates how workers\n" +
			"would take them. efficiency is the time of all tasks over that of all workers, waiting included;\n" +
			"work is the time of all tasks one after the other, which grows where blocks are small. What workers\n" +
			"cost each other by sharing memory and clocks isn't simulated. Times are medians over rounds.\n" +
			aboutPages("bench schedule"),
		Flags: append(stepFlags(benchExperiment(), append(keys, "backend")...),
			&cli.StringFlag{Name: "blocks", Category: groupMachine, Usage: "units per task, `NUMBERS` with commas between", Value: defaultBlocks},
			&cli.StringFlag{Name: "simulate", Category: groupMachine, Usage: "workers, `NUMBERS` with commas between", Value: simulatedWorkers},
			&cli.IntFlag{Name: "rounds", Category: groupMachine, Usage: "rounds of measurements, `NUMBER` from 1", Value: defaultRounds},
			pageFlag(),
			&cli.BoolFlag{Name: "json", Category: groupOutput, Usage: "print one JSON object"}),
		Action: runBenchSchedule,
	}
}

func runBenchSchedule(c *cli.Context) error {
	rounds, err := roundsOf(c)
	if err != nil {
		return err
	}
	blocks, err := numbersOf(c, "blocks", nn.MaxWidth)
	if err != nil {
		return err
	}
	workers, err := numbersOf(c, "simulate", mostSimulated)
	if err != nil {
		return err
	}
	base, settings, err := stepBase(c, rounds)
	if err != nil {
		return err
	}
	defer closeBackend(base.Backends[0])
	if err := checkPage(c); err != nil {
		return err
	}
	var cuts []bench.Cut
	for _, b := range blocks {
		v := maps.Clone(settings)
		v["block"] = strconv.Itoa(b)
		config, _, err := stepConfig(v)
		if err != nil {
			return err
		}
		config.Backends, config.Rounds = base.Backends, base.Rounds
		cuts = append(cuts, bench.Cut{Block: b, Config: config})
	}
	r := scheduleReport{origin: originOf(c, base.Backends[0], 1), Backend: base.Backends[0].Info(), Rounds: rounds}
	if r.Step, err = describeStep(settings, "block"); err != nil {
		return err
	}
	if r.Blocks, err = bench.Schedule(c.Context, cuts, workers); err != nil {
		return err
	}
	return deliver(c, r, func(w io.Writer) error { return printSchedule(w, r.Blocks) }, func() (string, error) { return schedulePage(&r), nil })
}

// scheduleReport is what `bench schedule --json` prints.
type scheduleReport struct {
	origin
	Backend backend.Info      `json:"backend"`
	Rounds  int               `json:"rounds"`
	Step    string            `json:"step"` // its settings, without the block
	Blocks  []bench.Scheduled `json:"blocks"`
}

// numbersOf reads a flag's list of numbers from 1 to most.
func numbersOf(c *cli.Context, flag string, most int) ([]int, error) {
	var list []int
	for _, text := range strings.Split(c.String(flag), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > most {
			return nil, usagef("--%s %s: found %q; must be numbers from 1 to %d with commas between", flag, c.String(flag), text, most)
		}
		list = append(list, n)
	}
	return list, nil
}

func printSchedule(w io.Writer, all []bench.Scheduled) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "block\ttasks\tphases\tlongest ms\twork ms\tworkers\tms\tefficiency\t")
	for _, s := range all {
		for _, x := range s.Simulated {
			fmt.Fprintf(table, "%d\t%d\t%d\t%.4g\t%.4g\t%d\t%.4g\t%.3f\t\n", s.Block, s.Tasks, s.Phases, 1e3*s.Longest, 1e3*s.Work.Median,
				x.Workers, 1e3*x.Seconds, x.Efficiency)
		}
	}
	return table.Flush()
}
