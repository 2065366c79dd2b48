// Package dns64 is the directive that makes IPv6 addresses up for hosts that have only IPv4 ones, so that clients in
// networks without IPv4 reach them through a NAT64 (RFC 6147).
//
// The question for AAAA records goes along the chain as it is. Only when its reply has none is the A question asked, of the
// whole server, so that it may be answered from another directive or zone. Until then nothing is unpacked.
package dns64

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// noSOA bounds a made-up record's TTL, in seconds, where no SOA record does (RFC 6147, section 5.1.7).
const noSOA = 600

// Handler makes AAAA records of A records.
type Handler struct {
	options
	translated *prometheus.CounterVec
}

// Name is "dns64".
func (h *Handler) Name() string { return "dns64" }

// Serve hands on the query, and puts another reply in the place of one without IPv6 addresses.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	q := &x.Query
	if q.Type != dns.TypeAAAA || q.Class != dns.ClassINET || !h.allowIPv4 && x.Client.Addr().Is4() {
		return x.Next(ctx)
	}
	if err := x.Next(ctx); err != nil {
		return err
	}
	if !x.Reply.Made() || !h.wants(&x.Reply) {
		return nil
	}
	return h.translate(ctx, x)
}

// wants tells whether a reply is to be replaced: a name that does not exist has no A records either, and every other
// error counts as an empty answer (RFC 6147, section 5.1.2).
func (h *Handler) wants(r *wire.Reply) bool {
	if r.Rcode() == dns.RcodeNameError {
		return false
	}
	return h.translateAll || !r.Has(wire.Answer, dns.TypeAAAA)
}

// translate makes the reply of what the server answers to the A question.
func (h *Handler) translate(ctx context.Context, x *plugin.Exchange) error {
	longest := denialTTL(&x.Reply)
	name := wire.Name(x.Query.Name())
	found, err := x.Resolve(ctx, name, dns.TypeA)
	if err == nil && found == nil {
		err = fmt.Errorf("the question for A records of %s got no reply", name)
	}
	if err != nil {
		x.Reply.Reset()
		return err
	}
	query, err := x.Query.Msg()
	if err != nil {
		return err
	}
	m := new(dns.Msg).SetRcode(query, found.Rcode)
	m.Truncated, m.Ns, m.Extra = found.Truncated, found.Ns, found.Extra
	for _, rr := range found.Answer {
		m.Answer = append(m.Answer, h.mapped(respelled(rr, query.Question[0].Name), longest))
	}
	if err := x.Reply.SetMsg(&x.Query, m); err != nil {
		return err
	}
	h.translated.WithLabelValues(x.Server).Inc()
	return nil
}

// denialTTL is that of the SOA record in a reply's authority section, in seconds.
func denialTTL(r *wire.Reply) uint32 {
	first := r.Count(wire.Answer)
	for i := first + r.Count(wire.Authority) - 1; i >= first; i-- {
		if record := r.Record(i); record.Type == dns.TypeSOA {
			return record.TTL
		}
	}
	return noSOA
}

// respelled gives a record of the name that was asked for the client's spelling.
func respelled(rr dns.RR, name string) dns.RR {
	if h := rr.Header(); strings.EqualFold(h.Name, name) {
		h.Name = name
	}
	return rr
}

// mapped is the AAAA record of an A record; other records stay as they are (RFC 6147, sections 5.1.7 and 5.3.3).
func (h *Handler) mapped(rr dns.RR, longest uint32) dns.RR {
	a, ok := rr.(*dns.A)
	if !ok || a.A.To4() == nil {
		return rr
	}
	return &dns.AAAA{
		Hdr:  dns.RR_Header{Name: a.Hdr.Name, Rrtype: dns.TypeAAAA, Class: a.Hdr.Class, Ttl: min(a.Hdr.Ttl, longest)},
		AAAA: embed(h.prefix, [4]byte(a.A.To4())),
	}
}
