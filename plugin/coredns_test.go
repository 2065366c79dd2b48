package plugin_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// ported is a plugin in CoreDNS's shape.
type ported func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error)

func (ported) Name() string { return "ported" }

func (p ported) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	return p(ctx, w, r)
}

var next plugin.CoreDNSNext

// writer changes what is written through it.
type writer struct {
	dns.ResponseWriter
	change func(m *dns.Msg)
}

func (w writer) WriteMsg(m *dns.Msg) error {
	w.change(m)
	return w.ResponseWriter.WriteMsg(m)
}

func address(t *testing.T, name string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(name + " 5 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func TestFromCoreDNS(t *testing.T) {
	t.Parallel()
	trouble := errors.New("trouble")
	reply := func(r *dns.Msg, rcode int) *dns.Msg { return new(dns.Msg).SetRcode(r, rcode) }
	for _, c := range []struct {
		name    string
		plugin  ported
		behind  block.HandlerFunc
		rcode   int
		answers int
		dropped bool
		err     error
	}{
		{name: "writes a message", answers: 1,
			plugin: func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				m := reply(r, dns.RcodeSuccess)
				m.Answer = append(m.Answer, address(t, r.Question[0].Name))
				return dns.RcodeSuccess, w.WriteMsg(m)
			}},
		{name: "writes bytes", rcode: dns.RcodeNameError,
			plugin: func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				packet, err := reply(r, dns.RcodeNameError).Pack()
				if err != nil {
					return dns.RcodeServerFailure, err
				}
				_, err = w.Write(packet)
				return dns.RcodeNameError, err
			}},
		{name: "writes an error code", rcode: dns.RcodeRefused,
			plugin: func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				return dns.RcodeRefused, w.WriteMsg(reply(r, dns.RcodeRefused))
			}},
		{name: "leaves the error code to the server", rcode: dns.RcodeNotImplemented,
			plugin: func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) { return dns.RcodeNotImplemented, nil }},
		{name: "writes nothing", dropped: true,
			plugin: func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) { return dns.RcodeSuccess, nil }},
		{name: "fails", err: trouble,
			plugin: func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
				return dns.RcodeServerFailure, trouble
			}},
		{name: "writes and fails", rcode: dns.RcodeSuccess,
			plugin: func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				if err := w.WriteMsg(reply(r, dns.RcodeSuccess)); err != nil {
					return dns.RcodeServerFailure, err
				}
				return dns.RcodeServerFailure, trouble
			}},
		{name: "hands on", behind: block.Reply(dns.RcodeSuccess, "www.example.org. 5 IN A 192.0.2.7"), answers: 1,
			plugin: next.ServeDNS},
		{name: "hands on what fails", behind: func(context.Context, *plugin.Exchange) error { return trouble }, err: trouble,
			plugin: next.ServeDNS},
		{name: "hands on what is dropped", dropped: true, behind: func(_ context.Context, x *plugin.Exchange) error {
			x.Reply.Drop()
			return nil
		}, plugin: next.ServeDNS},
		{name: "wraps the writer", behind: block.Reply(dns.RcodeSuccess, "www.example.org. 5 IN A 192.0.2.7"), answers: 2,
			plugin: func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				return next.ServeDNS(ctx, writer{w, func(m *dns.Msg) {
					m.Answer = append(m.Answer, address(t, r.Question[0].Name))
				}}, r)
			}},
		{name: "is nowhere in a chain", err: errors.New("no exchange in the context"),
			plugin: func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
				return next.ServeDNS(context.Background(), w, r)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			behind := c.behind
			if behind == nil {
				behind = func(context.Context, *plugin.Exchange) error {
					t.Error("the rest of the chain was asked")
					return nil
				}
			}
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			err := block.Serve(x, plugin.FromCoreDNS(c.plugin), behind)
			if c.err != nil {
				if err == nil || !strings.Contains(err.Error(), c.err.Error()) || !strings.HasPrefix(err.Error(), "ported: ") || x.Reply.Made() {
					t.Errorf("error %v, want %v", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if x.Reply.Dropped() != c.dropped || x.Reply.Made() == c.dropped {
				t.Fatalf("dropped %v, made %v", x.Reply.Dropped(), x.Reply.Made())
			}
			if c.dropped {
				return
			}
			if m := block.Answer(t, x); m.Rcode != c.rcode || len(m.Answer) != c.answers || m.Id != x.Query.ID() {
				t.Errorf("%v", m)
			}
		})
	}
}

// TestFromCoreDNSRewrites: the chain behind sees the question that was put, and the client its own.
func TestFromCoreDNSRewrites(t *testing.T) {
	t.Parallel()
	rewriting := ported(func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		was := r.Question[0].Name
		r.Question[0].Name = "inner.test."
		return next.ServeDNS(ctx, writer{w, func(m *dns.Msg) {
			m.Question[0].Name = was
			for _, rr := range m.Answer {
				rr.Header().Name = was
			}
		}}, r)
	})
	var seen string
	inner := block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		seen = x.Query.NameString()
		return block.Reply(dns.RcodeSuccess, "inner.test. 5 IN A 192.0.2.7")(ctx, x)
	})
	x := block.NewExchange(t, "wWw.example.org.", dns.TypeA)
	if err := block.Serve(x, plugin.FromCoreDNS(rewriting), inner); err != nil {
		t.Fatal(err)
	}
	if seen != "inner.test." || x.Query.NameString() != "wWw.example.org." {
		t.Errorf("the chain saw %q, afterwards the query is %q", seen, x.Query.NameString())
	}
	m := block.Answer(t, x)
	if m.Question[0].Name != "wWw.example.org." || len(m.Answer) != 1 || m.Answer[0].Header().Name != "wWw.example.org." || m.Id != x.Query.ID() {
		t.Errorf("%v", m)
	}
}

func TestFromCoreDNSAddresses(t *testing.T) {
	t.Parallel()
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		var local, remote net.Addr
		h := plugin.FromCoreDNS(ported(func(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
			local, remote = w.LocalAddr(), w.RemoteAddr()
			return dns.RcodeRefused, nil
		}))
		x := block.NewExchange(t, "a.", dns.TypeA)
		x.Transport = transport
		if err := block.Serve(x, h); err != nil {
			t.Fatal(err)
		}
		if remote.String() != x.Client.String() || local.String() != x.Local.String() || remote.Network() != transport.String() {
			t.Errorf("%v: local %v, remote %v by %s", transport, local, remote, remote.Network())
		}
	}
}

func TestFromCoreDNSBlocks(t *testing.T) {
	t.Parallel()
	h := plugin.FromCoreDNS(ported(func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
		t.Error("the plugin was asked although it must not wait")
		return 0, nil
	}))
	x := block.NewExchange(t, "a.", dns.TypeA)
	x.Begin(&host{err: plugin.ErrOverload}, []plugin.Handler{h})
	if err := x.Next(t.Context()); !errors.Is(err, plugin.ErrOverload) {
		t.Errorf("error %v", err)
	}
}
