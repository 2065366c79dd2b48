package server

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// tableOf is the table of port 53 of a Corefile.
func tableOf(t testing.TB, text string, specs ...plugin.Spec) *table {
	t.Helper()
	s, err := New(parse(t, text), Options{Specs: append(specs, answerSpec()), Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s.made.tables[address{port: 53}]
}

// answerTo is the reply that a table makes; nil for none.
func answerTo(t testing.TB, of *table, m *dns.Msg) *dns.Msg {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	x := &plugin.Exchange{}
	reply := of.answer(context.Background(), x, &inner{}, packet)
	if reply == nil {
		return nil
	}
	got := new(dns.Msg)
	if err := got.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRoute(t *testing.T) {
	t.Parallel()
	const (
		nested = "cluster.local {\n answer cluster\n}\nlocal {\n answer local\n}\n. {\n answer root\n}"
		lone   = "a.cluster.local {\n answer a\n}\n10.0.0.0/8 {\n answer ten\n}\nempty.test {\n}"
		two    = "cluster.local {\n answer cluster\n}\n. {\n answer root\n}"
	)
	for _, test := range []struct {
		name, corefile string
		qname          string
		qtype          uint16
		want           string
	}{
		{name: "zone itself", corefile: nested, qname: "cluster.local.", want: "cluster"},
		{name: "below", corefile: nested, qname: "a.b.cluster.local.", want: "cluster"},
		{name: "any case", corefile: nested, qname: "A.CLUSTER.Local.", want: "cluster"},
		{name: "parent", corefile: nested, qname: "x.local.", want: "local"},
		{name: "by labels, not by text", corefile: nested, qname: "xcluster.local.", want: "local"},
		{name: "escaped dot", corefile: nested, qname: `a\.cluster.local.`, want: "local"},
		{name: "root", corefile: nested, qname: "example.org.", want: "root"},
		{name: "root itself", corefile: nested, qname: ".", want: "root"},
		{name: "longest name", corefile: nested, qname: strings.Repeat("a.", 124) + "local.", want: "local"},
		{name: "no zone", corefile: lone, qname: "cluster.local.", want: "REFUSED"},
		{name: "no zone, root", corefile: lone, qname: ".", want: "REFUSED"},
		{name: "no handlers", corefile: lone, qname: "x.empty.test.", want: "REFUSED"},
		{name: "reverse", corefile: lone, qname: "1.2.3.10.in-addr.arpa.", qtype: dns.TypePTR, want: "ten"},
		// DS belongs to the parent side (RFC 4035, section 3.1.4.1). CoreDNS takes the zone of the fewest labels, and
		// the root only where there is no other.
		{name: "DS at a zone", corefile: nested, qname: "cluster.local.", qtype: dns.TypeDS, want: "local"},
		{name: "DS below a zone", corefile: nested, qname: "x.cluster.local.", qtype: dns.TypeDS, want: "local"},
		{name: "DS, only root above", corefile: two, qname: "cluster.local.", qtype: dns.TypeDS, want: "cluster"},
		{name: "DS elsewhere", corefile: two, qname: "example.org.", qtype: dns.TypeDS, want: "root"},
		{name: "DS, no zone", corefile: lone, qname: "example.org.", qtype: dns.TypeDS, want: "REFUSED"},
		{name: "DS, no handlers", corefile: lone, qname: "x.empty.test.", qtype: dns.TypeDS, want: "REFUSED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.qtype == 0 {
				test.qtype = dns.TypeA
			}
			got := answerTo(t, tableOf(t, test.corefile), new(dns.Msg).SetQuestion(test.qname, test.qtype))
			if text(got) != test.want {
				t.Errorf("%s, want %s", text(got), test.want)
			}
			if got.Question[0].Name != test.qname {
				t.Errorf("the question came back as %q", got.Question[0].Name)
			}
		})
	}
}

func TestNotifyOfDS(t *testing.T) {
	t.Parallel()
	m := new(dns.Msg).SetQuestion("cluster.local.", dns.TypeDS)
	m.Opcode = dns.OpcodeNotify
	got := answerTo(t, tableOf(t, "cluster.local {\n answer cluster\n}\nlocal {\n answer local\n}"), m)
	if text(got) != "cluster" {
		t.Errorf("%s: only standard queries for DS go to the parent", text(got))
	}
}

// anyClassSpec is a directive with answers to other classes.
func anyClassSpec() plugin.Spec {
	return plugin.Spec{Name: "chaos", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
		env.Listen.AnyClass = true
		return nil, nil
	}}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	var refused atomic.Int64
	of := func(text string) *table {
		count := &double{name: "count", refused: func(x *plugin.Exchange) {
			if x.Zone != "" || x.Server != "dns://:53" || !x.Reply.Made() {
				t.Errorf("observed with zone %q, server %q, reply %t", x.Zone, x.Server, x.Reply.Made())
			}
			refused.Add(1)
		}}
		broken := &double{name: "broken", serve: func(context.Context, *plugin.Exchange) error { panic("by design") }}
		silent := &double{name: "silent", serve: func(context.Context, *plugin.Exchange) error { return nil }}
		dropping := &double{name: "dropping", serve: func(_ context.Context, x *plugin.Exchange) error { x.Reply.Drop(); return nil }}
		failing := &double{name: "failing", serve: func(_ context.Context, x *plugin.Exchange) error {
			txt(x, "half")
			return context.DeadlineExceeded
		}}
		return tableOf(t, text, anyClassSpec(), count.spec(), broken.spec(), silent.spec(), dropping.spec(), failing.spec())
	}
	question := func(change func(m *dns.Msg)) *dns.Msg {
		m := new(dns.Msg).SetQuestion("x.example.org.", dns.TypeA)
		if change != nil {
			change(m)
		}
		return m
	}
	chaos := func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }
	edns1 := func(m *dns.Msg) { m.SetEdns0(1232, true); m.IsEdns0().SetVersion(1) }
	for _, test := range []struct {
		name, corefile string
		query          *dns.Msg
		want           string // empty for no reply
		observed       int64
	}{
		{name: "answered", corefile: ". {\n answer x\n}", query: question(nil), want: "x"},
		{name: "other class", corefile: ". {\n count\n answer x\n}", query: question(chaos), want: "REFUSED", observed: 1},
		{name: "other class, wanted", corefile: ". {\n count\n answer x\n}\na {\n chaos\n}", query: question(chaos), want: "x"},
		{name: "observers of two blocks", corefile: "a {\n count\n}\nb {\n count\n}", query: question(nil), want: "REFUSED", observed: 1},
		// RFC 6891, section 6.1.3
		{name: "EDNS version 1", corefile: ". {\n count\n answer x\n}", query: question(edns1), want: "BADVERS"},
		{name: "EDNS version 1, other class", corefile: ". {\n answer x\n}", query: question(func(m *dns.Msg) { chaos(m); edns1(m) }), want: "REFUSED"},
		{name: "EDNS version 1, no zone", corefile: "a {\n answer x\n}", query: question(edns1), want: "BADVERS"},
		{name: "opcode", corefile: ". {\n count\n answer x\n}", query: question(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), want: "NOTIMP", observed: 1},
		{name: "two questions", corefile: ". {\n count\n answer x\n}", query: question(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), want: "FORMERR", observed: 1},
		{name: "a response", corefile: ". {\n count\n answer x\n}", query: question(func(m *dns.Msg) { m.Response = true })},
		{name: "panic", corefile: ". {\n broken\n}", query: question(nil), want: "SERVFAIL"},
		{name: "error", corefile: ". {\n failing\n}", query: question(nil), want: "SERVFAIL"},
		{name: "nothing made", corefile: ". {\n silent\n}", query: question(nil), want: "SERVFAIL"},
		{name: "end of the chain", corefile: ". {\n count\n}", query: question(nil), want: "SERVFAIL"},
		{name: "dropped", corefile: ". {\n dropping\n}", query: question(nil)},
	} {
		t.Run(test.name, func(t *testing.T) { // in turn, for the count
			before := refused.Load()
			got := answerTo(t, of(test.corefile), test.query)
			switch {
			case test.want == "" && got != nil:
				t.Errorf("a reply: %s", got)
			case test.want != "" && got == nil:
				t.Error("no reply")
			case test.want != "" && text(got) != test.want:
				t.Errorf("%s, want %s", text(got), test.want)
			case test.want != "" && got.Id != test.query.Id:
				t.Errorf("id %d, want %d", got.Id, test.query.Id)
			}
			if n := refused.Load() - before; n != test.observed {
				t.Errorf("observed %d times, want %d", n, test.observed)
			}
		})
	}
}

