package world

import (
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

// Question is one message to send to a server, and how.
type Question struct {
	Msg   *dns.Msg
	Proto string // "udp" or "tcp"
	Why   string // what the name is in this world: "headless service", "reverse name too short" …
}

// types lists what is asked for at every name.
var types = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeCNAME, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeMX,
	dns.TypeANY, dns.TypeHTTPS, dns.TypeCAA, dns.TypeDS, 65280,
}

// likely lists what clients ask for at most names.
var likely = []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeSRV}

// ordinary lists the reasons behind most of what a cluster's clients ask.
var ordinary = []string{
	"ClusterIP service", "headless service", "ExternalName service", "port", "endpoint by hostname", "endpoint by address", "pod",
	"reverse of a ClusterIP", "reverse of an endpoint", "outside name", "dns-version", "apex",
}

// Questions makes n questions, the same ones for the same seed and n. Every second one goes through all pairs of a name
// and a type in random order, each once as far as n allows; between them are ordinary questions, and some of every
// other kind, so that neither the common names crowd out the rare nor the wrong ones the right.
func (w *World) Questions(n int) []Question {
	r := rand.New(rand.NewPCG(w.seed, 2))
	names := w.subjects()
	reasons, byReason := group(names)
	pairs := r.Perm(len(names) * len(types))
	questions := make([]Question, 0, n)
	for i := range n {
		if i%2 == 0 {
			pair := pairs[i/2%len(pairs)]
			questions = append(questions, ask(r, names[pair/len(types)], types[pair%len(types)]))
			continue
		}
		reason := pick(r, ordinary)
		if r.IntN(3) == 0 {
			reason = pick(r, reasons)
		}
		s := pick(r, byReason[reason])
		questions = append(questions, ask(r, s, s.likely(r)))
	}
	return questions
}

// likely draws a type that clients ask for at such a name.
func (s subject) likely(r *rand.Rand) uint16 {
	switch {
	case r.IntN(4) == 0:
		return pick(r, types)
	case strings.HasSuffix(s.name, ".arpa."):
		return dns.TypePTR
	case strings.HasPrefix(s.name, "dns-version."):
		return dns.TypeTXT
	default:
		return pick(r, likely)
	}
}

// group sorts names by what they are, and lists the reasons in the order in which they come up first.
func group(names []subject) (reasons []string, byReason map[string][]subject) {
	byReason = map[string][]subject{}
	for _, s := range names {
		if byReason[s.why] == nil {
			reasons = append(reasons, s.why)
		}
		byReason[s.why] = append(byReason[s.why], s)
	}
	return reasons, byReason
}

// ask dresses a question up as one of many clients would.
func ask(r *rand.Rand, s subject, qtype uint16) Question {
	m := new(dns.Msg)
	m.Id = uint16(r.Uint32())
	m.Question = []dns.Question{{Name: s.name, Qtype: qtype, Qclass: dns.ClassINET}}
	q := Question{Msg: m, Proto: "udp", Why: s.why}
	if r.IntN(5) == 0 {
		q.Proto = "tcp"
	}
	if r.IntN(4) == 0 {
		m.Question[0].Name = shuffleCase(r, s.name)
	}
	m.RecursionDesired = r.IntN(8) != 0
	m.CheckingDisabled = r.IntN(10) == 0
	m.AuthenticatedData = r.IntN(10) == 0
	switch r.IntN(200) {
	case 0:
		m.Question[0].Qclass = pick(r, []uint16{dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassNONE, dns.ClassANY})
	case 1:
		m.Opcode = pick(r, []int{dns.OpcodeIQuery, dns.OpcodeStatus, dns.OpcodeNotify, dns.OpcodeUpdate})
	case 2:
		m.Authoritative, m.RecursionAvailable, m.Zero = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
	}
	if r.IntN(100) < 45 {
		m.Extra = []dns.RR{edns(r, q.Proto)}
	}
	return q
}

// edns makes an OPT record (RFC 6891) with the sizes and options that resolvers send.
func edns(r *rand.Rand, proto string) *dns.OPT {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(pick(r, []uint16{512, 1232, 1232, 4096, 4096, 0, 100, 1400, 65535}))
	opt.SetDo(r.IntN(3) == 0)
	if r.IntN(50) == 0 {
		opt.SetVersion(1)
	}
	options := []dns.EDNS0{
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: pick(r, []string{"24a5ac1223344556", "24a5ac12233445560102030405060708"})},
		&dns.EDNS0_PADDING{Padding: make([]byte, r.IntN(64))},
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}},
		&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("nameplane")},
	}
	if proto == "tcp" {
		options = append(options, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})
	}
	for _, o := range options {
		if r.IntN(5) == 0 {
			opt.Option = append(opt.Option, o)
		}
	}
	return opt
}

// shuffleCase spells a name as clients do that hide random bits in it (draft-vixie-dnsext-dns0x20).
func shuffleCase(r *rand.Rand, name string) string {
	b := []byte(name)
	for i, c := range b {
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; letter && r.IntN(2) == 0 {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}
