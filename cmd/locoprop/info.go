package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/locoprop/locoprop-go/locoprop/bench"
	"github.com/locoprop/locoprop-go/locoprop/train"
	"github.com/urfave/cli/v2"
)

// peakRounds is how often each peak is measured; the median counts.
const peakRounds = 5

func infoCommand() *cli.Command {
	return &cli.Command{
		Name:  "info",
		Usage: "tell what this program and machine can do",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "peak", Usage: "measure the peak of fused multiply-add and the rate of square matrix products, in a few seconds"},
		}, flagsFor("workers", "backend")...),
		Action: showInfo,
	}
}

func showInfo(c *cli.Context) error {
	compute, err := computeOf(c) // first, since wrong flags are told before anything else
	if err != nil {
		return err
	}
	defer closeBackend(compute.Backend)
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "locoprop\t%s\n", version())
	fmt.Fprintf(w, "go\t%s %s/%s, GOMAXPROCS %d\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, startProcs)
	for _, name := range backendNames {
		describeBackend(w, name)
	}
	if whyPure != "" {
		fmt.Fprintf(w, "\t%s\n", whyPure)
	}
	fmt.Fprintf(w, "cpu\t%s, %d threads\n", or(bench.ThisMachine().CPU, "model unknown"), runtime.NumCPU())
	fmt.Fprintf(w, "cpu features\t%s\n", or(strings.Join(cpuFeatures(), " "), "unknown"))
	fmt.Fprintf(w, "memory\t%s\n", memory())
	if err := w.Flush(); err != nil {
		return err
	}
	if c.Bool("peak") {
		return showPeak(c, compute)
	}
	return nil
}

func describeBackend(w io.Writer, name string) {
	if openers[name] == nil {
		fmt.Fprintf(w, "backend %s\tnot in this build\n", name)
		return
	}
	k, err := openBackend(name)
	if err != nil {
		fmt.Fprintf(w, "backend %s\tunusable: %v\n", name, err)
		return
	}
	defer closeBackend(k)
	info := k.Info()
	limit := fmt.Sprintf("up to %d workers", mostWorkers)
	if info.MaxWorkers > 0 && info.MaxWorkers < mostWorkers {
		limit = fmt.Sprintf("up to %d workers (%s)", info.MaxWorkers, info.LimitedBy)
	}
	fmt.Fprintf(w, "backend %s\t%s; %s\n", name, info.Detail, limit)
}

func showPeak(c *cli.Context, compute train.Compute) error {
	fma, sgemm, err := bench.Peaks(c.Context, compute.Backend, compute.Workers, peakRounds)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	text := "not measured by this backend"
	if fma > 0 {
		text = fmt.Sprintf("%.1f GF/s", fma/1e9)
	}
	fmt.Fprintf(w, "fma peak\t%s\n", text)
	fmt.Fprintf(w, "sgemm\t%.1f GF/s (%s, %d workers; medians of %d)\n", sgemm/1e9, compute.Backend.Info().Name, compute.Workers, peakRounds)
	return w.Flush()
}

// memory is how much the machine has, as far as Linux tells.
func memory() string {
	total, available := memoryInfo("MemTotal"), memoryInfo("MemAvailable")
	if total == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GiB, %.1f GiB available", total, available)
}

// memoryInfo is an entry of /proc/meminfo in GiB, 0 where there is none.
func memoryInfo(key string) float64 { return kibibytes("/proc/meminfo", key) / (1 << 20) }

// kibibytes is an entry of a file of Linux that tells of memory, 0 where there is none.
func kibibytes(path, key string) float64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if name == key && err == nil {
			return kib
		}
	}
	return 0
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
