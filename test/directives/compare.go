package directives

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Differences names the parts of a message in which two replies differ, in their order in a message, each with both values.
// IDs, the order of records within a section and the case of names in records do not count: Nameplane's owners are the
// question's name in the client's spelling, CoreDNS's often in lower case.
func Differences(theirs, ours *dns.Msg) (parts []string) {
	a, b := describe(theirs), describe(ours)
	for i := range a {
		if a[i].text != b[i].text {
			parts = append(parts, fmt.Sprintf("%s: CoreDNS %q, Nameplane %q", a[i].name, a[i].text, b[i].text))
		}
	}
	return parts
}

// part is one thing that a message says.
type part struct{ name, text string }

func describe(m *dns.Msg) []part {
	if m == nil {
		m = new(dns.Msg)
		m.Rcode = -1 // no reply at all
	}
	var flags []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"qr", m.Response}, {"aa", m.Authoritative}, {"tc", m.Truncated}, {"rd", m.RecursionDesired}, {"ra", m.RecursionAvailable},
		{"z", m.Zero}, {"ad", m.AuthenticatedData}, {"cd", m.CheckingDisabled}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	var questions []string
	for _, q := range m.Question {
		questions = append(questions, fmt.Sprintf("%s %d %d", q.Name, q.Qclass, q.Qtype))
	}
	return []part{
		{"rcode", fmt.Sprint(m.Rcode)},
		{"flags", strings.Join(flags, " ")},
		{"question", strings.Join(questions, ", ")},
		{"answer", records(m.Answer)},
		{"authority", records(m.Ns)},
		{"additional", records(m.Extra)},
		{"edns", options(m)},
	}
}

// records are the records of a section in the order of their texts.
func records(section []dns.RR) string {
	var lines []string
	for _, rr := range section {
		rr = dns.Copy(rr)
		if srv, ok := rr.(*dns.SRV); ok && srv.Target == "." {
			srv.Port = 0 // whoami's: the one that the question came from
		}
		if rr.Header().Rrtype != dns.TypeOPT {
			lines = append(lines, strings.ToLower(strings.Join(strings.Fields(rr.String()), " ")))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func options(m *dns.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return "none"
	}
	text := fmt.Sprintf("size %d ttl %08x", opt.UDPSize(), opt.Hdr.Ttl)
	for _, o := range opt.Option {
		text += fmt.Sprintf(" %d=%s", o.Option(), o)
	}
	return text
}
