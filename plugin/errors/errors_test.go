package errors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// newHandler is the handler of the only errors directive in a Corefile, and its log.
func newHandler(t *testing.T, corefile string) (*Handler, *block.Buffer) {
	t.Helper()
	log := new(block.Buffer)
	h, err := Spec().Build(block.NewEnv(log), block.Lines(t, corefile, "errors"))
	if err != nil {
		t.Fatal(err)
	}
	return h.(*Handler), log
}

func failing(err error) plugin.Handler {
	return block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return err })
}

func TestServe(t *testing.T) {
	t.Parallel()
	trouble := errors.New("no upstream")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{name: "a reply"},
		{name: "an error", err: trouble, want: "[ERROR] plugin/errors: 2 example.org. A: no upstream\n"},
		{
			name: "no handler", err: plugin.ErrNoHandler,
			want: "[ERROR] plugin/errors: 2 example.org. A: no directive of this server block answers the question\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := newHandler(t, ". {\n errors stdout\n}")
			x := block.NewExchange(t, "Example.ORG.", dns.TypeA)
			if err := block.Serve(x, h, failing(test.err)); err != test.err {
				t.Errorf("error is %v, want %v: the server has to see it", err, test.err)
			}
			if got := log.String(); got != test.want {
				t.Errorf("log is %q, want %q", got, test.want)
			}
		})
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	h, _ := newHandler(t, ". {\n errors {\n  consolidate 1s .*\n }\n}")
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	chain := []plugin.Handler{h, failing(nil)}
	n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query without error, want none", n)
	}
}

func TestConsolidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, option string
		errors       []string
		now, later   string // the log at once, and what the period's end adds
	}{
		{
			name: "only the number", option: `consolidate 2s "^read .* timeout$" warning`,
			errors: []string{"read a timeout", "read b timeout", "other"},
			now:    "[ERROR] plugin/errors: 2 example.org. A: other\n",
			later:  "[WARN] plugin/errors: 2 errors like '^read .* timeout$' occurred in last 2s\n",
		},
		{
			name: "error is the level by default", option: `consolidate 2s timeout`,
			errors: []string{"timeout"},
			later:  "[ERROR] plugin/errors: 1 errors like 'timeout' occurred in last 2s\n",
		},
		{
			name: "the first one at once", option: `consolidate 2s timeout info show_first`,
			errors: []string{"timeout 1", "timeout 2", "timeout 3"},
			now:    "[INFO] plugin/errors: 2 example.org. A: timeout 1\n",
			later:  "[INFO] plugin/errors: 3 errors like 'timeout' occurred in last 2s\n",
		},
		{
			name: "the first one was the only one", option: `consolidate 2s timeout show_first`,
			errors: []string{"timeout"},
			now:    "[ERROR] plugin/errors: 2 example.org. A: timeout\n",
		},
		{
			name: "the first pattern that fits counts", option: "consolidate 2s timeout debug\n consolidate 1s time",
			errors: []string{"timeout", "timeless"},
			later: "[ERROR] plugin/errors: 1 errors like 'time' occurred in last 1s\n" +
				"[DEBUG] plugin/errors: 1 errors like 'timeout' occurred in last 2s\n",
		},
	} {
		for _, end := range []struct {
			name string
			end  func(*Handler)
		}{
			{name: "period", end: func(*Handler) { <-time.After(3 * time.Second) }},
			{name: "close", end: func(h *Handler) { h.Close() }},
		} {
			t.Run(test.name+"/"+end.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h, log := newHandler(t, ". {\n errors {\n "+test.option+"\n }\n}")
					for _, text := range test.errors {
						x := block.NewExchange(t, "example.org.", dns.TypeA)
						if block.Serve(x, h, failing(errors.New(text))) == nil {
							t.Error("the error was swallowed")
						}
					}
					if got := log.String(); got != test.now {
						t.Errorf("log at once is %q, want %q", got, test.now)
					}
					end.end(h)
					synctest.Wait()
					later := strings.TrimPrefix(log.String(), test.now)
					if sorted(later) != sorted(test.later) {
						t.Errorf("log at the end is %q, want %q", later, test.later)
					}
				})
			})
		}
	}
}

