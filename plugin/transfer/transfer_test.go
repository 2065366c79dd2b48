package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

const origin wire.Name = "\x07example\x03org\x00"

// zone is a directive with one zone of n addresses.
type zone struct {
	name   wire.Name
	serial uint32
	n      int
	err    error
}

func (zone) Name() string { return "zone" }

func (zone) Serve(_ context.Context, x *plugin.Exchange) error {
	x.Reply.Start(&x.Query, dns.RcodeNotAuth)
	return nil
}

func (z zone) Contents(name wire.Name) (plugin.Contents, bool, error) {
	if name != z.name {
		return plugin.Contents{}, false, nil
	}
	header := func(name string, rtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: 5}
	}
	return plugin.Contents{
		SOA: &dns.SOA{Hdr: header(z.name.String(), dns.TypeSOA), Ns: "ns.", Mbox: "admin.", Serial: z.serial},
		Records: func(yield func(dns.RR) bool) {
			for i := range z.n {
				if !yield(&dns.A{Hdr: header(fmt.Sprintf("a%d.%s", i, z.name), dns.TypeA), A: net.IPv4(10, 0, byte(i>>8), byte(i))}) {
					return
				}
			}
		},
	}, true, z.err
}

// client is a plugin.Host that takes several messages, up to a number of them.
type client struct {
	t        testing.TB
	messages []*dns.Msg
	blocked  bool
	takes    int
}

func (c *client) Yield(*plugin.Exchange) error { c.blocked = true; return nil }

func (c *client) Resolve(context.Context, *plugin.Exchange, wire.Name, uint16) (*dns.Msg, error) {
	return nil, errors.New("a transfer asks nobody")
}

func (c *client) SendPart(x *plugin.Exchange) error {
	if !c.blocked {
		c.t.Error("Send without Block: the connection waits for the client")
	}
	if len(c.messages) == c.takes {
		return io.ErrClosedPipe
	}
	c.messages = append(c.messages, block.Answer(c.t, x))
	return nil
}

// newHandler is the started handler of a block "example.org." with other directives.
func newHandler(t testing.TB, lines string, others ...plugin.Handler) *Handler {
	t.Helper()
	env := block.NewEnv(io.Discard)
	env.Zones = plugin.Zones{origin}
	h, err := Spec().Build(env, block.Lines(t, "example.org {\n"+lines+"\n}", "transfer"))
	if err != nil {
		t.Fatal(err)
	}
	env.Instance = block.Instance{
		{Zone: "other.", Handlers: []plugin.Handler{zone{name: origin, serial: 99}}},
		{Zone: "example.org.", Handlers: append([]plugin.Handler{h}, others...)},
	}
	if err := h.(*Handler).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.(*Handler)
}

// ixfr asks for what is newer than a serial.
func ixfr(serial uint32) *dns.Msg {
	return new(dns.Msg).SetIxfr("example.org.", serial, "ns.", "admin.")
}