// A panic costs one query, is counted, and the reply has the client's question even where a handler had put another.
func TestPanic(t *testing.T) {
	t.Parallel()
	broken := &double{name: "broken", serve: func(_ context.Context, x *plugin.Exchange) error {
		if err := x.Query.Parse(wire.NewQuery(7, "\x05other\x00", dns.TypeMX)); err != nil {
			return err
		}
		panic("by design")
	}}
	log := new(buffer)
	s, err := New(parse(t, ". {\n broken\n}"), Options{Specs: []plugin.Spec{broken.spec()}, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	got := answerTo(t, s.made.tables[address{port: 53}], new(dns.Msg).SetQuestion("mine.example.", dns.TypeA))
	if got.Question[0].Name != "mine.example." || got.Rcode != dns.RcodeServerFailure {
		t.Errorf("reply %s", got)
	}
	r := running{t: t, registry: s.options.Metrics}
	if n := r.metric("coredns_panics_total"); n != 1 {
		t.Errorf("coredns_panics_total is %v", n)
	}
	if !strings.Contains(log.String(), "by design") {
		t.Errorf("log: %s", log)
	}
}

func TestDebugLetsPanicThrough(t *testing.T) {
	t.Parallel()
	debug := plugin.Spec{Name: "debug", Build: func(env *plugin.Env, _ []*corefile.Directive) (plugin.Handler, error) {
		env.Listen.Debug = true
		return nil, nil
	}}
	broken := &double{name: "broken", serve: func(context.Context, *plugin.Exchange) error { panic("by design") }}
	of := tableOf(t, ". {\n debug\n broken\n}", debug, broken.spec())
	defer func() {
		if recover() != "by design" {
			t.Error("the panic was held up")
		}
	}()
	answerTo(t, of, new(dns.Msg).SetQuestion("a.", dns.TypeA))
}

// hotPath is a socket's work for one query, without the socket.
func hotPath(t testing.TB) func() {
	pass := func(name string) plugin.Spec { return (&double{name: name}).spec() }
	s, err := New(parse(t, "cluster.local in-addr.arpa {\n first\n second\n answer x\n}\n. {\n answer root\n}"),
		Options{Specs: []plugin.Spec{pass("first"), pass("second"), answerSpec()}, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{ctx: context.Background(), options: &s.options}
	l.table.Store(s.made.tables[address{port: 53}])
	m := new(dns.Msg).SetQuestion("My-svc.my-namespace.svc.cluster.LOCAL.", dns.TypeA)
	m.SetEdns0(1232, false)
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	d := &datagram{socket: &udpSocket{listener: l, local: netip.MustParseAddrPort("[::]:53"), wild: true}}
	return func() {
		d.in.Size = copy(d.packet[:], packet)
		d.begin(time.Time{})
		at := l.enter(0)
		reply := at.answer(l.ctx, &d.Exchange, d, d.packet[:d.in.Size])
		at.leave(0)
		if len(reply) < len(packet) {
			t.Fatal("no reply")
		}
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(1000, hotPath(t)); n != 0 {
		t.Errorf("%v allocations a query", n)
	}
}

func BenchmarkHotPath(b *testing.B) {
	once := hotPath(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

// Resolve asks the same listener, for the same client, as deep as it is allowed to.
func TestResolve(t *testing.T) {
	t.Parallel()
	var deepest atomic.Int64
	follow := &double{name: "follow", serve: func(ctx context.Context, x *plugin.Exchange) error {
		if x.Query.Type == dns.TypeTXT {
			return x.Next(ctx)
		}
		deepest.Store(max(deepest.Load(), int64(x.Depth)))
		qtype := x.Query.Type
		if string(x.Query.Name()) == "\x05other\x00" {
			qtype = dns.TypeTXT
		}
		m, err := x.Resolve(ctx, "\x05other\x00", qtype)
		if err != nil {
			return err
		}
		if m == nil {
			x.Reply.Drop()
			return nil
		}
		if !m.RecursionDesired || !m.CheckingDisabled || m.IsEdns0() == nil || !m.IsEdns0().Do() {
			t.Errorf("the question was not asked as the client did: %s", m)
		}
		return x.Reply.SetMsg(&x.Query, m)
	}}
	loop := &double{name: "loop", serve: func(ctx context.Context, x *plugin.Exchange) error {
		deepest.Store(max(deepest.Load(), int64(x.Depth)))
		_, err := x.Resolve(ctx, "\x04loop\x00", dns.TypeA)
		return err
	}}
	dropping := &double{name: "dropping", serve: func(_ context.Context, x *plugin.Exchange) error { x.Reply.Drop(); return nil }}
	r := start(t, "one {\n bind 127.0.0.1\n follow\n}\nother {\n bind 127.0.0.1\n follow\n answer found\n}\nloop {\n bind 127.0.0.1\n loop\n}\nnone {\n bind 127.0.0.1\n follow\n}",
		Options{}, follow.spec(), loop.spec(), dropping.spec())
	m := new(dns.Msg).SetQuestion("x.one.", dns.TypeA)
	m.CheckingDisabled = true
	m.SetEdns0(1232, true)
	if got := r.exchange("udp", m); text(got) != "found" {
		t.Errorf("%s", got)
	}
	if got := r.ask("udp", "loop.", dns.TypeA); got.Rcode != dns.RcodeServerFailure {
		t.Errorf("%s", got)
	}
	if deepest.Load() != maxDepth {
		t.Errorf("%d questions led to each other, want %d", deepest.Load(), maxDepth)
	}
	eventually(t, "no query waits", func() bool { return r.waiters.n.Load() == 0 })
}