// sorted makes the order of two periods' ends not matter.
func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) == 3 && lines[0] > lines[1] {
		lines[0], lines[1] = lines[1], lines[0]
	}
	return strings.Join(lines, "")
}

func TestSecondPeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, log := newHandler(t, ". {\n errors {\n consolidate 2s timeout\n }\n}")
		for range 2 {
			_ = block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), h, failing(errors.New("timeout")))
			<-time.After(3 * time.Second)
		}
		line := "[ERROR] plugin/errors: 1 errors like 'timeout' occurred in last 2s\n"
		if got := log.String(); got != line+line {
			t.Errorf("log is %q, want a line for each period", got)
		}
	})
}

// After Close nothing would print a number, so errors are printed themselves.
func TestErrorAfterClose(t *testing.T) {
	t.Parallel()
	h, log := newHandler(t, ". {\n errors {\n consolidate 1h timeout\n }\n}")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	_ = block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), h, failing(errors.New("timeout")))
	if got, want := log.String(), "[ERROR] plugin/errors: 2 example.org. A: timeout\n"; got != want {
		t.Errorf("log is %q, want %q", got, want)
	}
}

func TestStacktrace(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	if _, err := Spec().Build(env, block.Lines(t, ". {\n errors {\n  stacktrace\n }\n}", "errors")); err != nil {
		t.Fatal(err)
	}
	if !env.Listen.Stacktrace {
		t.Error("Listen.Stacktrace is not set")
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "twice", corefile: ". {\n errors\n errors\n}", want: "Corefile:3: errors: given twice in a server block; the first one is at Corefile:2"},
		{name: "a file", corefile: ". {\n errors /var/log/x\n}", want: `Corefile:2: errors: "/var/log/x" is no place to print to; the only one is stdout`},
		{name: "two arguments", corefile: ". {\n errors stdout x\n}", want: `Corefile:2: errors: wants at most 1 argument, but has 2; write "errors [stdout]"`},
		{name: "an unknown option", corefile: ". {\n errors {\n  consolidat 1s x\n }\n}", want: `Corefile:3: errors: unknown option "consolidat"; did you mean "consolidate"? (known options: consolidate, stacktrace)`},
		{name: "no pattern", corefile: ". {\n errors {\n  consolidate 1s\n }\n}", want: `Corefile:3: consolidate: wants 2 to 4 arguments, but has 1; write "` + consolidateForm + `"`},
		{name: "no duration", corefile: ". {\n errors {\n  consolidate 5 x\n }\n}", want: `Corefile:3: consolidate: "5" is not a duration such as 30s or 5m`},
		{name: "no time", corefile: ". {\n errors {\n  consolidate 0s x\n }\n}", want: `Corefile:3: consolidate: "0s" is not a duration such as 30s or 5m`},
		{name: "a bad pattern", corefile: ". {\n errors {\n  consolidate 1s (\n }\n}", want: "Corefile:3: consolidate: \"(\" is not a pattern: error parsing regexp: missing closing ): `(`"},
		{name: "a level after show_first", corefile: ". {\n errors {\n  consolidate 1s x show_first info\n }\n}", want: `Corefile:3: consolidate: "info" is out of place; write "` + consolidateForm + `"`},
		{name: "an unknown level", corefile: ". {\n errors {\n  consolidate 1s x fatal\n }\n}", want: `Corefile:3: consolidate: "fatal" is out of place; write "` + consolidateForm + `"`},
		{
			name:     "a huge pattern",
			corefile: fmt.Sprintf(". {\n errors {\n  consolidate 1s %s\n }\n}", strings.Repeat("x", longestPattern+1)),
			want:     "Corefile:3: consolidate: the pattern has 10001 bytes; at most 10000 are allowed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "errors"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
