package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/apiwatch"
	"github.com/nameplane/nameplane/cluster/manifest"
	"github.com/nameplane/nameplane/plugin/standard"
	"github.com/nameplane/nameplane/server"
	"github.com/nameplane/nameplane/server/corefile"
)

// withoutCorefile is what is served where there is no Corefile, as by CoreDNS.
const withoutCorefile = ". {\n\twhoami\n\tlog\n}\n"

// standardInput is the -conf that is no file.
const standardInput = "stdin"

// serve runs the server until a signal ends it.
//
// The collector is left as it is: answering cluster names from the demo allocates nothing, so that there was not one
// collection in 550,000 queries, and a larger GOGC changed neither time nor memory.
func serve(f *flags, stdin io.Reader, stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGHUP) // sent when a terminal closes
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGUSR1)
	defer signal.Stop(reloads)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	says := newSpeech(f, stdout)
	if len(f.idle) > 0 {
		says.log.Warn("without effect: " + strings.Join(f.idle, ", ") + "; NodeLocal DNSCache's flags need -localip, and those of ebtables and delays do nothing")
	}
	registry := prometheus.NewRegistry()
	if f.local != nil {
		f.local.begin(ctx, says.log, registry)
		defer func() {
			cancel()
			f.local.end(says.log)
		}()
	}
	srv, err := assemble(ctx, f, stdin, says, registry)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	if f.pidfile != "" {
		if err := os.WriteFile(f.pidfile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			fmt.Fprintf(stderr, "-pidfile: %v\n", err)
			return exitFailure
		}
		defer os.Remove(f.pidfile)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	started := srv.Started()
	for {
		select {
		case <-started:
			started = nil
			printVersion(says.start)
			if f.local != nil {
				f.local.keep(ctx, says.log, registry)
			}
		case <-reloads:
			srv.Refresh()
		case <-signals:
			if ctx.Err() != nil {
				return exitUsage
			}
			cancel()
		case err := <-done:
			if err != nil {
				fmt.Fprintln(stderr, err)
				return exitFailure
			}
			return exitOK
		}
	}
}

// assemble makes the server that the command line and the Corefile describe.
func assemble(ctx context.Context, f *flags, stdin io.Reader, says *speech, registry *prometheus.Registry) (*assembly, error) {
	file, err := f.corefile(stdin)
	if err != nil {
		return nil, err
	}
	port := uint16(f.port)
	if port == 0 {
		if port, err = server.FreePort(ctx); err != nil {
			return nil, err
		}
	}
	log := says.log
	pool := cluster.NewPool(opener(log), log.WithGroup("plugin/kubernetes"))
	registry.MustRegister(storeMetrics{pool})
	options := server.Options{
		Specs: standard.List(pool), Port: port, Version: version(), Log: log, Level: says.level, Out: says.start, Metrics: registry,
	}
	if f.conf != standardInput {
		options.Load = func() (*corefile.File, error) { return f.corefile(stdin) }
	}
	srv, err := server.New(file, options)
	if err != nil || !f.demo {
		return &assembly{Server: srv}, err
	}
	cast, err := newPods(file, pool, log)
	return &assembly{srv, cast}, err
}

// assembly is what runs until a signal ends it.
type assembly struct {
	*server.Server
	pods *pods // nil but for "nameplane demo"
}

// Run serves until ctx ends, and plays the pods as long as anybody may be led to them.
func (p *assembly) Run(ctx context.Context) error {
	if p.pods == nil {
		return p.Server.Run(ctx)
	}
	playing, stop := context.WithCancel(context.WithoutCancel(ctx))
	played := make(chan error, 1)
	go func() { played <- p.pods.run(playing) }()
	err := p.Server.Run(ctx)
	stop()
	return errors.Join(err, <-played)
}

// opener makes the sources of cluster objects.
func opener(log *slog.Logger) cluster.Opener {
	log = log.WithGroup("plugin/kubernetes")
	api := apiwatch.Opener(version(), log)
	return func(origin cluster.Origin, needs cluster.Needs, telemetry cluster.Telemetry) (cluster.Source, error) {
		if len(origin.Manifests) > 0 {
			return manifest.Open(origin, needs, log)
		}
		return api(origin, needs, telemetry)
	}
}

// corefile reads what is to be served: the template that takes NodeLocal DNSCache's place, or else the Corefile.
func (f *flags) corefile(stdin io.Reader) (*corefile.File, error) {
	if f.local == nil || !f.local.template.Exists() {
		return readCorefile(f.conf, stdin)
	}
	content, err := f.local.template.Fill()
	if err != nil {
		return nil, err
	}
	return corefile.Parse(f.local.template.Path, content)
}

// readCorefile reads the Corefile that the command line names.
func readCorefile(conf string, stdin io.Reader) (*corefile.File, error) {
	switch conf {
	case standardInput:
		content, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return corefile.Parse("stdin", content)
	case "":
		content, err := os.ReadFile("Corefile")
		if errors.Is(err, fs.ErrNotExist) {
			content, err = []byte(withoutCorefile), nil
		}
		if err != nil {
			return nil, err
		}
		return corefile.Parse("Corefile", content)
	}
	content, err := os.ReadFile(conf)
	if err != nil {
		return nil, fmt.Errorf("-conf: %w", err)
	}
	return corefile.Parse(conf, content)
}
