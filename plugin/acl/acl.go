// Package acl is the directive that lets queries through, refuses them, answers them empty, or leaves them without a
// reply, by the client's address, the name's zone and the type asked for.
//
// Rules are tried in the order of the Corefile; the first policy that fits a query settles it. A list of networks is a set
// of prefixes and the few lengths that occur in it, so that a list of thousands costs a look-up per length.
package acl

import (
	"context"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// action is what becomes of a query.
type action uint8

const (
	undecided action = iota
	allowing
	blocking
	filtering
	dropping
)

// policy is one line in braces.
type policy struct {
	action action
	types  map[uint16]struct{} // nil for all
	nets   *nets               // nil for all
}

// rule is one line of the directive: policies for zones.
type rule struct {
	zones    plugin.Zones
	policies []policy
}

// Handler applies the rules of a server block.
type Handler struct {
	rules   []rule
	metrics *metrics
}

// Name is "acl".
func (h *Handler) Name() string { return "acl" }

// Serve hands on what is allowed. Whether a policy says so or none fits makes no difference.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	for i := range h.rules {
		zone, _, ok := h.rules[i].zones.Match(&x.Query)
		if !ok {
			continue
		}
		switch act := h.rules[i].action(x); act {
		case undecided:
			continue
		case allowing:
			h.metrics.allow(x)
			return x.Next(ctx)
		default:
			h.deny(x, act, zone)
			return nil
		}
	}
	h.metrics.allow(x)
	return x.Next(ctx)
}

// deny ends a query, with an extended error that says why (RFC 8914, sections 4.16 and 4.18).
func (h *Handler) deny(x *plugin.Exchange, act action, zone wire.Name) {
	h.metrics.deny(act, x, zone)
	switch act {
	case blocking:
		x.Reply.Start(&x.Query, dns.RcodeRefused)
		x.Reply.AddOption(dns.EDNS0EDE, []byte{0, byte(dns.ExtendedErrorCodeBlocked)})
	case filtering:
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		x.Reply.AddOption(dns.EDNS0EDE, []byte{0, byte(dns.ExtendedErrorCodeFiltered)})
	default:
		x.Reply.Drop()
	}
}

// action is that of the first policy for the query's type and client.
func (r *rule) action(x *plugin.Exchange) action {
	for i := range r.policies {
		p := &r.policies[i]
		if p.types != nil {
			if _, listed := p.types[x.Query.Type]; !listed {
				continue
			}
		}
		if p.nets == nil || p.nets.contain(x.Client.Addr()) {
			return p.action
		}
	}
	return undecided
}
