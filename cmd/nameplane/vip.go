package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/server/corefile"
)

const vipUsage = `nameplane vip shows what the directive vip of a Corefile forwards. It forwards nothing itself.

  nameplane vip plan    [-conf FILE]                            every address and port, and where it leads
  nameplane vip explain [-conf FILE] [-from IP] ADDR:PORT/PROTO what becomes of a connection, and why
  nameplane vip cleanup                                         remove what a stopped nameplane left in the kernel

plan and explain read the services from where the Corefile says: an API server or manifests. cleanup needs neither; it
removes our own tables and routes, nobody else's, and prints what it removed.

Exit codes: 0 all is well (explain: the connection is forwarded), 1 it failed, 2 the command line is wrong, 3 explain: the
connection is not forwarded.

Flags of plan and explain:
`

// vipFlags are the command line behind "nameplane vip".
type vipFlags struct {
	conf    string
	from    string
	timeout time.Duration
	words   []string
}

// parseVIP reads the command line; flags may stand before and behind the words.
func parseVIP(args []string, stderr io.Writer) (*vipFlags, error) {
	f := new(vipFlags)
	set := flag.NewFlagSet("nameplane vip", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, vipUsage)
		set.PrintDefaults()
	}
	set.StringVar(&f.conf, "conf", "", "Corefile to read, \"stdin\" for standard input (default \"Corefile\")")
	set.StringVar(&f.from, "from", "", "explain: address of the client (default any pod's)")
	set.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for the list of services")
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			return f, nil
		}
		f.words = append(f.words, set.Arg(0))
		args = set.Args()[1:]
	}
}

// runVIP is "nameplane vip ...".
func runVIP(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	f, err := parseVIP(args, stderr)
	if err == errHelp {
		return exitOK
	}
	if err != nil {
		return exitUsage
	}
	words := strings.Join(f.words, " ")
	switch {
	case words == "plan":
		return f.report(stdin, stdout, stderr, func(s *plan.State) int {
			fmt.Fprint(stdout, plan.Table(s.All()))
			return exitOK
		})
	case words == "cleanup":
		return cleanup(f.timeout, stdout, stderr)
	case len(f.words) == 2 && f.words[0] == "explain":
		return f.explain(stdin, stdout, stderr)
	case len(f.words) == 0:
		fmt.Fprint(stderr, "nameplane vip: one of plan, explain, cleanup is wanted; -h tells what they do\n")
	case f.words[0] == "explain":
		fmt.Fprint(stderr, "nameplane vip explain: one ADDR:PORT/PROTO is wanted, as in 10.96.0.10:53/udp\n")
	default:
		hint := ""
		if near := corefile.Nearest(words, []string{"plan", "explain", "cleanup"}); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		fmt.Fprintf(stderr, "nameplane vip: what is meant by %q%s (-h tells what there is)\n", words, hint)
	}
	return exitUsage
}

func (f *vipFlags) explain(stdin io.Reader, stdout, stderr io.Writer) int {
	key, err := plan.ParseKey(f.words[1])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	var client netip.Addr
	if f.from != "" {
		if client, err = netip.ParseAddr(f.from); err != nil {
			fmt.Fprintf(stderr, "-from: %q is not an address\n", f.from)
			return exitUsage
		}
	}
	return f.report(stdin, stdout, stderr, func(s *plan.State) int {
		x := s.Explain(key, client.Unmap())
		fmt.Fprint(stdout, x)
		if !x.Ours || x.Verdict != plan.Forward {
			return exitNotForwarded
		}
		return exitOK
	})
}

// report reads the services and shows what show makes of them.
func (f *vipFlags) report(stdin io.Reader, stdout, stderr io.Writer, show func(*plan.State) int) int {
	file, err := readCorefile(f.conf, stdin)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	log := slog.New(newLineHandler(stderr, level))
	ctx, cancel := context.WithTimeoutCause(context.Background(), f.timeout,
		fmt.Errorf("the services were not listed within %s (-timeout)", f.timeout))
	defer cancel()
	state, err := vip.Inspect(ctx, file, cluster.NewPool(opener(log), log), log.WithGroup("plugin/vip"))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return show(state)
}

// cleanup removes what stays behind.
func cleanup(limit time.Duration, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	removed, err := vip.Cleanup(ctx)
	for _, what := range removed {
		fmt.Fprintln(stdout, "removed", what)
	}
	if len(removed) == 0 && err == nil {
		fmt.Fprintln(stdout, "nothing of ours was there")
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	return exitOK
}
