package kubernetes

import (
	"context"
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

const hotCorefile = `kubernetes cluster.local in-addr.arpa ip6.arpa {
	pods insecure
	ttl 30
}`

// fillHot loads what the hot-path figures speak of.
func fillHot(s *script) {
	s.namespaces("default")
	s.clusterIP("web.default", "10.96.0.7", "http/tcp/80")
	s.headless("db.default")
	s.slice("db-1.db.default", "sql/tcp/5432", "10.244.0.1=db-0", "10.244.0.2=db-1", "10.244.0.3=db-2", "10.244.0.4=db-3")
	s.pod("web-1.default", "10.244.0.9")
	fillCrowd(s, "hundred", 1, 100)
	fillCrowd(s, "thousand", 2, 1000)
	fillCrowd(s, "crowd", 3, 5000)
}

// fillCrowd puts a headless service with n endpoints in 10.x.0.0/16, in slices of 100 as the control plane makes them.
func fillCrowd(s *script, name string, x, n int) {
	s.headless(name + ".default")
	for i := 0; i < n; i += 100 {
		var endpoints []string
		for j := i; j < i+100; j++ {
			endpoints = append(endpoints, fmt.Sprintf("10.%d.%d.%d", x, j/250, j%250+1))
		}
		s.slice(fmt.Sprintf("%[1]s-%[2]d.%[1]s.default", name, i), "http/tcp/8080", endpoints...)
	}
}

// hot are questions whose answers must not allocate.
var hot = []struct {
	name, question string
	qtype          uint16
	rcode, answers int
}{
	{name: "A", question: "web.default.svc.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "AAAA-NODATA", question: "web.default.svc.cluster.local.", qtype: dns.TypeAAAA},
	{name: "NXDOMAIN", question: "www.example.com.default.svc.cluster.local.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
	{name: "A-headless-4", question: "db.default.svc.cluster.local.", qtype: dns.TypeA, answers: 4},
	{name: "A-endpoint", question: "db-2.db.default.svc.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "SRV-1", question: "_http._tcp.web.default.svc.cluster.local.", qtype: dns.TypeSRV, answers: 1},
	{name: "SRV-4", question: "_sql._tcp.db.default.svc.cluster.local.", qtype: dns.TypeSRV, answers: 4},
	{name: "PTR-service", question: "7.0.96.10.in-addr.arpa.", qtype: dns.TypePTR, answers: 1},
	{name: "PTR-endpoint", question: "2.0.244.10.in-addr.arpa.", qtype: dns.TypePTR, answers: 1},
	{name: "PTR-NXDOMAIN", question: "1.2.0.192.in-addr.arpa.", qtype: dns.TypePTR, rcode: dns.RcodeNameError},
	{name: "A-pod", question: "10-244-0-9.default.pod.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "SOA-apex", question: "cluster.local.", qtype: dns.TypeSOA, answers: 1},
	{name: "TXT-version", question: "dns-version.cluster.local.", qtype: dns.TypeTXT, answers: 1},
	{name: "A-endpoint-of-5000", question: "10-3-9-9.crowd.default.svc.cluster.local.", qtype: dns.TypeA, answers: 1},
	{name: "A-headless-1000", question: "thousand.default.svc.cluster.local.", qtype: dns.TypeA, answers: 1000},
	{name: "SRV-100", question: "_http._tcp.hundred.default.svc.cluster.local.", qtype: dns.TypeSRV, answers: 100},
}

// serveOnce answers one packet as the server does, by TCP: nothing is cut off.
func serveOnce(k *Kubernetes, x *plugin.Exchange, packet []byte) []byte {
	if err := x.Query.Parse(packet); err != nil {
		panic(err)
	}
	x.Transport = plugin.TCP
	x.Reply.Reset()
	x.Begin(nil, nil)
	if err := k.Serve(context.Background(), x); err != nil {
		panic(err)
	}
	return x.Reply.Finish(&x.Query, x.Limit())
}

// TestHotPathAllocations is the budget of design section 2: no heap allocation for an ordinary cluster name.
func TestHotPathAllocations(t *testing.T) {
	for _, pods := range []string{"insecure", "verified"} {
		b := newBed(t, fmt.Sprintf("kubernetes cluster.local in-addr.arpa ip6.arpa {\n pods %s\n zonal\n}", pods), fillHot)
		for _, test := range hot {
			t.Run(pods+"/"+test.name, func(t *testing.T) {
				packet := question(t, test.question, test.qtype)
				x := new(plugin.Exchange)
				m := new(dns.Msg)
				if err := m.Unpack(serveOnce(b.Kubernetes, x, packet)); err != nil {
					t.Fatal(err)
				}
				if m.Rcode != test.rcode || len(m.Answer) != test.answers {
					t.Fatalf("got %s, want rcode %d and %d answers", m, test.rcode, test.answers)
				}
				if n := testing.AllocsPerRun(100, func() { serveOnce(b.Kubernetes, x, packet) }); n != 0 {
					t.Errorf("%v allocations a query, want none", n)
				}
			})
		}
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
	k := newBed(b, hotCorefile, fillHot).Kubernetes
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
