package exam

import (
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/world"
)

// difference is a question that two servers answered differently.
type difference struct {
	corefile     *corefile
	facts        *facts
	question     *dns.Msg
	theirs, ours *dns.Msg
	// ask puts the same question with another name or type to CoreDNS, as a witness of what exists.
	ask func(name string, qtype uint16) *dns.Msg
	// whole is CoreDNS's reply by TCP.
	whole func() *dns.Msg
}

// declared returns which deliberate difference (those of the README's table, by number) explains d: the first one whose
// whole condition holds, or "" when none does. The others of the table cannot show in a reply to a single question under
// these Corefiles, and D14 is none any more: since CoreDNS 1.15 a verified pod goes by all its addresses.
func declared(d *difference) string {
	if d.saysWhy() {
		return "D18"
	}
	if len(d.question.Question) != 1 || d.corefile.relayed {
		return d.inCache()
	}
	for _, rule := range []struct {
		name  string
		holds func(*difference) bool
	}{
		{"D1", (*difference).deniedAboveOthers},
		{"D2", (*difference).startOfNothing},
		{"D3", (*difference).mixedCase},
		{"D4", (*difference).deniedReverse},
		{"D5", (*difference).portZero},
		{"D7", (*difference).askedElsewhere},
		{"D9", (*difference).hiddenNamespaces},
	} {
		if rule.holds(d) {
			return rule.name
		}
	}
	return d.inCache()
}

func (d *difference) name() string  { return strings.ToLower(d.question.Question[0].Name) }
func (d *difference) qtype() uint16 { return d.question.Question[0].Qtype }

// labels are those left of the cluster zone, in lower case; false for a name outside it.
func (d *difference) labels() ([]string, bool) {
	if !dns.IsSubDomain(d.corefile.zone, d.name()) {
		return nil, false
	}
	left := strings.TrimSuffix(strings.TrimSuffix(d.name(), d.corefile.zone), ".")
	return dns.SplitDomainName(left), true
}

// only tells whether nothing but these parts differ.
func (d *difference) only(parts ...string) bool {
	for _, part := range d.view().compare(d.theirs, d.ours) {
		if !slices.Contains(parts, part) {
			return false
		}
	}
	return true
}

func (d *difference) view() view { return view{ttls: d.corefile.cached} }

// behind are the parts that a reply from behind the kubernetes directive differs in from one of its own.
func behind() []string {
	return []string{"aa", "ra", "ad", "rcode", "answer", "authority", "additional", "edns", "tc"}
}

// denies tells whether m says that the name of the question does not exist, by its rcode or by the answer of what
// is behind the kubernetes directive; the latter may say anything.
func (d *difference) denies(m *dns.Msg) bool {
	if d.fallsThrough() {
		return d.isFromBehind(m)
	}
	if d.corefile.unsynced {
		return m.Rcode == dns.RcodeServerFailure && isNegative(m)
	}
	return m.Rcode == dns.RcodeNameError && isNegative(m)
}

func (d *difference) fallsThrough() bool {
	for _, zone := range d.corefile.falls {
		if dns.IsSubDomain(zone, d.name()) {
			return true
		}
	}
	return false
}

// isFromBehind tells whether m is what the upstream answers to the question.
func (d *difference) isFromBehind(m *dns.Msg) bool {
	want := world.Upstream{}.Reply(d.question)
	return m.Rcode == want.Rcode && d.view().sameRecords(want.Answer, m.Answer, !m.Truncated) &&
		d.view().sameRecords(want.Ns, m.Ns, !m.Truncated)
}

// isNegative tells whether m has no answer, and the SOA of the zone with it (RFC 2308).
func isNegative(m *dns.Msg) bool {
	return len(m.Answer) == 0 && len(m.Ns) == 1 && m.Ns[0].Header().Rrtype == dns.TypeSOA && m.Authoritative
}

func isNoData(m *dns.Msg) bool { return m.Rcode == dns.RcodeSuccess && isNegative(m) }

// parts that may differ between a denial and ours.
func (d *difference) denialParts() []string {
	if d.fallsThrough() {
		return behind()
	}
	return []string{"rcode"}
}

// deniedAboveOthers is D1: CoreDNS denies a name below which others exist, or one that has other types.
func (d *difference) deniedAboveOthers() bool {
	if !isNoData(d.ours) || !d.denies(d.theirs) || !d.only(d.denialParts()...) {
		return false
	}
	if slices.Contains(d.corefile.reverse, d.name()) {
		return d.qtype() == dns.TypeTXT
	}
	labels, ok := d.labels()
	n := len(labels)
	switch {
	case !ok:
		return false
	case n == 1 && labels[0] == "dns":
		return true
	case n == 2 && labels[0] == "ns" && labels[1] == "dns":
		return d.qtype() != dns.TypeA && d.qtype() != dns.TypeAAAA
	case n == 1 && labels[0] == "dns-version":
		return d.qtype() != dns.TypeTXT
	case d.qtype() != dns.TypeTXT:
		return false
	case n == 0, n == 1 && (labels[0] == "svc" || labels[0] == "pod"):
		return true
	}
	return n == 2 && (labels[1] == "svc" || labels[1] == "pod" && d.corefile.pods != "") && d.facts.shows(d.corefile, labels[0])
}