func TestServe(t *testing.T) {
	t.Parallel()
	axfr := new(dns.Msg).SetAxfr("example.org.")
	question := func(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }
	withNS := func(records ...dns.RR) *dns.Msg {
		m := question("example.org.", dns.TypeIXFR)
		m.Ns = records
		return m
	}
	const everybody = "transfer {\n to *\n}"
	for _, test := range []struct {
		name  string
		lines string // everybody where it is empty
		query *dns.Msg
		udp   bool
		want  string // rcode, number of records, "next" for the next directive; or an error
	}{
		{name: "AXFR (RFC 5936, section 2.2)", query: axfr, want: "NOERROR 12"},
		{name: "IXFR of an old version (RFC 1995, section 4)", query: ixfr(41), want: "NOERROR 12"},
		{name: "IXFR of this version (RFC 1995, section 2)", query: ixfr(42), want: "NOERROR 1"},
		{name: "IXFR of a newer version", query: ixfr(43), want: "NOERROR 1"},
		{name: "IXFR over the end of numbers (RFC 1982, section 3.2)", query: ixfr(1<<31 + 43), want: "NOERROR 12"},
		{name: "IXFR of version 0", query: ixfr(0), want: "NOERROR 12"},
		{name: "IXFR without a version", query: withNS(), want: "an IXFR query has one SOA record in its authority section, this one has 0 records"},
		{name: "IXFR of something else", query: withNS(&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "."}), want: "an IXFR query has an SOA record in its authority section, not NS"},
		{name: "by UDP", query: axfr, udp: true, want: "REFUSED 0"},
		{name: "another type", query: question("example.org.", dns.TypeSOA), want: "next"},
		{name: "another zone of the rule", query: question("sub.example.org.", dns.TypeAXFR), want: "next"},
		{name: "no rule", query: question("example.com.", dns.TypeAXFR), want: "next"},
		{name: "to this client", lines: "transfer {\n to 192.0.2.1\n to 10.240.0.1:5300\n}", query: axfr, want: "NOERROR 12"},
		{name: "to others", lines: "transfer {\n to 192.0.2.1 10.240.0.2\n}", query: axfr, want: "REFUSED 0"},
		{name: "the longer zone's rule", lines: "transfer org {\n to *\n}\ntransfer example.org {\n to 192.0.2.1\n}", query: axfr, want: "REFUSED 0"},
		{name: "whatever the order", lines: "transfer example.org {\n to *\n}\ntransfer org {\n to 192.0.2.1\n}", query: axfr, want: "NOERROR 12"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lines := test.lines
			if lines == "" {
				lines = everybody
			}
			z := zone{name: origin, serial: 42, n: 10}
			h := newHandler(t, lines, zone{name: "\x03org\x00"}, z)
			x := block.FromMsg(t, test.query)
			if !test.udp {
				x.Transport = plugin.TCP
			}
			x.Begin(&client{t: t}, []plugin.Handler{h, z})
			if err := x.Next(t.Context()); err != nil {
				if err.Error() != test.want {
					t.Errorf("error %v, want %s", err, test.want)
				}
				return
			}
			m := block.Answer(t, x)
			got := fmt.Sprintf("%s %d", dns.RcodeToString[m.Rcode], len(m.Answer))
			if m.Rcode == dns.RcodeNotAuth {
				got = "next"
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if len(m.Answer) > 0 && !(m.Authoritative && x.Live) {
				t.Errorf("AA %v, live %v: a transfer is authoritative, and nobody may keep a part of it", m.Authoritative, x.Live)
			}
		})
	}
}

// A zone that no message holds goes out in several, its SOA record first and last (RFC 5936, section 2.2).
func TestSeveralMessages(t *testing.T) {
	t.Parallel()
	const n = 5000
	h := newHandler(t, "transfer {\n to *\n}", zone{name: origin, serial: 42, n: n})
	c := &client{t: t, takes: -1}
	x := block.FromMsg(t, new(dns.Msg).SetAxfr("example.org.").SetEdns0(1232, false))
	x.Transport = plugin.TCP
	x.Begin(c, []plugin.Handler{h})
	if err := x.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.messages = append(c.messages, block.Answer(t, x))
	var records []dns.RR
	for _, m := range c.messages {
		if m.Id != x.Query.ID() || !m.Authoritative || m.Truncated || len(m.Question) != 1 {
			t.Errorf("header %+v, question %v", m.MsgHdr, m.Question)
		}
		records = append(records, m.Answer...)
	}
	if len(c.messages) < 3 || len(records) != n+2 {
		t.Fatalf("%d messages with %d records, want some with %d", len(c.messages), len(records), n+2)
	}
	for i, rr := range records {
		want := fmt.Sprintf("a%d.example.org.", i-1)
		if i == 0 || i == n+1 {
			want = "example.org."
		}
		if rr.Header().Name != want {
			t.Fatalf("record %d is of %s, want %s", i, rr.Header().Name, want)
		}
	}
}

// A client that goes away ends the transfer.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	h := newHandler(t, "transfer {\n to *\n}", zone{name: origin, serial: 42, n: 5000})
	x := block.FromMsg(t, new(dns.Msg).SetAxfr("example.org."))
	x.Transport = plugin.TCP
	x.Begin(&client{t: t, takes: 1}, []plugin.Handler{h})
	err := x.Next(t.Context())
	if !errors.Is(err, io.ErrClosedPipe) || !strings.HasPrefix(err.Error(), "transfer of zone example.org. to 10.240.0.1 broke off after ") {
		t.Errorf("error is %v, want that the client is gone", err)
	}
}

