package prometheus

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// newHandler is the handler of the only prometheus directive in a Corefile, in front of end, started.
func newHandler(t testing.TB, env *plugin.Env, corefile string, end plugin.Handler) *Handler {
	t.Helper()
	built, err := Spec().Build(env, block.Lines(t, corefile, "prometheus"))
	if err != nil {
		t.Fatal(err)
	}
	h := built.(*Handler)
	env.Instance = block.Instance{{Server: "dns://:53", Zone: ".", Handlers: []plugin.Handler{h, end}}}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// scrape is the lines of the page that begin with one of the prefixes.
func scrape(t testing.TB, env *plugin.Env, prefixes ...string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	page := env.Web.(*block.Web).Page("localhost:9153/metrics")
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(line, prefix) {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return lines
}

// counted is the value of a line of the page, "0" if there is none.
func counted(t testing.TB, env *plugin.Env, series string) string {
	t.Helper()
	lines := scrape(t, env, series+" ")
	if len(lines) == 0 {
		return "0"
	}
	return strings.TrimPrefix(lines[0], series+" ")
}

func wantCount(t testing.TB, env *plugin.Env, series, want string) {
	t.Helper()
	if got := counted(t, env, series); got != want {
		t.Errorf("%s is %s, want %s", series, got, want)
	}
}

func answer() plugin.Handler {
	return block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.Address(wire.QuestionName, []byte{10, 0, 0, 1}, 5)
		return nil
	})
}

func TestCounts(t *testing.T) {
	t.Parallel()
	drop := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error { x.Reply.Drop(); return nil })
	fail := block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return errors.New("no upstream") })
	for _, test := range []struct {
		name   string
		end    plugin.Handler
		change func(m *dns.Msg, x *plugin.Exchange)
		want   []string
	}{
		{
			name: "an answer by UDP", end: answer(),
			want: []string{
				`coredns_dns_request_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 29`,
				`coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="."} 1`,
				`coredns_dns_response_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 45`,
				`coredns_dns_responses_total{plugin="end",rcode="NOERROR",server="dns://:53",view="",zone="."} 1`,
			},
		},
		{
			name: "NXDOMAIN by TCP and IPv6, another type", end: block.Reply(dns.RcodeNameError),
			change: func(m *dns.Msg, x *plugin.Exchange) {
				m.Question[0].Qtype = dns.TypeLOC
				x.Transport, x.Client = plugin.TCP, netip.MustParseAddrPort("[2001:db8::1]:53")
			},
			want: []string{
				`coredns_dns_request_size_bytes_sum{proto="tcp",server="dns://:53",view="",zone="."} 29`,
				`coredns_dns_requests_total{family="2",proto="tcp",server="dns://:53",type="other",view="",zone="."} 1`,
				`coredns_dns_response_size_bytes_sum{proto="tcp",server="dns://:53",view="",zone="."} 29`,
				`coredns_dns_responses_total{plugin="end",rcode="NXDOMAIN",server="dns://:53",view="",zone="."} 1`,
			},
		},
		{
			name: "an error is the server's SERVFAIL; DO", end: fail,
			change: func(m *dns.Msg, _ *plugin.Exchange) { m.SetEdns0(4096, true) },
			want: []string{
				`coredns_dns_do_requests_total{server="dns://:53",view="",zone="."} 1`,
				`coredns_dns_request_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 40`,
				`coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="."} 1`,
				`coredns_dns_response_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 0`,
				`coredns_dns_responses_total{plugin="",rcode="SERVFAIL",server="dns://:53",view="",zone="."} 1`,
			},
		},
		{
			name: "no reply, a type above 255", end: drop,
			change: func(m *dns.Msg, _ *plugin.Exchange) { m.Question[0].Qtype = dns.TypeCAA },
			want: []string{
				`coredns_dns_request_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 29`,
				`coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="other",view="",zone="."} 1`,
				`coredns_dns_response_size_bytes_sum{proto="udp",server="dns://:53",view="",zone="."} 0`,
				`coredns_dns_responses_total{plugin="",rcode="NOERROR",server="dns://:53",view="",zone="."} 1`,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			h := newHandler(t, env, ". {\n prometheus\n}", test.end)
			m, x := new(dns.Msg).SetQuestion("example.org.", dns.TypeA), new(plugin.Exchange)
			if test.change != nil {
				test.change(m, x)
			}
			made := block.FromMsg(t, m)
			if x.Client.IsValid() {
				made.Transport, made.Client = x.Transport, x.Client
			}
			_ = block.Serve(made, h, test.end) // TestErrorPasses looks at the error
			got := scrape(t, env, "coredns_dns_requests_total{", "coredns_dns_responses_total{", "coredns_dns_do_requests_total{",
				"coredns_dns_request_size_bytes_sum{", "coredns_dns_response_size_bytes_sum{")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorPasses(t *testing.T) {
	t.Parallel()
	trouble := errors.New("no upstream")
	end := block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return trouble })
	h := newHandler(t, block.NewEnv(io.Discard), ". {\n prometheus\n}", end)
	if err := block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), h, end); err != trouble {
		t.Errorf("error is %v, want the chain's", err)
	}
}