// startOfNothing is D2: CoreDNS has no data at a name that does not exist, when the question is for an SOA. Whether it
// exists is asked as CoreDNS does itself, by a question of another type.
func (d *difference) startOfNothing() bool {
	if d.qtype() != dns.TypeSOA || !isNoData(d.theirs) || !d.denies(d.ours) || !d.only(d.denialParts()...) {
		return false
	}
	witness := d.ask(d.question.Question[0].Name, dns.TypePTR)
	if witness == nil {
		return false
	}
	if d.corefile.labels { // D9
		witness.Answer = slices.DeleteFunc(witness.Answer, func(rr dns.RR) bool { return !d.isShown(rr) })
	}
	if slices.Contains(d.corefile.also, d.name()) { // a PTR may be that of another directive
		witness = d.ask(d.question.Question[0].Name, dns.TypeMX)
		return witness != nil && d.denies(witness)
	}
	return d.denies(witness) || len(witness.Answer) == 0 && witness.Rcode == dns.RcodeSuccess && d.corefile.labels
}

// mixedCase is D3: CoreDNS does not know the zone's own NS and ns.dns in mixed case.
func (d *difference) mixedCase() bool {
	if d.question.Question[0].Name == d.name() {
		return false
	}
	labels, ok := d.labels()
	apex := ok && len(labels) == 0 || slices.Contains(d.corefile.reverse, d.name())
	if !(apex && d.qtype() == dns.TypeNS) && !(ok && slices.Equal(labels, []string{"ns", "dns"})) {
		return false
	}
	if d.corefile.cached { // there the cache has what was said to the other spelling
		return isNoData(d.ours) && d.denies(d.theirs) && d.only("rcode")
	}
	witness := d.ask(d.name(), d.qtype())
	return witness != nil && len(view{fold: true}.compare(witness, d.ours)) == 0
}

// deniedReverse is D4: CoreDNS denies a reverse name that has a PTR when another type is asked for.
func (d *difference) deniedReverse() bool {
	if d.qtype() == dns.TypePTR || !strings.HasSuffix(d.name(), ".arpa.") ||
		!isNoData(d.ours) || !d.denies(d.theirs) || !d.only(d.denialParts()...) {
		return false
	}
	witness := d.ask(d.question.Question[0].Name, dns.TypePTR)
	return witness != nil && witness.Authoritative && len(witness.Answer) > 0
}

// portZero is D5: CoreDNS answers SRV of a pod's name with port 0.
func (d *difference) portZero() bool {
	labels, ok := d.labels()
	if n := len(labels); !ok || d.qtype() != dns.TypeSRV || n < 3 || labels[n-1] != "pod" || d.corefile.pods == "" {
		return false
	}
	for _, rr := range d.theirs.Answer {
		if srv, ok := rr.(*dns.SRV); !ok || srv.Port != 0 {
			return false
		}
	}
	return len(d.theirs.Answer) > 0 && isNoData(d.ours) && d.only("answer", "authority", "additional", "tc")
}

// askedElsewhere is D7: CoreDNS asks what is behind it for a reverse name, or hands on what that says, before it knows
// its own. So it does to an SOA at such a name, which has no data else (D2).
func (d *difference) askedElsewhere() bool {
	return d.corefile.unsynced && strings.HasSuffix(d.name(), ".arpa.") && d.fallsThrough() &&
		d.ours.Rcode == dns.RcodeServerFailure && isNegative(d.ours) &&
		(d.isFromBehind(d.theirs) || d.qtype() == dns.TypeSOA && isNoData(d.theirs)) && d.only(behind()...)
}

// hiddenNamespaces is D9: CoreDNS names services of namespaces that namespace_labels hides to those who ask for their
// addresses.
func (d *difference) hiddenNamespaces() bool {
	if !d.corefile.labels || !strings.HasSuffix(d.name(), ".arpa.") {
		return false
	}
	shown := d.theirs.Copy()
	if shown.Truncated { // what is hidden may have left no room
		if shown = d.whole(); shown == nil {
			return false
		}
	}
	all := len(shown.Answer)
	shown.Answer = slices.DeleteFunc(shown.Answer, func(rr dns.RR) bool { return !d.isShown(rr) })
	if len(shown.Answer) == all {
		return false
	}
	if d.ours.Truncated {
		return d.view().isFull(shown, d.ours, maxReply(d.question))
	}
	if len(shown.Answer) == 0 && len(d.ours.Answer) > 0 {
		// Behind the hidden service's virtual IP, endpoints of the same address come to light.
		return len(d.theirs.Answer) == 1 && d.only("answer") && !slices.ContainsFunc(d.ours.Answer, func(rr dns.RR) bool { return !d.isShown(rr) })
	}
	if len(shown.Answer) == 0 {
		return d.ours.Rcode == dns.RcodeNameError && isNegative(d.ours) && d.only("rcode", "answer", "authority", "tc")
	}
	return len(d.view().compare(shown, d.ours)) == 0
}

func (d *difference) isShown(rr dns.RR) bool {
	ptr, ok := rr.(*dns.PTR)
	if !ok {
		return true
	}
	labels := dns.SplitDomainName(strings.TrimSuffix(ptr.Ptr, ".svc."+d.corefile.zone))
	return d.facts.shows(d.corefile, labels[len(labels)-1])
}
