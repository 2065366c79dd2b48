package health

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// newHandler is the handler of the only health directive in a Corefile.
func newHandler(t *testing.T, env *plugin.Env, corefile string) *Handler {
	t.Helper()
	h, err := Spec().Build(env, block.Lines(t, corefile, "health"))
	if err != nil {
		t.Fatal(err)
	}
	return h.(*Handler)
}

func TestPage(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	for range 2 { // a second block shares the page
		newHandler(t, env, ". {\n health\n}")
	}
	w := httptest.NewRecorder()
	env.Web.(*block.Web).Page(":8080/health").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
	if w.Code != http.StatusOK || w.Body.String() != "OK" {
		t.Errorf("%d %q, want 200 \"OK\"", w.Code, w.Body)
	}
}

func TestServePassesOn(t *testing.T) {
	t.Parallel()
	h := newHandler(t, block.NewEnv(io.Discard), ". {\n health\n}")
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if err := block.Serve(x, h, block.Reply(dns.RcodeNameError)); err != nil || x.Reply.Rcode() != dns.RcodeNameError {
		t.Errorf("error %v, rcode %d, want what the next one says", err, x.Reply.Rcode())
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile string
		limit          time.Duration // of the context
		want           time.Duration
	}{
		{name: "no lameduck", corefile: ". {\n health\n}", limit: time.Minute},
		{name: "lameduck", corefile: ". {\n health {\n  lameduck 5s\n }\n}", limit: time.Minute, want: 5 * time.Second},
		{name: "cut short", corefile: ". {\n health {\n  lameduck 5s\n }\n}", limit: time.Second, want: time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHandler(t, block.NewEnv(io.Discard), test.corefile)
				ctx, cancel := context.WithTimeout(t.Context(), test.limit)
				defer cancel()
				start := time.Now()
				h.Drain(ctx)
				if took := time.Since(start); took != test.want {
					t.Errorf("took %s, want %s", took, test.want)
				}
			})
		})
	}
}

// observations are the number of probes and of failures that were counted.
func observations(t *testing.T, r *prometheus.Registry) (probes uint64, failures float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		switch family.GetName() {
		case "coredns_health_request_duration_seconds":
			probes = family.GetMetric()[0].GetHistogram().GetSampleCount()
		case "coredns_health_request_failures_total":
			failures = family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return probes, failures
}

func TestRunProbes(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(alive{})
	t.Cleanup(page.Close)
	gone := httptest.NewServer(alive{})
	gone.Close()
	for _, test := range []struct {
		name, url string
		fails     bool
	}{
		{name: "alive", url: page.URL},
		{name: "nobody listens", url: gone.URL, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env, log := block.NewEnv(io.Discard), new(block.Buffer)
			env.Log = block.NewEnv(log).Log
			h := newHandler(t, env, ". {\n health "+strings.TrimPrefix(test.url, "http://")+"\n}")
			h.period = time.Millisecond
			env.Instance = block.Instance{{Handlers: []plugin.Handler{h}}}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- h.Run(ctx) }()
			for deadline := time.Now().Add(5 * time.Second); ; {
				probes, failures := observations(t, env.Metrics)
				if probes >= 2 && (failures >= 2) == test.fails {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d probes, %v failures after 5 s", probes, failures)
				}
				<-time.After(5 * time.Millisecond)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run ended with %v", err)
			}
			if warned := strings.Contains(log.String(), "cannot be reached"); warned != test.fails {
				t.Errorf("log is %q", log)
			}
		})
	}
}

// Two blocks at one address are one page, and are probed once.
func TestFirst(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	a, b := newHandler(t, env, ". {\n health\n}"), newHandler(t, env, ". {\n health\n}")
	other := newHandler(t, env, ". {\n health :9090\n}")
	env.Instance = block.Instance{{Handlers: []plugin.Handler{a}}, {Handlers: []plugin.Handler{b}}, {Handlers: []plugin.Handler{other}}}
	if !a.first() || b.first() || !other.first() {
		t.Errorf("first is %v, %v, %v, want true, false, true", a.first(), b.first(), other.first())
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, addr, want string }{
		{name: "all addresses", addr: ":8080", want: "localhost:8080"},
		{name: "one address", addr: "[::1]:8080", want: "[::1]:8080"},
	} {
		if got := (&Handler{addr: test.addr}).local(); got != test.want {
			t.Errorf("%s: %q is reached at %q, want %q", test.name, test.addr, got, test.want)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "twice", corefile: ". {\n health\n health\n}", want: "Corefile:3: health: given twice in a server block; the first one is at Corefile:2"},
		{name: "no port", corefile: ". {\n health localhost\n}", want: `Corefile:2: health: "localhost" is not an address; write HOST:PORT or :PORT`},
		{name: "no unit", corefile: ". {\n health {\n  lameduck 5\n }\n}", want: `Corefile:3: lameduck: "5" has no unit; write 5s for seconds`},
		{name: "an unknown option", corefile: ". {\n health {\n  lame 5s\n }\n}", want: `Corefile:3: health: unknown option "lame" (known options: lameduck)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "health"))
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
