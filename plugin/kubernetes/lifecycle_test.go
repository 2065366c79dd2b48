package kubernetes

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// newStarting is a directive in a bubble, where time passes when everybody waits.
func newStarting(t *testing.T, text string) *bed {
	b := newUnsynced(t, "kubernetes cluster.local {\n"+text+"\n}")
	b.w.Expect("test", cluster.KindService, cluster.KindNamespace)
	return b
}

func TestStartTimesOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		why, option string
		wait        time.Duration
		said        int // times
	}{
		{why: "five seconds by default", wait: 5 * time.Second, said: 9},
		{why: "as long as is said", option: "startup_timeout 1200ms", wait: 1200 * time.Millisecond, said: 2},
		{why: "not at all", option: "startup_timeout 0s", wait: 0},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newStarting(t, test.option)
				begin := time.Now()
				if err := b.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != test.wait {
					t.Errorf("Start took %s, want %s", took, test.wait)
				}
				log := b.log.String()
				// The tick at the very end may come before or behind the timeout.
				const waiting = "[INFO] waiting for Kubernetes API before starting server\n"
				if n := strings.Count(log, waiting); n < test.said || n > test.said+1 {
					t.Errorf("the log says %d times that it waits, want %d:\n%s", n, test.said, log)
				}
				if !strings.HasSuffix(log, "[WARN] starting server with unsynced Kubernetes API\n") {
					t.Errorf("the log does not end with a warning:\n%s", log)
				}
				if got := b.ask(t, nil, "web.shop.svc.cluster.local. A"); got[0] != "SERVFAIL" {
					t.Errorf("answer is %v, want SERVFAIL", got)
				}
			})
		})
	}
}

func TestStartWaitsForTheLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStarting(t, "")
		go func() {
			<-time.After(200 * time.Millisecond)
			b.w.EndList(cluster.KindService)
			<-time.After(200 * time.Millisecond)
			b.w.EndList(cluster.KindNamespace)
		}()
		begin := time.Now()
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 400*time.Millisecond || took > 400*time.Millisecond+lookEvery {
			t.Errorf("Start took %s, want 400 ms", took)
		}
		if log := b.log.String(); log != "" {
			t.Errorf("the log says %q, want nothing: it took less than half a second", log)
		}
	})
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStarting(t, "startup_timeout 1h")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want that of the context", err)
		}
	})
}

func TestReady(t *testing.T) {
	t.Parallel()
	b := newUnsynced(t, plainCorefile)
	for _, step := range []struct {
		why    string
		change func()
		want   string // error; empty for ready
	}{
		{why: "nothing listed", change: func() {}, want: "test: waiting for the list of services, namespaces"},
		{why: "services listed", change: func() { b.w.EndList(cluster.KindService) }, want: "test: waiting for the list of namespaces"},
		{why: "all listed", change: func() { b.w.EndList(cluster.KindNamespace) }},
		{why: "the API server is away", change: func() { b.w.Fail("connection refused") }},
	} {
		step.change()
		got := ""
		if err := b.Ready(); err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("%s: ready says %q, want %q", step.why, got, step.want)
		}
	}
}

// TestClose: the source ends, and changes are not counted any more.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStarting(t, "startup_timeout 0s")
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		s := &script{t: t, w: b.w}
		s.headless("db.shop")
		s.trigger = b.env.Now().Add(-time.Second)
		s.slice("db-1.db.shop", "sql/tcp/5432", "10.244.0.1")
		if got := metric(t, b, "coredns_kubernetes_dns_programming_duration_seconds", "headless_with_selector"); got != "" {
			t.Errorf("observed %s after Close", got)
		}
	})
}
