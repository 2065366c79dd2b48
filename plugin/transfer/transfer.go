// Package transfer is the directive that hands whole zones to other servers (AXFR, RFC 5936; IXFR, RFC 1995), and tells them
// of changes (NOTIFY, RFC 1996). The zones are other directives': it finds those of its server block that have some
// (plugin.Transferer). A zone goes out while it is read, message by message, so that a large one takes no memory.
package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// full is the size in bytes, without compression, past which a message of a transfer takes no further record.
const full = 60_000

// Handler answers transfers for other directives of its server block.
type Handler struct {
	env         *plugin.Env
	log         *slog.Logger
	rules       []rule
	transferers []plugin.Transferer
}

// rule says who may have some zones.
type rule struct {
	zones    plugin.Zones
	everyone bool
	to       []netip.AddrPort // those who are told of changes
	source   netip.Addr       // from which they are told; none for the system's choice
}

// Name is "transfer".
func (h *Handler) Name() string { return "transfer" }

// Start finds the directives whose zones may be transferred.
func (h *Handler) Start(context.Context) error {
	for _, block := range h.env.Instance.Blocks() {
		if !slices.Contains(block.Handlers, plugin.Handler(h)) {
			continue
		}
		for _, link := range block.Handlers {
			if t, ok := link.(plugin.Transferer); ok {
				h.transferers = append(h.transferers, t)
			}
		}
		return nil
	}
	return nil
}

// Serve answers AXFR and IXFR, and hands on everything else.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	q := &x.Query
	if q.Type != dns.TypeAXFR && q.Type != dns.TypeIXFR {
		return x.Next(ctx)
	}
	if x.Transport != plugin.TCP {
		x.Reply.Start(q, dns.RcodeRefused)
		return nil
	}
	zone := wire.Name(q.Name())
	r := h.match(zone)
	if r == nil {
		return x.Next(ctx)
	}
	if !r.allows(x.Client.Addr()) {
		x.Reply.Start(q, dns.RcodeRefused)
		return nil
	}
	for _, t := range h.transferers {
		contents, ok, err := t.Contents(zone)
		if err != nil {
			return err
		}
		if ok {
			return h.transfer(x, contents)
		}
	}
	return x.Next(ctx)
}

// match is the rule with the longest zone that holds a name.
func (h *Handler) match(name wire.Name) (found *rule) {
	longest := -1
	for i := range h.rules {
		for _, zone := range h.rules[i].zones {
			if zone.Contains(name) && len(zone) > longest {
				found, longest = &h.rules[i], len(zone)
			}
		}
	}
	return found
}

func (r *rule) allows(client netip.Addr) bool {
	return r.everyone || slices.ContainsFunc(r.to, func(to netip.AddrPort) bool { return to.Addr() == client })
}

// transfer sends a zone. Who asks for changes and has the newest version gets the SOA record alone (RFC 1995, section 2);
// no other versions are kept, so that everybody else gets the whole zone (section 4).
func (h *Handler) transfer(x *plugin.Exchange, c plugin.Contents) error {
	q, err := x.Query.Msg()
	if err != nil {
		return err
	}
	x.Live = true // nobody is to keep a part of it
	s := stream{x: x, query: q}
	if x.Query.Type == dns.TypeIXFR {
		if len(q.Ns) != 1 {
			return fmt.Errorf("an IXFR query has one SOA record in its authority section, this one has %d records", len(q.Ns))
		}
		have, ok := q.Ns[0].(*dns.SOA)
		if !ok {
			return fmt.Errorf("an IXFR query has an SOA record in its authority section, not %s", dns.TypeToString[q.Ns[0].Header().Rrtype])
		}
		if !newer(c.SOA.Serial, have.Serial) {
			h.log.Info("nothing to transfer: the client has the zone", "zone", x.Query.NameString(), "to", x.Client.Addr(), "serial", have.Serial)
			return s.last(c.SOA)
		}
	}
	if err := x.Block(); err != nil {
		return err
	}
	if err := s.all(c); err != nil {
		return fmt.Errorf("transfer of zone %s to %s broke off after %d records: %w", x.Query.NameString(), x.Client.Addr(), s.sent, err)
	}
	h.log.Info("transferred a zone", "zone", x.Query.NameString(), "to", x.Client.Addr(), "serial", c.SOA.Serial, "records", s.sent)
	return nil
}

// newer tells whether serial a is newer than b (RFC 1982, section 3.2).
func newer(a, b uint32) bool { return int32(a-b) > 0 }

// stream is a transfer under way.
type stream struct {
	x     *plugin.Exchange
	query *dns.Msg
	batch []dns.RR
	size  int // of the batch, in bytes
	sent  int // records
}

// all sends the zone between two copies of its SOA record (RFC 5936, section 2.2).
func (s *stream) all(c plugin.Contents) error {
	if err := s.add(c.SOA); err != nil {
		return err
	}
	for rr := range c.Records {
		if err := s.add(rr); err != nil {
			return err
		}
	}
	return s.last(c.SOA)
}

func (s *stream) add(rr dns.RR) error {
	size := dns.Len(rr)
	if len(s.batch) > 0 && s.size+size > full {
		if err := s.message(); err != nil {
			return err
		}
		if err := s.x.Send(); err != nil {
			return err
		}
		clear(s.batch)
		s.batch, s.size = s.batch[:0], 0
	}
	s.batch, s.size, s.sent = append(s.batch, rr), s.size+size, s.sent+1
	return nil
}

// last adds the last record; its message is the query's reply.
func (s *stream) last(rr dns.RR) error {
	if err := s.add(rr); err != nil {
		return err
	}
	return s.message()
}

// message makes the batch the reply.
func (s *stream) message() error {
	m := new(dns.Msg).SetReply(s.query)
	m.Authoritative, m.Answer = true, s.batch
	return s.x.Reply.SetMsg(&s.x.Query, m)
}
