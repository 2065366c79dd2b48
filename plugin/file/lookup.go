package file

import (
	"context"
	"errors"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// maxLinks is the number of aliases that are followed within a zone.
const maxLinks = 9

// lookup is one question on its way to an answer, by the algorithm of RFC 1034, section 4.3.2, with wildcards as RFC 4592
// has them, DNAMEs by RFC 6672 and DNSSEC records by RFC 4035, section 3.1.
type lookup struct {
	zone  *zone
	x     *plugin.Exchange
	qtype uint16
	do    bool // DNSSEC records are wanted

	answer, authority, additional []dns.RR
	rcode                         int
	nothing                       bool // the name has no records: nobody minds if somebody else has
	truncated                     bool // an upstream's part of the answer is
}

// run follows aliases from a name of the zone to an end. The error is that too many queries wait already.
func (l *lookup) run(ctx context.Context, name wire.Name) error {
	seen := []wire.Name{name}
	for {
		next, more := l.step(name)
		if !more {
			return nil
		}
		if slices.Contains(seen, next) {
			l.answer, l.rcode = nil, dns.RcodeServerFailure
			return nil
		}
		if !l.zone.origin.Contains(next) {
			return l.outside(ctx, next)
		}
		if len(seen) == maxLinks {
			l.positive()
			return nil
		}
		seen, name = append(seen, next), next
	}
}

// step answers for one name, or finds where it leads on.
func (l *lookup) step(name wire.Name) (next wire.Name, more bool) {
	suffixes := []wire.Name{name}
	for last := name; last != l.zone.origin; {
		last = parent(last)
		suffixes = append(suffixes, last)
	}
	var encloser *node
	for i, suffix := range slices.Backward(suffixes) {
		n := l.zone.nodes[suffix]
		if n == nil {
			return l.missing(name, encloser)
		}
		encloser = n
		if dnames := n.records(dns.TypeDNAME); i > 0 && len(dnames) > 0 {
			return l.substitute(name, n, dnames[0].(*dns.DNAME))
		}
		if suffix != l.zone.origin && len(n.records(dns.TypeNS)) > 0 && !(i == 0 && l.qtype == dns.TypeDS) {
			l.refer(n)
			return "", false
		}
	}
	return l.exact(name, encloser)
}

// exact answers from the name's own node.
func (l *lookup) exact(name wire.Name, n *node) (next wire.Name, more bool) {
	if len(n.sets) == 0 {
		l.negative(dns.RcodeSuccess, l.zone.before(name))
		l.nothing = true
		return "", false
	}
	if records := n.signed(l.qtype, l.do); len(records) > 0 {
		l.answer = append(l.answer, records...)
		l.positive()
		return "", false
	}
	if alias := n.signed(dns.TypeCNAME, l.do); len(alias) > 0 {
		return l.follow(alias)
	}
	l.negative(dns.RcodeSuccess, n)
	return "", false
}

// missing answers for a name that is not there, from a wildcard below its closest encloser if there is one.
func (l *lookup) missing(name wire.Name, encloser *node) (next wire.Name, more bool) {
	source := wire.Name("\x01*") + encloser.name
	wildcard := l.zone.nodes[source]
	if wildcard == nil {
		l.negative(dns.RcodeNameError, l.zone.before(name), l.zone.before(source))
		l.nothing = true
		return "", false
	}
	if len(wildcard.sets) == 0 {
		l.negative(dns.RcodeSuccess, l.zone.before(name))
		return "", false
	}
	l.x.Metadata.Set("zone/wildcard", source.String())
	records := l.expanded(wildcard, l.qtype, name)
	if len(records) == 0 {
		if alias := l.expanded(wildcard, dns.TypeCNAME, name); len(alias) > 0 {
			return l.follow(alias)
		}
		l.negative(dns.RcodeSuccess, wildcard, l.zone.before(name))
		return "", false
	}
	l.answer = append(l.answer, records...)
	l.positive()
	if l.do { // that there is no closer name
		l.authority = append(l.authority, l.denial(l.zone.before(name))...)
	}
	return "", false
}

// expanded is a wildcard's records under another name.
func (l *lookup) expanded(wildcard *node, rtype uint16, name wire.Name) []dns.RR {
	records := wildcard.signed(rtype, l.do)
	for i, rr := range records {
		records[i] = dns.Copy(rr)
		records[i].Header().Name = name.String()
	}
	return records
}

// follow adds an alias to the answer.
func (l *lookup) follow(alias []dns.RR) (next wire.Name, more bool) {
	l.answer = append(l.answer, alias...)
	next, err := wire.ParseName(alias[0].(*dns.CNAME).Target)
	if err != nil { // the parser of the file would not have let it through
		l.rcode = dns.RcodeServerFailure
		return "", false
	}
	return next, true
}

// substitute makes an alias of a DNAME above the name (RFC 6672, section 2.2).
func (l *lookup) substitute(name wire.Name, n *node, dname *dns.DNAME) (next wire.Name, more bool) {
	l.answer = append(l.answer, n.signed(dns.TypeDNAME, l.do)...)
	target, err := wire.ParseName(dname.Target)
	prefix := name[:len(name)-len(n.name)]
	next = prefix + target
	if err != nil || len(next) > wire.MaxName {
		l.rcode = dns.RcodeYXDomain
		return "", false
	}
	l.answer = append(l.answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: name.String(), Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: dname.Hdr.Ttl},
		Target: next.String(),
	})
	if l.qtype == dns.TypeCNAME && next != name { // run sees a circle
		l.positive()
		return "", false
	}
	return next, true
}

