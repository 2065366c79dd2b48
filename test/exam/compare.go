package exam

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// view is how closely two replies are compared.
type view struct {
	// ttls leaves TTLs out, and the case of names: a cache makes them depend on who asked what before.
	ttls bool
	// fold leaves the case of names out.
	fold bool
}

// compare returns the names of all parts in which two replies differ, in the order in which they stand in a message.
func (v view) compare(theirs, ours *dns.Msg) []string {
	var parts []string
	differ := func(part string, same bool) {
		if !same {
			parts = append(parts, part)
		}
	}
	a, b := theirs.MsgHdr, ours.MsgHdr
	differ("id", a.Id == b.Id)
	differ("qr", a.Response == b.Response)
	differ("opcode", a.Opcode == b.Opcode)
	differ("aa", a.Authoritative == b.Authoritative)
	differ("tc", a.Truncated == b.Truncated)
	differ("rd", a.RecursionDesired == b.RecursionDesired)
	differ("ra", a.RecursionAvailable == b.RecursionAvailable)
	differ("z", a.Zero == b.Zero)
	differ("ad", a.AuthenticatedData == b.AuthenticatedData)
	differ("cd", a.CheckingDisabled == b.CheckingDisabled)
	differ("rcode", a.Rcode == b.Rcode)
	differ("question", v.question(theirs) == v.question(ours))
	full := !a.Truncated || !b.Truncated
	differ("answer", v.sameRecords(theirs.Answer, ours.Answer, full))
	differ("authority", v.sameRecords(theirs.Ns, ours.Ns, full))
	differ("additional", v.sameRecords(withoutOPT(theirs.Extra), withoutOPT(ours.Extra), full))
	differ("edns", slices.Equal(options(theirs), options(ours)))
	return parts
}

func (v view) question(m *dns.Msg) string {
	var b strings.Builder
	for _, q := range m.Question {
		fmt.Fprintf(&b, "%s %d %d;", v.name(q.Name), q.Qclass, q.Qtype)
	}
	return b.String()
}

func (v view) name(s string) string {
	if v.fold || v.ttls {
		return strings.ToLower(s)
	}
	return s
}

// sameRecords compares sections as multisets. What is left of truncated ones depends on the order of records, which is
// random on both sides: of those only the number counts.
func (v view) sameRecords(theirs, ours []dns.RR, full bool) bool {
	if !full {
		return len(theirs) == len(ours)
	}
	return slices.Equal(v.records(theirs), v.records(ours))
}

// records lists the records of a section as text, sorted.
func (v view) records(section []dns.RR) []string {
	list := make([]string, len(section))
	for i, rr := range section {
		list[i] = v.record(rr)
	}
	slices.Sort(list)
	return list
}

// record is a record as text. The serial of an SOA is left out: it is the second of the last change that a server heard
// of, and two servers hear of a change in different seconds. So
// is the port in what whoami answers: the one that the question came from.
func (v view) record(rr dns.RR) string {
	rr = dns.Copy(rr)
	if soa, ok := rr.(*dns.SOA); ok {
		soa.Serial = 0
	}
	if srv, ok := rr.(*dns.SRV); ok && srv.Target == "." {
		srv.Port = 0
	}
	if v.ttls {
		rr.Header().Ttl = 0
	}
	return v.name(rr.String())
}

func withoutOPT(section []dns.RR) []dns.RR {
	var list []dns.RR
	for _, rr := range section {
		if rr.Header().Rrtype != dns.TypeOPT {
			list = append(list, rr)
		}
	}
	return list
}

// options lists every OPT record of a reply: size, flags, version, extended rcode, and options as they were written.
func options(m *dns.Msg) []string {
	var list []string
	for _, rr := range m.Extra {
		if opt, ok := rr.(*dns.OPT); ok {
			text := fmt.Sprintf("owner %s size %d ttl %08x", opt.Hdr.Name, opt.Hdr.Class, opt.Hdr.Ttl)
			for _, o := range opt.Option {
				text += fmt.Sprintf(" %d=%s", o.Option(), o)
			}
			list = append(list, text)
		}
	}
	return list
}
