package cancel

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

func build1(t testing.TB, line string) plugin.Handler {
	t.Helper()
	h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n "+line+"\n}", "cancel"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type key struct{}

func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		line   string
		around time.Duration // 0 for none
		want   time.Duration
	}{
		{name: "the default", line: "cancel", want: 5001 * time.Millisecond},
		{name: "a timeout", line: "cancel 1s", want: time.Second},
		{name: "a shorter one around it", line: "cancel 1s", around: 500 * time.Millisecond, want: 500 * time.Millisecond},
		{name: "a longer one around it", line: "cancel 1s", around: time.Minute, want: time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := build1(t, test.line)
				for _, end := range []block.HandlerFunc{waitForDone(t), waitBelow, waitForErr(t)} {
					ctx := context.WithValue(t.Context(), key{}, "value")
					if test.around > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, test.around)
						defer cancel()
					}
					x := block.NewExchange(t, "example.org.", dns.TypeA)
					x.Now = time.Now()
					x.Begin(nil, []plugin.Handler{h, end})
					if err := x.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("error %v", err)
					}
					if took := time.Since(x.Now); took != test.want {
						t.Errorf("it took %v, want %v", took, test.want)
					}
				}
			})
		})
	}
}

// waitForDone waits as most do.
func waitForDone(t *testing.T) block.HandlerFunc {
	return func(ctx context.Context, _ *plugin.Exchange) error {
		if ctx.Value(key{}) != "value" {
			t.Error("the value around is lost")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		<-ctx.Done()
		if ctx.Value(key{}) != "value" {
			t.Error("the value around is lost once somebody waits")
		}
		return ctx.Err()
	}
}

// waitBelow waits for a context made of the handler's.
func waitBelow(ctx context.Context, _ *plugin.Exchange) error {
	below, cancel := context.WithCancel(ctx)
	defer cancel()
	<-below.Done()
	return below.Err()
}

// Package context starts a goroutine to watch a context of a kind that it does not know.
func TestNoGoroutineWatches(t *testing.T) {
	end := block.HandlerFunc(func(ctx context.Context, _ *plugin.Exchange) error {
		before := runtime.NumGoroutine()
		_, cancel := context.WithCancel(ctx)
		defer cancel()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines were started", n-before)
		}
		return nil
	})
	if err := block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), build1(t, "cancel"), end); err != nil {
		t.Fatal(err)
	}
}

// waitForErr looks again and again, as loops over attempts do.
func waitForErr(t *testing.T) block.HandlerFunc {
	return func(ctx context.Context, _ *plugin.Exchange) error {
		for ctx.Err() == nil {
			end, ok := ctx.Deadline()
			if !ok {
				t.Fatal("there is no deadline")
			}
			<-time.After(time.Until(end))
		}
		return ctx.Err()
	}
}

// What is still waited for when the query is answered ends.
func TestEndsWithServe(t *testing.T) {
	t.Parallel()
	var done <-chan struct{}
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	end := block.HandlerFunc(func(ctx context.Context, _ *plugin.Exchange) error {
		done = ctx.Done()
		return nil
	})
	if err := block.Serve(x, build1(t, "cancel 1h"), end); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("the context goes on")
	}
}

// A query must not get the context that another one waited for.
func TestContextsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	h := build1(t, "cancel 1h")
	for i := range 100 {
		x := block.NewExchange(t, "example.org.", dns.TypeA)
		end := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
			if i%2 == 0 {
				ctx.Done()
			}
			if at, _ := ctx.Deadline(); !at.Equal(x.Now.Add(time.Hour)) {
				t.Errorf("query %d: deadline %v, asked at %v", i, at, x.Now)
			}
			return ctx.Err()
		})
		if err := block.Serve(x, h, end); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	chain := []plugin.Handler{build1(t, "cancel"), block.HandlerFunc(func(ctx context.Context, _ *plugin.Exchange) error {
		ctx.Deadline()
		return ctx.Err()
	})}
	n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query that nobody waits for, want none", n)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "no unit", corefile: ". {\n cancel 5\n}", want: `Corefile:2: cancel: "5" has no unit; write 5s for seconds`},
		{name: "no duration", corefile: ". {\n cancel soon\n}", want: `Corefile:2: cancel: "soon" is not a duration such as 5s or 1m30s`},
		{name: "zero", corefile: ". {\n cancel 0s\n}", want: `Corefile:2: cancel: "0s" is out of range; it must be at least 1ns`},
		{name: "negative", corefile: ". {\n cancel -1s\n}", want: `Corefile:2: cancel: "-1s" is out of range; it must be at least 1ns`},
		{name: "two", corefile: ". {\n cancel 1s 2s\n}", want: `Corefile:2: cancel: wants at most 1 argument, but has 2; write "cancel [TIMEOUT]"`},
		{name: "options", corefile: ". {\n cancel {\n }\n}", want: "Corefile:2: cancel: takes no options in { }"},
		{name: "twice", corefile: ". {\n cancel\n cancel 2s\n}", want: "Corefile:3: cancel: given twice in a server block; the first one is at Corefile:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "cancel"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
