package kubernetes

import (
	"context"
	"errors"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// maxChain is the number of CNAMEs behind the first one that are followed within the zone.
const maxChain = 10

// externalAnswer answers the name of an ExternalName service: its CNAME, and for A and AAAA also what the target has.
// This is the slow path: it makes messages, and may ask an upstream. The error is that too many do that already: to say
// then that there is no address would be a lie.
func (l *lookup) externalAnswer(ctx context.Context, x *plugin.Exchange, n *name) (exists bool, err error) {
	target := n.svc.ExternalName
	if n.narrowed() || !isName(target) {
		return false, nil
	}
	c := chain{k: l.k, x: x, zone: l.Zone, qtype: l.Query.Type}
	var records []dns.RR
	switch owner := l.Query.NameString(); l.Query.Type {
	case dns.TypeCNAME:
		records = []dns.RR{l.k.cname(owner, target)}
	case dns.TypeA, dns.TypeAAAA:
		records, err = c.follow(ctx, owner, target)
	}
	if err == nil && len(records) > 0 {
		l.reply(records, c.truncated)
	}
	return true, err
}

// isName tells whether an ExternalName can be a CNAME's target: an address cannot, though the API takes it.
func isName(target string) bool {
	_, err := netip.ParseAddr(target)
	return err != nil && target != ""
}

// reply makes the reply of messages' records. A target that cannot be packed is none.
func (l *lookup) reply(records []dns.RR, truncated bool) {
	m, err := l.Reply.Msg()
	if err == nil {
		m.Answer, m.Authoritative, m.Truncated = records, true, truncated
		err = l.Reply.SetMsg(l.Query, m)
	}
	if err != nil {
		l.k.log.Warn("cannot answer", "name", l.Query.NameString(), "error", err)
		l.Begin(dns.RcodeSuccess)
	}
}

func (k *Kubernetes) cname(owner, target string) *dns.CNAME {
	return &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: k.ttl}, Target: dns.Fqdn(target)}
}

// chain follows CNAMEs: it is all or nothing, as a CNAME to a name of our own zone that has no address answers nothing.
type chain struct {
	k         *Kubernetes
	x         *plugin.Exchange
	zone      wire.Name
	qtype     uint16
	links     []dns.RR
	truncated bool // an upstream's answer was
}

// follow looks for the end of the chain; one that goes round in circles has too many links.
func (c *chain) follow(ctx context.Context, owner, target string) ([]dns.RR, error) {
	for len(c.links) <= maxChain {
		link := c.k.cname(owner, target)
		c.links = append(c.links, link)
		name, err := wire.ParseName(link.Target)
		if err != nil {
			return nil, nil
		}
		if !c.zone.Contains(name) {
			return c.outside(ctx, name)
		}
		next, addresses := c.inside(name)
		if next == "" {
			return c.end(link.Target, addresses), nil
		}
		owner, target = link.Target, next
	}
	return nil, nil
}

// end is the whole chain: the last target's addresses go by its name as the service spells it.
func (c *chain) end(owner string, addresses []dns.RR) []dns.RR {
	if len(addresses) == 0 {
		return nil
	}
	for _, rr := range addresses {
		rr.Header().Name = owner
	}
	return append(c.links, addresses...)
}

// outside asks the whole server for a target of another zone. Without an answer at all there is no CNAME either.
func (c *chain) outside(ctx context.Context, name wire.Name) ([]dns.RR, error) {
	m, err := c.x.Resolve(ctx, name, c.qtype)
	switch {
	case errors.Is(err, plugin.ErrOverload):
		return nil, err
	case err != nil || m == nil:
		return nil, nil
	}
	c.truncated = m.Truncated
	return append(c.links, m.Answer...), nil
}

// inside looks a target up in the zone: next is where it leads on, else it is the addresses.
func (c *chain) inside(target wire.Name) (next string, addresses []dns.RR) {
	var q wire.Query
	var r wire.Reply
	if err := q.Parse(wire.NewQuery(0, target, c.qtype)); err != nil {
		return "", nil
	}
	left, ok := q.Within(c.zone)
	if !ok {
		return "", nil
	}
	l := lookup{Own: plugin.Own{Query: &q, Reply: &r, Zone: c.zone, Left: left}, k: c.k}
	l.Begin(dns.RcodeSuccess)
	var n name
	kind := l.parse(&n)
	if n.svc != nil && n.svc.Type == cluster.ExternalName {
		if n.narrowed() || !isName(n.svc.ExternalName) {
			return "", nil
		}
		return n.svc.ExternalName, nil
	}
	if !l.internal(&n, kind) {
		return "", nil
	}
	m, err := r.Msg()
	if err != nil {
		return "", nil
	}
	return "", m.Answer
}
