package plugin

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// CoreDNSHandler is the shape of a plugin written for CoreDNS.
type CoreDNSHandler interface {
	ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (rcode int, err error)
	Name() string
}

// FromCoreDNS makes a link of our chain from a plugin written for CoreDNS. Its Next field, if it has one, is to be set to
// CoreDNSNext. It works on unpacked messages, and pays for them.
func FromCoreDNS(h CoreDNSHandler) Handler { return fromCoreDNS{h} }

type fromCoreDNS struct{ h CoreDNSHandler }

func (f fromCoreDNS) Name() string { return f.h.Name() }

func (f fromCoreDNS) Serve(ctx context.Context, x *Exchange) error {
	m, err := x.Query.Msg()
	if err != nil {
		return err
	}
	if err := x.Block(); err != nil { // there is no telling whether it waits
		return err
	}
	w := &messageWriter{x: x}
	rcode, err := f.h.ServeDNS(context.WithValue(ctx, exchangeKey{}, x), w, m)
	switch {
	case w.err != nil:
		return w.err
	case err != nil && !x.Reply.Made():
		return fmt.Errorf("%s: %w", f.h.Name(), err)
	case !x.Reply.Made() && !wroteItself(rcode):
		x.Reply.Start(&x.Query, rcode)
	case !x.Reply.Made():
		x.Reply.Drop()
	}
	return nil
}

// wroteItself tells what an rcode returned by a CoreDNS plugin means: all but these four say that a reply was written.
func wroteItself(rcode int) bool {
	switch rcode {
	case dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented:
		return false
	}
	return true
}

// exchangeKey is how a message-based plugin's Next finds the way back to the chain: its shape has no other room for it.
type exchangeKey struct{}

// CoreDNSNext is the rest of the chain in CoreDNS's shape, for a plugin's Next field.
type CoreDNSNext struct{}

// Name is that of no directive: it stands for whatever comes next.
func (CoreDNSNext) Name() string { return "next" }

// ServeDNS runs the rest of the chain for r and writes its reply to w.
func (CoreDNSNext) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	x, ok := ctx.Value(exchangeKey{}).(*Exchange)
	if !ok {
		return dns.RcodeServerFailure, fmt.Errorf("no exchange in the context: ServeDNS was not called by FromCoreDNS")
	}
	packet, err := r.Pack()
	if err != nil {
		return dns.RcodeServerFailure, err
	}
	if !bytes.Equal(packet, x.Query.Packet()) {
		saved := x.Query
		defer func() { x.Query = saved }()
		if err := x.Query.Parse(packet); err != nil {
			return dns.RcodeServerFailure, err
		}
	}
	if err := x.Next(ctx); err != nil {
		return dns.RcodeServerFailure, err
	}
	if !x.Reply.Made() {
		return dns.RcodeSuccess, nil
	}
	m, err := x.Reply.Msg()
	if err != nil {
		return dns.RcodeServerFailure, err
	}
	x.Reply.Reset()
	if err := w.WriteMsg(m); err != nil {
		return dns.RcodeServerFailure, err
	}
	if !wroteItself(m.Rcode) {
		return dns.RcodeSuccess, nil // the code for "nothing was written" would make the caller write again
	}
	return m.Rcode, nil
}

// messageWriter is the dns.ResponseWriter of an Exchange.
type messageWriter struct {
	x   *Exchange
	err error
}

func (w *messageWriter) WriteMsg(m *dns.Msg) error {
	if err := w.x.Reply.SetMsg(&w.x.Query, m); err != nil {
		w.err = err
	}
	return w.err
}

func (w *messageWriter) Write(packet []byte) (int, error) {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return 0, err
	}
	return len(packet), w.WriteMsg(m)
}

func (w *messageWriter) LocalAddr() net.Addr  { return w.addr(w.x.Local) }
func (w *messageWriter) RemoteAddr() net.Addr { return w.addr(w.x.Client) }

func (w *messageWriter) addr(a netip.AddrPort) net.Addr {
	if w.x.Transport == TCP {
		return net.TCPAddrFromAddrPort(a)
	}
	return net.UDPAddrFromAddrPort(a)
}

func (w *messageWriter) Close() error        { return nil }
func (w *messageWriter) TsigStatus() error   { return nil }
func (w *messageWriter) TsigTimersOnly(bool) {}
func (w *messageWriter) Hijack()             {}
