package kubernetes

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// idle is a Source that leaves the Store to the test.
type idle struct{}

func (idle) Run(ctx context.Context, _ *cluster.Writer) error { <-ctx.Done(); return nil }
func (idle) String() string                                   { return "test" }

// newHandler builds the directive from Corefile text, over a store that fill fills.
func newHandler(t testing.TB, text string, fill func(w *cluster.Writer)) *Kubernetes {
	t.Helper()
	file, err := corefile.Parse("Corefile", []byte(".:53 {\n"+text+"\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	pool := cluster.NewPool(func(cluster.Origin, cluster.Needs, cluster.Telemetry) (cluster.Source, error) {
		return idle{}, nil
	}, log)
	env := &plugin.Env{
		Zones: []wire.Name{wire.Root}, Log: log, Metrics: prometheus.NewRegistry(), Listen: &plugin.Listen{}, Now: time.Now,
	}
	h, err := Spec(pool).Build(env, file.Blocks[0].Directives)
	if err != nil {
		t.Fatal(err)
	}
	k := h.(*Kubernetes)
	t.Cleanup(func() { _ = k.Close() })
	w := k.lease.Writer
	w.Expect("test", cluster.KindService)
	fill(w)
	w.BeginList(cluster.KindNamespace)
	w.EndList(cluster.KindService)
	return k
}

func ip(t testing.TB, s string) cluster.Addr {
	a, err := cluster.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// fillHot loads what the hot-path figures speak of.
func fillHot(t testing.TB) func(w *cluster.Writer) {
	return func(w *cluster.Writer) {
		w.PutNamespace("default")
		w.PutService(&cluster.ServiceSpec{Namespace: "default", Name: "web", Type: cluster.ClusterIP,
			ClusterIPs: []cluster.Addr{ip(t, "10.96.0.7")}, Ports: []cluster.Port{{Name: "http", Number: 80}}})
		w.PutService(&cluster.ServiceSpec{Namespace: "default", Name: "db", Type: cluster.Headless})
		slice := &cluster.SliceSpec{Namespace: "default", Name: "db-1", Service: "db", Ports: []cluster.Port{{Name: "sql", Number: 5432}}}
		for i := range 4 {
			slice.Endpoints = append(slice.Endpoints, cluster.EndpointSpec{Addr: ip(t, fmt.Sprintf("10.244.0.%d", i+1)), Name: fmt.Sprintf("db-%d", i)})
		}
		w.PutSlice(slice)
	}
}

var hot = []struct {
	name, question string
	qtype          uint16
	rcode, answers int
}{
	{name: "A", question: "web.default.svc.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "AAAA-NODATA", question: "web.default.svc.cluster.local.", qtype: dns.TypeAAAA},
	{name: "NXDOMAIN", question: "www.example.com.default.svc.cluster.local.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
	{name: "A-headless-4", question: "db.default.svc.cluster.local.", qtype: dns.TypeA, answers: 4},
	{name: "SRV-1", question: "_http._tcp.web.default.svc.cluster.local.", qtype: dns.TypeSRV, answers: 1},
	{name: "SRV-4", question: "_sql._tcp.db.default.svc.cluster.local.", qtype: dns.TypeSRV, answers: 4},
	{name: "PTR-service", question: "7.0.96.10.in-addr.arpa.", qtype: dns.TypePTR, answers: 1},
	{name: "PTR-endpoint", question: "2.0.244.10.in-addr.arpa.", qtype: dns.TypePTR, answers: 1},
}

const hotCorefile = "kubernetes cluster.local in-addr.arpa ip6.arpa {\n pods insecure\n ttl 30\n}"

// serveOnce answers one packet as the server does.
func serveOnce(k *Kubernetes, x *plugin.Exchange, packet []byte) []byte {
	if err := x.Query.Parse(packet); err != nil {
		panic(err)
	}
	x.Reply.Reset()
	x.Begin(nil, nil)
	if err := k.Serve(context.Background(), x); err != nil {
		panic(err)
	}
	return x.Reply.Finish(&x.Query, x.Limit())
}

// TestHotPathAllocations is the budget of design section 2: no heap allocation for an ordinary cluster name.
func TestHotPathAllocations(t *testing.T) {
	k := newHandler(t, hotCorefile, fillHot(t))
	for _, test := range hot {
		t.Run(test.name, func(t *testing.T) {
			packet := question(t, test.question, test.qtype)
			x := new(plugin.Exchange)
			m := new(dns.Msg)
			if err := m.Unpack(serveOnce(k, x, packet)); err != nil {
				t.Fatal(err)
			}
			if m.Rcode != test.rcode || len(m.Answer) != test.answers {
				t.Fatalf("got %s, want rcode %d and %d answers", m, test.rcode, test.answers)
			}
			if n := testing.AllocsPerRun(1000, func() { serveOnce(k, x, packet) }); n != 0 {
				t.Errorf("%v allocations a query, want none", n)
			}
		})
	}
}

func question(t testing.TB, name string, qtype uint16) []byte {
	m := new(dns.Msg)
	packet, err := m.SetQuestion(name, qtype).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func BenchmarkServe(b *testing.B) {
	k := newHandler(b, hotCorefile, fillHot(b))
	for _, test := range hot {
		b.Run(test.name, func(b *testing.B) {
			packet := question(b, test.question, test.qtype)
			x := new(plugin.Exchange)
			b.ReportAllocs()
			for b.Loop() {
				serveOnce(k, x, packet)
			}
		})
	}
}