// Blocks that share a zone count apart.
func TestViews(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	for view, queries := range map[string]int{"": 1, "inside": 2} {
		h := newHandler(t, env, ". {\n prometheus\n}", answer())
		for range queries {
			x := block.NewExchange(t, "example.org.", dns.TypeA)
			x.View = view
			if err := block.Serve(x, h, answer()); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantCount(t, env, `coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="."}`, "1")
	wantCount(t, env, `coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="inside",zone="."}`, "2")
	wantCount(t, env, `nameplane_dns_request_duration_seconds_count{server="dns://:53",view="inside",zone="."}`, "2")
}

// A query counts as it came in, not as a directive rewrote it.
func TestCountsTheQueryThatCame(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Query.Type = dns.TypeTXT
		return nil
	})
	h := newHandler(t, env, ". {\n prometheus\n}", end)
	if err := block.Serve(block.NewExchange(t, "example.org.", dns.TypeAAAA), h, end); err != nil {
		t.Fatal(err)
	}
	wantCount(t, env, `coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="AAAA",view="",zone="."}`, "1")
}

func TestDurations(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	var clock time.Time
	env.Now = func() time.Time { return clock }
	h := newHandler(t, env, ". {\n prometheus\n}", answer())
	for _, took := range []time.Duration{-time.Second, time.Microsecond, 1001, 250 * time.Microsecond, 300 * time.Microsecond, 9 * time.Second} {
		x := block.NewExchange(t, "example.org.", dns.TypeA)
		clock = x.Now.Add(took)
		if err := block.Serve(x, h, answer()); err != nil {
			t.Fatal(err)
		}
	}
	coarse, fine := "coredns_dns_request_duration_seconds", "nameplane_dns_request_duration_seconds"
	for _, test := range []struct{ series, want string }{
		{series: coarse + `_bucket{server="dns://:53",view="",zone=".",le="0.00025"}`, want: "4"},
		{series: coarse + `_bucket{server="dns://:53",view="",zone=".",le="0.0005"}`, want: "5"},
		{series: coarse + `_bucket{server="dns://:53",view="",zone=".",le="8.192"}`, want: "5"},
		{series: coarse + `_bucket{server="dns://:53",view="",zone=".",le="+Inf"}`, want: "6"},
		{series: coarse + `_sum{server="dns://:53",view="",zone="."}`, want: "9.000552001"},
		{series: coarse + `_count{server="dns://:53",view="",zone="."}`, want: "6"},
		{series: fine + `_bucket{server="dns://:53",view="",zone=".",le="1e-06"}`, want: "2"},
		{series: fine + `_bucket{server="dns://:53",view="",zone=".",le="2e-06"}`, want: "3"},
		{series: fine + `_bucket{server="dns://:53",view="",zone=".",le="0.000256"}`, want: "4"},
		{series: fine + `_bucket{server="dns://:53",view="",zone=".",le="1.048576"}`, want: "5"},
		{series: fine + `_count{server="dns://:53",view="",zone="."}`, want: "6"},
	} {
		wantCount(t, env, test.series, test.want)
	}
	if n := len(scrape(t, env, coarse+"_bucket")); n != 17 {
		t.Errorf("%d buckets of %s, want 0.25 ms doubled 15 times and infinity", n, coarse)
	}
	if n := len(scrape(t, env, fine+"_bucket")); n != 22 {
		t.Errorf("%d buckets of %s, want 1 µs doubled 20 times and infinity", n, fine)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	var s sizes
	for _, bytes := range []int{0, 1, 100, 101, 64000, 65535} {
		s.add(bytes)
	}
	want := map[int]uint64{0: 1, 1: 2, 2: 1, 13: 1, 14: 1}
	for i := range s.buckets {
		if got := s.buckets[i].Load(); got != want[i] {
			t.Errorf("bucket %d has %d, want %d", i, got, want[i])
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	h := newHandler(t, env, ". {\n prometheus\n}", answer())
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	x.Zone = ""
	x.Reply.Start(&x.Query, dns.RcodeRefused)
	h.Refused(x)
	wantCount(t, env, `coredns_dns_responses_total{plugin="",rcode="REFUSED",server="dns://:53",view="",zone="dropped"}`, "1")
	wantCount(t, env, `coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="dropped"}`, "1")
}

// A directive behind which nothing stands shares its label with the server.
func TestLastInTheChain(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	h := newHandler(t, env, ". {\n prometheus\n}", answer())
	h.next = ""
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	if err := block.Serve(x, h, answer()); err != nil {
		t.Fatal(err)
	}
	if err := block.Serve(x, h, block.Reply(dns.RcodeSuccess)); err != nil {
		t.Fatal(err)
	}
	x.Reply.Reset()
	if err := block.Serve(x, h, block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return nil })); err != nil {
		t.Fatal(err)
	}
	wantCount(t, env, `coredns_dns_responses_total{plugin="",rcode="NOERROR",server="dns://:53",view="",zone="."}`, "3")
}

func TestRcodeNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		rcode int
		want  string
	}{
		{name: "with a name", rcode: dns.RcodeBadCookie, want: "BADCOOKIE"},
		{name: "unassigned (RFC 6895, section 2.3)", rcode: 12, want: "RCODE12"},
		{name: "private use", rcode: 3841, want: "other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
				x.Reply.Start(&x.Query, test.rcode)
				return nil
			})
			h := newHandler(t, env, ". {\n prometheus\n}", end)
			if err := block.Serve(block.NewExchange(t, "example.org.", dns.TypeA), h, end); err != nil {
				t.Fatal(err)
			}
			wantCount(t, env, `coredns_dns_responses_total{plugin="end",rcode="`+test.want+`",server="dns://:53",view="",zone="."}`, "1")
		})
	}
}