// outside asks the server for an alias's target in another zone. A target that nobody here knows is left to the client.
func (l *lookup) outside(ctx context.Context, name wire.Name) error {
	m, err := l.x.Resolve(ctx, name, l.qtype)
	switch {
	case errors.Is(err, plugin.ErrOverload):
		return err
	case err != nil:
		l.rcode = dns.RcodeServerFailure
	case m != nil:
		l.truncated = m.Truncated
		l.answer = append(l.answer, m.Answer...)
		switch {
		case m.Rcode == dns.RcodeNameError, m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0:
			l.negative(m.Rcode)
			return nil
		case m.Rcode == dns.RcodeServerFailure:
			l.rcode = m.Rcode
		}
	}
	l.positive()
	return nil
}

// refer sends the client to the servers of a zone below (RFC 1034, section 4.2.1). With DNSSEC it is said whether that zone
// is signed (RFC 4035, section 3.1.4).
func (l *lookup) refer(cut *node) {
	servers := cut.records(dns.TypeNS)
	l.authority = slices.Clone(servers)
	l.additional = l.glue(cut.name, servers)
	if !l.do {
		return
	}
	signed := cut.signed(dns.TypeDS, true)
	if len(signed) == 0 {
		signed = cut.signed(dns.TypeNSEC, true)
	}
	l.authority = append(l.authority, signed...)
}

// positive completes an answer: with the zone's name servers and with addresses of the names in the answer.
func (l *lookup) positive() {
	apex := l.zone.nodes[l.zone.origin]
	for _, rr := range l.answer {
		if rr.Header().Rrtype == dns.TypeNS && rr.Header().Name == l.zone.origin.String() {
			l.additional = l.glue(apex.name, apex.records(dns.TypeNS))
			return // they are in the answer already
		}
	}
	l.authority = apex.signed(dns.TypeNS, l.do)
	l.additional = l.addresses(l.answer)
}

// negative says that there is no such name, or no such type (RFC 2308, section 2). With DNSSEC the NSEC records prove it.
func (l *lookup) negative(rcode int, proofs ...*node) {
	l.rcode = rcode
	l.authority = l.zone.nodes[l.zone.origin].signed(dns.TypeSOA, l.do)
	if l.do {
		l.authority = append(l.authority, l.denial(proofs...)...)
	}
}

// denial is the NSEC records of nodes, each once.
func (l *lookup) denial(proofs ...*node) (records []dns.RR) {
	for i, n := range proofs {
		if n != nil && !slices.Contains(proofs[:i], n) {
			records = append(records, n.signed(dns.TypeNSEC, true)...)
		}
	}
	return records
}

// glue is the addresses of name servers at or below a name.
func (l *lookup) glue(below wire.Name, servers []dns.RR) (records []dns.RR) {
	for _, rr := range servers {
		if target, err := wire.ParseName(rr.(*dns.NS).Ns); err == nil && below.Contains(target) {
			records = append(records, l.addressesOf(target)...)
		}
	}
	return records
}

// addresses are those of the hosts that records point to, each once (RFC 1035, section 3.3.9; RFC 2782; RFC 9460).
func (l *lookup) addresses(of []dns.RR) (records []dns.RR) {
	var seen []wire.Name
	for _, rr := range of {
		host := ""
		switch rr := rr.(type) {
		case *dns.MX:
			host = rr.Mx
		case *dns.SRV:
			host = rr.Target
		case *dns.SVCB:
			host = rr.Target
		case *dns.HTTPS:
			host = rr.Target
		default:
			continue
		}
		name, err := wire.ParseName(host)
		if err != nil || slices.Contains(seen, name) || !l.zone.origin.Contains(name) {
			continue
		}
		seen = append(seen, name)
		records = append(records, l.addressesOf(name)...)
	}
	return records
}

func (l *lookup) addressesOf(name wire.Name) []dns.RR {
	n := l.zone.nodes[name]
	if n == nil {
		return nil
	}
	return append(n.signed(dns.TypeA, l.do), n.signed(dns.TypeAAAA, l.do)...)
}
