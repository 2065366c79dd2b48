package exam

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/world"
)

// structural are questions for the names that every zone has, for each type, in lower and in mixed case: random ones
// meet these too seldom.
func structural(zone string) []world.Question {
	names := []string{zone, "in-addr.arpa.", "ip6.arpa.", "10.in-addr.arpa.", "d.f.ip6.arpa."}
	for _, left := range []string{"ns.dns", "dns", "dns-version", "svc", "pod", "default.svc", "default.pod", "no-such.svc", "no-such.pod", "x"} {
		names = append(names, left+"."+zone)
	}
	types := []uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeCNAME, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeMX,
		dns.TypeANY, dns.TypeHTTPS, dns.TypeDS, dns.TypeAXFR, dns.TypeIXFR, 65280,
	}
	var questions []world.Question
	for i, name := range names {
		for j, qtype := range types {
			mixed := strings.ToUpper(name[:1+len(name)/2]) + name[1+len(name)/2:]
			for _, spelled := range []string{name, mixed} {
				m := new(dns.Msg).SetQuestion(spelled, qtype)
				m.Id = uint16(i<<8 | j)
				questions = append(questions, world.Question{Msg: m, Proto: "udp", Why: "name of every zone"})
			}
		}
	}
	return questions
}

// asWell are questions for names of a Corefile's own, in both spellings and ways.
func asWell(names []string) []world.Question {
	var questions []world.Question
	for i, name := range names {
		for j, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypePTR, dns.TypeTXT, dns.TypeMX, dns.TypeANY, dns.TypeSOA} {
			for k, spelled := range []string{name, strings.ToUpper(name)} {
				m := new(dns.Msg).SetQuestion(spelled, qtype)
				m.Id = uint16(i<<8 | j<<1 | k)
				q := world.Question{Msg: m, Proto: "udp", Why: "name of the Corefile"}
				if k == 1 {
					q.Proto = "tcp"
					m.SetEdns0(1232, true)
				}
				questions = append(questions, q)
			}
		}
	}
	return questions
}