// Many sockets, zones and goroutines: nothing is lost, and nothing is raced for (-race).
func TestConcurrent(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	env.Shards = 3
	end := answer()
	h := newHandler(t, env, ". {\n prometheus\n}", end)
	const each = 200
	var tasks sync.WaitGroup
	for shard := range 4 { // one more than there are cells for
		for _, zone := range []string{"cluster.local.", "."} {
			x := block.NewExchange(t, "example.org.", dns.TypeA)
			x.Shard, x.Zone = shard, zone
			tasks.Go(func() {
				for range each {
					if err := block.Serve(x, h, end); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	scrape(t, env, "coredns_")
	tasks.Wait()
	for _, zone := range []string{"cluster.local.", "."} {
		wantCount(t, env, `coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="`+zone+`"}`, "800")
	}
}

// Counters go on over a reload, be it to more sockets or to another directive behind this one.
func TestReload(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	for _, shards := range []int{1, 4, 2} {
		next := block.NewEnv(io.Discard)
		next.Metrics, next.Shards = env.Metrics, shards
		h := newHandler(t, next, ". {\n prometheus\n}", answer())
		x := block.NewExchange(t, "example.org.", dns.TypeA)
		x.Shard = shards - 1
		if err := block.Serve(x, h, answer()); err != nil {
			t.Fatal(err)
		}
		env = next
	}
	wantCount(t, env, `coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="."}`, "3")
}

func TestEnabled(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	h := newHandler(t, env, ". {\n prometheus\n}", answer())
	other := newHandler(t, env, ". {\n prometheus\n}", answer()) // the next instance's, during a reload
	env.Instance = block.Instance{
		{Server: "dns://:53", Zone: "cluster.local.", Handlers: []plugin.Handler{h, answer()}},
		{Server: "dns://:53", Zone: ".", Handlers: []plugin.Handler{answer()}}, // not counted
		{Server: "dns://:53", Zone: "cluster.local.", Handlers: []plugin.Handler{other}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	for _, h := range []*Handler{h, other} {
		tasks.Go(func() {
			if err := h.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	want := []string{
		`coredns_plugin_enabled{name="end",server="dns://:53",view="",zone="cluster.local."} 1`,
		`coredns_plugin_enabled{name="prometheus",server="dns://:53",view="",zone="cluster.local."} 1`,
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		diff := cmp.Diff(want, scrape(t, env, "coredns_plugin_enabled{"))
		if diff == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("metrics (-want +got):\n%s", diff)
		}
		<-time.After(time.Millisecond)
	}
	cancel()
	tasks.Wait()
	if lines := scrape(t, env, "coredns_plugin_enabled{"); len(lines) != 0 {
		t.Errorf("enabled after the instance's end: %q", lines)
	}
}

func TestProcessMetrics(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	newHandler(t, env, ". {\n prometheus\n}", answer())
	if lines := scrape(t, env, "go_goroutines ", `coredns_build_info{`); len(lines) != 2 || !strings.Contains(lines[0], `version="0.0.0-test"`) {
		t.Errorf("process metrics are %q", lines)
	}
	const all = "go_sched_latencies_seconds_count "
	if lines := scrape(t, env, all); len(lines) != 0 {
		t.Errorf("without runtime_metrics there is %q", lines)
	}
	for range 2 { // a second block may want the same
		newHandler(t, env, ". {\n prometheus {\n  runtime_metrics\n }\n}", answer())
		newHandler(t, env, ". {\n prometheus\n}", answer()) // and one that does not changes nothing
		if lines := scrape(t, env, all, "go_goroutines "); len(lines) != 2 {
			t.Errorf("with runtime_metrics there is %q", lines)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "twice", corefile: ". {\n prometheus\n prometheus\n}", want: "Corefile:3: prometheus: given twice in a server block; the first one is at Corefile:2"},
		{name: "no port", corefile: ". {\n prometheus localhost\n}", want: `Corefile:2: prometheus: "localhost" is not an address; write HOST:PORT or :PORT`},
		{name: "an unknown option", corefile: ". {\n prometheus {\n  runtime\n }\n}", want: `Corefile:3: prometheus: unknown option "runtime" (known options: runtime_metrics, tls)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "prometheus"))
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

func TestServeAllocatesNothing(t *testing.T) {
	h := newHandler(t, block.NewEnv(io.Discard), ". {\n prometheus\n}", answer())
	x, chain := block.NewExchange(t, "example.org.", dns.TypeA), []plugin.Handler{h, answer()}
	n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query, want none", n)
	}
}

func BenchmarkServe(b *testing.B) {
	for _, bench := range []struct {
		name  string
		chain func(h *Handler, end plugin.Handler) []plugin.Handler
	}{
		{name: "with", chain: func(h *Handler, end plugin.Handler) []plugin.Handler { return []plugin.Handler{h, end} }},
		{name: "without", chain: func(_ *Handler, end plugin.Handler) []plugin.Handler { return []plugin.Handler{end} }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			end := answer()
			h := newHandler(b, block.NewEnv(io.Discard), ". {\n prometheus\n}", end)
			x, chain := block.NewExchange(b, "example.org.", dns.TypeA), bench.chain(h, end)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				x.Begin(nil, chain)
				if err := x.Next(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
