package hotpath

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/manifest"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/standard"
	"github.com/nameplane/nameplane/test/block"
)

// text is kubeadm's chain, without what waits or listens.
const text = `.:53 {
    prometheus
    errors
    loadbalance
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests ../../cmd/nameplane/demo
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
}
`

// chain builds the handlers of text in their order.
func chain(t testing.TB) []plugin.Handler {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	pool := cluster.NewPool(func(o cluster.Origin, n cluster.Needs, _ cluster.Telemetry) (cluster.Source, error) {
		return manifest.Open(o, n, log)
	}, log)
	env := block.NewEnv(io.Discard)
	var handlers []plugin.Handler
	for _, spec := range standard.List(pool) {
		lines := block.Lines(t, text, spec.Name)
		if len(lines) == 0 {
			continue
		}
		h, err := spec.Build(env, lines)
		if err != nil {
			t.Fatal(err)
		}
		handlers = append(handlers, h)
	}
	for _, h := range handlers {
		if s, ok := h.(interface{ Start(context.Context) error }); ok && h.Name() == "kubernetes" {
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c, ok := h.(plugin.Closer); ok {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	if len(handlers) != 4 {
		t.Fatalf("%d handlers, want 4", len(handlers))
	}
	return handlers
}

var cases = []struct {
	name, question string
	qtype          uint16
	rcode, answers int
}{
	{name: "A", question: "my-nginx.default.svc.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "AAAA without data", question: "my-nginx.default.svc.cluster.local.", qtype: dns.TypeAAAA},
	{name: "search path", question: "www.example.com.default.svc.cluster.local.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
	{name: "headless A", question: "db.prod.svc.cluster.local.", qtype: dns.TypeA, answers: 3},
	{name: "endpoint A", question: "db-1.db.prod.svc.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "pod A", question: "127-244-1-44.default.pod.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "SRV of a service", question: "_https._tcp.kubernetes.default.svc.cluster.local.", qtype: dns.TypeSRV, answers: 1},
	{name: "SRV of three endpoints", question: "_postgres._tcp.db.prod.svc.cluster.local.", qtype: dns.TypeSRV, answers: 3},
	{name: "PTR of a service", question: "194.191.96.127.in-addr.arpa.", qtype: dns.TypePTR, answers: 1},
	{name: "PTR of an endpoint", question: "10.1.244.127.in-addr.arpa.", qtype: dns.TypePTR, answers: 1},
}

// query is one packet on its way through the chain, as the server runs it.
type query struct {
	plugin.Exchange
	packet []byte
	chain  []plugin.Handler
}

func newQuery(t testing.TB, chain []plugin.Handler, name string, qtype uint16) *query {
	t.Helper()
	packet, err := new(dns.Msg).SetQuestion(name, qtype).Pack()
	if err != nil {
		t.Fatal(err)
	}
	q := &query{packet: packet, chain: chain}
	q.Exchange = *block.NewExchange(t, name, qtype)
	return q
}

func (q *query) answer() ([]byte, error) {
	q.Now = time.Now()
	if err := q.Query.Parse(q.packet); err != nil {
		return nil, err
	}
	q.Reply.Reset()
	q.Begin(nil, q.chain)
	if err := q.Next(context.Background()); err != nil {
		return nil, err
	}
	return q.Reply.Finish(&q.Query, q.Limit()), nil
}

func TestChainAllocatesNothing(t *testing.T) {
	handlers := chain(t)
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			q := newQuery(t, handlers, test.question, test.qtype)
			packet, err := q.answer()
			if err != nil {
				t.Fatal(err)
			}
			m := new(dns.Msg)
			if err := m.Unpack(packet); err != nil {
				t.Fatal(err)
			}
			if m.Rcode != test.rcode || len(m.Answer) != test.answers {
				t.Fatalf("got %s, want rcode %d with %d answers", m, test.rcode, test.answers)
			}
			if raceDetector {
				t.Skip("the race detector makes pools forget, so that allocations say nothing; run without -race too")
			}
			if n := testing.AllocsPerRun(1000, func() {
				if _, err := q.answer(); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v heap allocations a query, want none", n)
			}
		})
	}
}

func BenchmarkChain(b *testing.B) {
	handlers := chain(b)
	for _, test := range cases {
		b.Run(test.name, func(b *testing.B) {
			q := newQuery(b, handlers, test.question, test.qtype)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.answer(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
