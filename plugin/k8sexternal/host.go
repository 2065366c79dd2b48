package k8sexternal

import (
	"context"
	"errors"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// hosts is the records of a service or host that is known by a name, and maybe by addresses too. This is the slow path: it makes
// messages, and asks the server for what the name has. It holds copies, so that those of all other questions stay on the
// stack.
type hosts struct {
	lookup
	x             *plugin.Exchange
	name          name
	external      []cluster.External
	answer, extra []dns.RR
	truncated     bool // one of the replies to our questions was
}

func (l *lookup) hostAnswer(ctx context.Context, x *plugin.Exchange, n *name) (exists bool, err error) {
	matching := n.port.Count(n.svc.Ports) * len(n.svc.External)
	if matching == 0 {
		return false, nil
	}
	h := hosts{lookup: *l, x: x, name: *n, external: n.svc.External}
	switch l.Query.Type {
	case dns.TypeA, dns.TypeAAAA:
		err = h.addresses(ctx)
	case dns.TypeSRV:
		err = h.services(ctx, wire.Weight(matching))
	}
	return true, h.reply(err)
}

// reply makes the reply of the messages' records; without any it stays empty.
func (h *hosts) reply(err error) error {
	if err != nil || len(h.answer) == 0 {
		return err
	}
	m, err := h.Reply.Msg()
	if err != nil {
		return err
	}
	m.Answer, m.Extra, m.Truncated = h.answer, h.extra, h.truncated
	return h.Reply.SetMsg(h.Query, m)
}

// addresses are a service's or host's own of the family asked for, and for each name an alias and what that has.
func (h *hosts) addresses(ctx context.Context) error {
	owner := h.Query.NameString()
	for i, e := range h.external {
		switch {
		case repeated(h.external, i):
		case !isHost(e):
			if h.wants(&e.Addr) {
				h.answer = append(h.answer, h.address(owner, e.Addr))
			}
		default:
			h.alias(e)
			found, err := h.ask(ctx, e.Name, h.Query.Type)
			if err != nil {
				return err
			}
			h.answer = append(h.answer, found...)
		}
	}
	return nil
}

// alias adds a CNAME to a load balancer's name.
func (h *hosts) alias(e cluster.External) {
	h.answer = append(h.answer, &dns.CNAME{Hdr: h.header(h.Query.NameString(), dns.TypeCNAME), Target: dns.Fqdn(e.Name)})
}

// services are an SRV record for each target and port number: the service's name stands for its addresses.
func (h *hosts) services(ctx context.Context, weight uint16) error {
	own := wire.Name(h.name.svc.Key() + string(h.Zone)).String()
	var targets []string
	for i, e := range h.external {
		if repeated(h.external, i) || len(h.name.svc.Ports) == 0 {
			continue
		}
		if !isHost(e) {
			h.extra = append(h.extra, h.address(own, e.Addr))
			targets = appendNew(targets, own)
			continue
		}
		targets = appendNew(targets, dns.Fqdn(e.Name))
		for _, qtype := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
			found, err := h.ask(ctx, e.Name, qtype)
			if err != nil {
				return err
			}
			h.extra = append(h.extra, found...)
		}
	}
	for _, target := range targets {
		for i, p := range h.name.svc.Ports {
			if h.name.port.Matches(h.name.svc.Ports, i) && !h.name.port.Numbered(h.name.svc.Ports[:i], p.Number) {
				h.answer = append(h.answer, &dns.SRV{
					Hdr: h.header(h.Query.NameString(), dns.TypeSRV), Weight: weight, Port: p.Number, Target: target,
				})
			}
		}
	}
	h.truncated = false // what is missing is not of the answer (RFC 2181, section 9)
	return nil
}

func appendNew(list []string, text string) []string {
	for _, have := range list {
		if have == text {
			return list
		}
	}
	return append(list, text)
}

// ask is what the server answers to a question for a load balancer's name. That it fails is no reason to hide the name; that
// too many wait already is one to say nothing.
func (h *hosts) ask(ctx context.Context, host string, qtype uint16) ([]dns.RR, error) {
	name, err := wire.ParseName(host)
	if err != nil {
		return nil, nil
	}
	m, err := h.x.Resolve(ctx, name, qtype)
	switch {
	case errors.Is(err, plugin.ErrOverload):
		return nil, err
	case err != nil || m == nil:
		return nil, nil
	}
	h.truncated = h.truncated || m.Truncated
	return m.Answer, nil
}

func (h *hosts) header(owner string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rtype, Class: dns.ClassINET, Ttl: h.h.ttl}
}

func (h *hosts) address(owner string, addr cluster.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: h.header(owner, dns.TypeA), A: addr.Bytes()}
	}
	return &dns.AAAA{Hdr: h.header(owner, dns.TypeAAAA), AAAA: addr.Bytes()}
}
