package wire

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

// exchange is a query and how it is answered, as the benchmarks and the gates on allocations want it.
type exchange struct {
	name  string
	qname string
	qtype uint16
	edns  bool
	build func(q *Query, r *Reply)
}

func exchanges(t testing.TB) []exchange {
	zone := mustName(t, "cluster.local.")
	soa := &SOA{MName: "\x02ns\x03dns", RName: "\x0ahostmaster", TTL: 5, Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minimum: 5}
	return []exchange{
		{name: "A", qname: "kubernetes.default.svc.cluster.local.", qtype: dns.TypeA, build: func(q *Query, r *Reply) {
			r.Start(q, dns.RcodeSuccess)
			r.Address(QuestionName, []byte{10, 96, 0, 1}, 30)
		}},
		{name: "A/EDNS", qname: "kubernetes.default.svc.cluster.local.", qtype: dns.TypeA, edns: true, build: func(q *Query, r *Reply) {
			r.Start(q, dns.RcodeSuccess)
			r.Address(QuestionName, []byte{10, 96, 0, 1}, 30)
		}},
		{name: "NXDOMAIN", qname: "www.example.org.default.svc.cluster.local.", qtype: dns.TypeA, edns: true, build: func(q *Query, r *Reply) {
			r.Start(q, dns.RcodeNameError)
			r.Section(Authority)
			r.SOA(q.ZoneRef(zone), soa)
		}},
		{name: "SRV×4", qname: "_http._tcp.web.default.svc.cluster.local.", qtype: dns.TypeSRV, edns: true, build: func(q *Query, r *Reply) {
			r.Start(q, dns.RcodeSuccess)
			var targets [4]Ref
			for i := range targets {
				r.Open(QuestionName, dns.TypeSRV, 30)
				r.Uint16(0)
				r.Uint16(25)
				r.Uint16(80)
				targets[i] = r.Here()
				r.Text("\x05web-a")
				r.Bytes(q.Spelling(2))
				r.Close()
			}
			r.Section(Additional)
			for _, target := range targets {
				r.Address(target, []byte{10, 0, 0, 1}, 30)
			}
		}},
		{name: "A×100 shuffled", qname: "headless.default.svc.cluster.local.", qtype: dns.TypeA, edns: true, build: func(q *Query, r *Reply) {
			r.Start(q, dns.RcodeSuccess)
			for i := range byte(100) {
				r.Address(QuestionName, []byte{10, 0, 0, i}, 30)
			}
			if err := r.Shuffle(q); err != nil {
				panic(err)
			}
		}},
	}
}

func (e *exchange) packet(t testing.TB) []byte {
	m := new(dns.Msg).SetQuestion(e.qname, e.qtype)
	if e.edns {
		m.SetEdns0(4096, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}}
	}
	return mustPack(t, m)
}

func TestOrdinaryAnswersDoNotAllocate(t *testing.T) {
	for _, e := range exchanges(t) {
		t.Run(e.name, func(t *testing.T) {
			packet := e.packet(t)
			var q Query
			var r Reply
			run := func() {
				if err := q.Parse(packet); err != nil {
					t.Fatal(err)
				}
				e.build(&q, &r)
				r.Finish(&q, q.MaxReply())
			}
			run() // the buffers grow once
			if n := testing.AllocsPerRun(200, run); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func TestOrdinaryPacketsDoNotAllocate(t *testing.T) {
	packet := ordinary(t, func(m *dns.Msg) { m.SetEdns0(1232, false) })
	q := ask(t, new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(1232, false))
	var r Reply
	run := func() {
		if err := r.SetPacket(q, packet); err != nil {
			t.Fatal(err)
		}
		r.Finish(q, 1232)
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, e := range exchanges(b) {
		b.Run(e.name, func(b *testing.B) {
			packet := e.packet(b)
			var q Query
			var r Reply
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Parse(packet); err != nil {
					b.Fatal(err)
				}
				e.build(&q, &r)
				r.Finish(&q, q.MaxReply())
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"a.b.", "kubernetes.default.svc.cluster.local.", "_very-long-port-name._tcp.a-long-service-name.a-long-namespace-name.svc.cluster.local."} {
		b.Run(fmt.Sprint(len(name)), func(b *testing.B) {
			packet := mustPack(b, new(dns.Msg).SetQuestion(name, dns.TypeA))
			var q Query
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Parse(packet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSetPacket(b *testing.B) {
	packet := ordinary(b, func(m *dns.Msg) { m.SetEdns0(1232, false) })
	q := ask(b, new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(1232, false))
	var r Reply
	b.ReportAllocs()
	for b.Loop() {
		if err := r.SetPacket(q, packet); err != nil {
			b.Fatal(err)
		}
	}
}
