// Package file is the directive that serves zones from master files, as an authoritative server (RFC 1034, section 4.3.2).
//
// A zone is a map from names in wire form to records, with the empty non-terminals in it, made anew whenever its file is read
// again: a look-up walks the name's suffixes from the zone's own down, so that delegations, DNAMEs and the closest encloser
// of a wildcard are all found on one way. Answers are messages, since records of any type may be in a file.
package file

import (
	"context"
	"errors"
	"log/slog"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// Handler answers for the zones of its files.
type Handler struct {
	env      *plugin.Env
	log      *slog.Logger
	sources  map[wire.Name]*source
	zones    plugin.Zones // the keys of sources
	fall     plugin.Zones
	notifier plugin.Notifier // nil without the directive transfer
}

// Name is "file".
func (h *Handler) Name() string { return "file" }

// Serve answers what lies in the zones. A zone whose file could not be read yet is SERVFAIL; what lies in none of them and has
// nobody else to ask is REFUSED.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	origin, _, ok := h.zones.Match(&x.Query)
	if !ok {
		err := x.Next(ctx)
		if errors.Is(err, plugin.ErrNoHandler) && !x.Reply.Made() {
			x.Reply.Start(&x.Query, dns.RcodeRefused)
			return nil
		}
		return err
	}
	switch {
	case x.Query.Type == dns.TypeAXFR, x.Query.Type == dns.TypeIXFR: // the directive transfer would have taken it
		x.Reply.Start(&x.Query, dns.RcodeRefused)
		return nil
	case x.Query.Opcode() == dns.OpcodeNotify: // for secondary servers only
		h.log.Info("dropping notify", "from", x.Client.Addr(), "zone", origin.String())
		x.Reply.Drop()
		return nil
	}
	zone := h.sources[origin].zone.Load()
	if zone == nil {
		x.Reply.Start(&x.Query, dns.RcodeServerFailure)
		return nil
	}
	l := lookup{zone: zone, x: x, qtype: x.Query.Type, do: x.Query.EDNS.DO()}
	if err := l.run(ctx, wire.Name(x.Query.Name())); err != nil {
		return err
	}
	if l.nothing && len(l.answer) == 0 && h.fall.Contains(&x.Query) {
		return x.Next(ctx)
	}
	return l.reply()
}

// reply makes the message. A referral alone is not authoritative (RFC 1034, section 4.3.2, step 3b).
func (l *lookup) reply() error {
	q, err := l.x.Query.Msg()
	if err != nil {
		return err
	}
	m := new(dns.Msg).SetReply(q)
	m.Answer, m.Ns, m.Extra, m.Rcode, m.Truncated = l.answer, l.authority, l.additional, l.rcode, l.truncated
	m.Authoritative = len(l.answer) > 0 || len(l.authority) > 0 && l.authority[0].Header().Rrtype != dns.TypeNS
	return l.x.Reply.SetMsg(&l.x.Query, m)
}

// Contents implements plugin.Transferer.
func (h *Handler) Contents(zone wire.Name) (plugin.Contents, bool, error) {
	s := h.sources[zone]
	if s == nil {
		return plugin.Contents{}, false, nil
	}
	z := s.zone.Load()
	if z == nil {
		return plugin.Contents{}, true, errors.New("the zone is not loaded: " + zone.String())
	}
	return plugin.Contents{SOA: z.soa, Records: z.all}, true, nil
}