func TestZoneNotLoaded(t *testing.T) {
	t.Parallel()
	trouble := errors.New("not loaded")
	h := newHandler(t, "transfer {\n to *\n}", zone{name: origin, err: trouble})
	x := block.FromMsg(t, new(dns.Msg).SetAxfr("example.org."))
	x.Transport = plugin.TCP
	if err := block.Serve(x, h); err != trouble {
		t.Errorf("error is %v, want %v", err, trouble)
	}
}

// secondary is a server that is told of changes: it counts, and answers with an rcode.
func secondary(t *testing.T, rcode int) (address string, told *atomic.Int32) {
	t.Helper()
	told = new(atomic.Int32)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		// RFC 1996, sections 3.6 and 3.7.
		if m.Opcode == dns.OpcodeNotify && m.Authoritative && m.Question[0] == (dns.Question{Name: "example.org.", Qtype: dns.TypeSOA, Qclass: dns.ClassINET}) {
			told.Add(1)
		}
		_ = w.WriteMsg(new(dns.Msg).SetRcode(m, rcode))
	})}
	go func() { done <- server.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return conn.LocalAddr().String(), told
}

func TestNotify(t *testing.T) {
	t.Parallel()
	first, toldFirst := secondary(t, dns.RcodeSuccess)
	second, toldSecond := secondary(t, dns.RcodeSuccess)
	refusing, toldRefusing := secondary(t, dns.RcodeRefused)

	h := newHandler(t, "transfer {\n to * "+first+"\n to "+second+"\n source 127.0.0.1\n}")
	if err := h.Notify(t.Context(), origin); err != nil || toldFirst.Load() != 1 || toldSecond.Load() != 1 {
		t.Errorf("told %d and %d times (%v), want both once", toldFirst.Load(), toldSecond.Load(), err)
	}
	if err := h.Notify(t.Context(), "\x03com\x00"); err != nil || toldFirst.Load() != 1 {
		t.Errorf("told of another zone (%v)", err)
	}

	h = newHandler(t, "transfer {\n to "+refusing+" "+first+"\n}")
	want := refusing + " did not take the notification of zone example.org.: REFUSED"
	if err := h.Notify(t.Context(), origin); err == nil || err.Error() != want || toldRefusing.Load() != tries || toldFirst.Load() != 2 {
		t.Errorf("error %v after %d tries, others told %d times; want %s after %d, and 2", err, toldRefusing.Load(), toldFirst.Load(), want, tries)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Notify(ended, origin); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v, want that it was canceled", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	h := newHandler(t, "transfer {\n to 192.0.2.1 192.0.2.1:5300 2001:db8::1 [2001:db8::1]:5300 ::ffff:192.0.2.2\n source 2001:db8::53\n}")
	var got []string
	for _, to := range h.rules[0].to {
		got = append(got, to.String())
	}
	want := []string{"192.0.2.1:53", "192.0.2.1:5300", "[2001:db8::1]:53", "[2001:db8::1]:5300", "192.0.2.2:53"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if h.rules[0].source != netip.MustParseAddr("2001:db8::53") {
		t.Errorf("source is %s", h.rules[0].source)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "to nobody", corefile: "transfer", want: `Corefile:2: transfer: nobody may have the zone; say who by a line "to ADDRESS...", or "to *" for everybody`},
		{name: "no address", corefile: "transfer {\n to\n}", want: "Corefile:2: transfer: nobody may have the zone; say who by a line \"to ADDRESS...\", or \"to *\" for everybody\nCorefile:3: to: wants at least 1 argument, but has 0; write \"to ADDRESS...\""},
		{name: "a name", corefile: "transfer {\n to ns.example.org\n}", want: `Corefile:3: to: "ns.example.org" is neither an IP address, with or without a port, nor *`},
		{name: "a bad source", corefile: "transfer {\n to *\n source eth0\n}", want: `Corefile:4: source: "eth0" is not an IP address`},
		{name: "two sources", corefile: "transfer {\n to *\n source 192.0.2.1\n source 192.0.2.2\n}", want: "Corefile:5: source: given twice in transfer; the first one is at Corefile:4"},
		{name: "a bad zone", corefile: "transfer a..b {\n to *\n}", want: `Corefile:2: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`},
		{name: "an unknown option", corefile: "transfer {\n to *\n from *\n}", want: `Corefile:4: transfer: unknown option "from"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.corefile+"\n}", "transfer"))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
