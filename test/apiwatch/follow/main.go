// Follow fills a Store from an API server and, for each line on its standard input, prints a line of JSON about its
// state and memory: the process that the memory test looks at. The line "collect" collects garbage, too. Its arguments are
// a kubeconfig and, for what virtual IPs need beside names, "forwarding".
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/apiwatch"
)

// Report is one line of output; sizes in bytes.
type Report struct {
	Synced    time.Duration // from the start; 0 while it is not
	Status    cluster.Status
	Live      uint64 // heap after the last collection
	Allocated uint64 // by all objects since the start
	Resident  uint64
	Peak      uint64 // of Resident since the last report
	CPU       time.Duration
}

func main() { os.Exit(run()) }

func run() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	needs := cluster.Needs{Endpoints: true, Forwarding: slices.Contains(os.Args[2:], "forwarding")}
	source, err := apiwatch.Open(cluster.Origin{Kubeconfig: os.Args[1]}, needs, cluster.Telemetry{}, log)
	if err != nil {
		log.Error("cannot open", "error", err)
		return 1
	}
	store, writer := cluster.NewStore()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- source.Run(ctx, writer) }()
	var synced time.Duration
	for tick := time.NewTicker(time.Millisecond); synced == 0; <-tick.C {
		if store.Synced() {
			synced = time.Since(began)
			tick.Stop()
			break
		}
	}
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		r := report(store, synced)
		if in.Text() == "collect" { // after the peak was read: a collection may raise and lower it
			runtime.GC()
			r.Live = figures().live
		}
		if err := out.Encode(r); err != nil {
			return 1
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return 1
	}
	return 0
}

func report(store *cluster.Store, synced time.Duration) Report {
	f := figures()
	r := Report{
		Synced: synced, Status: store.Status(), Resident: kernel("VmRSS"), Peak: kernel("VmHWM"),
		Live: f.live, Allocated: f.allocated, CPU: f.cpu,
	}
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // begin a new peak; without the right to, it covers all
	return r
}

type usage struct {
	live, allocated uint64
	cpu             time.Duration
}

func figures() usage {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/cpu/classes/user:cpu-seconds"}}
	metrics.Read(sample)
	return usage{
		live: sample[0].Value.Uint64(), allocated: sample[1].Value.Uint64(),
		cpu: time.Duration(sample[2].Value.Float64() * float64(time.Second)),
	}
}

// kernel is a figure of /proc/self/status, which has it in KiB.
func kernel(name string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib uint64
		if _, err := fmt.Sscanf(line, name+": %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
