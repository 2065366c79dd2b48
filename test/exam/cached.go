package exam

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// inCache returns which deliberate difference a cache before the cluster's names explains, or "".
func (d *difference) inCache() string {
	if !d.corefile.cached {
		return ""
	}
	for _, rule := range []struct {
		name  string
		holds func(*difference) bool
	}{
		{"D6", (*difference).ttlZero},
		{"D13", (*difference).fromCache},
		{"D17", (*difference).spelledOtherwise},
		{"D17", (*difference).spelledLonger},
	} {
		if rule.holds(d) {
			return rule.name
		}
	}
	return ""
}

// ttlZero is D6: CoreDNS's cache makes 5 of a "ttl 0", and counts that down. What a CNAME leads to outside of the cluster
// has the TTL of its own.
func (d *difference) ttlZero() bool {
	if !d.isLive() || len(d.view().compare(d.theirs, d.ours)) > 0 {
		return false
	}
	least, most := ttls(d.ours)
	_, theirs := ttls(d.theirs)
	return least == 0 && (most == 0 || d.isAlias()) && theirs <= 5
}

// fromCache is D13: CoreDNS gives a name of the cluster from its cache, its TTL counted down; Nameplane's is as fresh as
// it ever was. Of a name's target outside of the cluster both have the TTL from a cache, but CoreDNS keeps name and target
// together and the target once more: it rounds the target's age up to a second twice.
func (d *difference) fromCache() bool {
	if !d.isLive() || len(d.view().compare(d.theirs, d.ours)) > 0 {
		return false
	}
	low, high := ttls(d.theirs)
	least, most := ttls(d.ours)
	return low == high && least == most && (high < least || d.isAlias() && high == least+1)
}

func (d *difference) isAlias() bool {
	return len(d.ours.Answer) > 0 && d.ours.Answer[0].Header().Rrtype == dns.TypeCNAME
}

// isLive tells whether ours is an answer of the cluster's. What falls through to an upstream, and what that says of
// other names, is not authoritative.
func (d *difference) isLive() bool {
	return !d.corefile.relayed && d.ours.Authoritative &&
		slices.ContainsFunc(append(d.corefile.live, d.corefile.zone, "arpa."), func(zone string) bool { return dns.IsSubDomain(zone, d.name()) })
}

// spelledOtherwise is D17: CoreDNS gives a reply from the cache with the names in it as whoever asked first had
// spelled them, Nameplane as who asks now does.
func (d *difference) spelledOtherwise() bool {
	return len(view{fold: true}.compare(d.theirs, d.ours)) == 0
}

// spelledLonger is D17 as well: names that are spelled otherwise than the question cannot be compressed into it
// (RFC 1035, section 4.1.4), so that there is room for fewer of CoreDNS's records.
func (d *difference) spelledLonger() bool {
	if !d.theirs.Truncated || d.ours.Truncated || !d.hasOtherSpelling() ||
		!d.only("tc", "answer", "authority", "additional") {
		return false
	}
	whole := d.whole()
	return whole != nil && d.view().contains(whole, d.theirs) && len(d.view().compare(whole, d.ours)) == 0
}

// hasOtherSpelling tells whether CoreDNS's reply, or what it has kept, may be spelled otherwise than the question: because
// the question is not in lower case, or because an owner in the reply is another spelling of its name.
func (d *difference) hasOtherSpelling() bool {
	asked := d.question.Question[0].Name
	return asked != d.name() || slices.ContainsFunc(records(d.theirs), func(rr dns.RR) bool {
		return rr.Header().Name != asked && strings.EqualFold(rr.Header().Name, asked)
	})
}

// secondsApart is the greatest difference of the TTLs of two replies that are equal but for TTLs.
func secondsApart(a, b *dns.Msg) int {
	ttlOf := map[string]uint32{}
	for _, rr := range records(a) {
		ttlOf[view{ttls: true}.record(rr)] = rr.Header().Ttl
	}
	apart := 0
	for _, rr := range records(b) {
		d := int(rr.Header().Ttl) - int(ttlOf[view{ttls: true}.record(rr)])
		apart = max(apart, d, -d)
	}
	return apart
}

// ttls are the lowest and the highest TTL of a reply.
func ttls(m *dns.Msg) (least, most uint32) {
	for i, rr := range records(m) {
		ttl := rr.Header().Ttl
		if i == 0 {
			least = ttl
		}
		least, most = min(least, ttl), max(most, ttl)
	}
	return least, most
}
