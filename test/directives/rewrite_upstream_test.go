package directives

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// serveEcho is the upstream of both servers: what it is asked is part of its answers. Labels of the name say what else they
// are like.
func serveEcho(t *testing.T) string {
	t.Helper()
	return serveDNS(t, echo)
}

func echo(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	has := func(label string) bool { return strings.Contains("."+strings.ToLower(q.Name), "."+label+".") }
	switch {
	case has("nx"):
		m.Rcode = dns.RcodeNameError
		m.Ns = lines("up. 300 IN SOA ns.up. root.up. 1 2 3 4 5")
	case has("fail"):
		m.Rcode = dns.RcodeServerFailure
	case has("refused"):
		m.Rcode = dns.RcodeRefused
	case has("none"):
	case has("chain"):
		m.Answer = lines(q.Name+" 200 IN CNAME first.cdn.up.", "first.cdn.up. 250 IN CNAME second.cdn.up.", "second.cdn.up. 300 IN A 192.0.2.9")
	default:
		m.Answer = typed(q)
		m.Ns = lines(q.Name + " 500 IN NS ns." + q.Name)
		m.Extra = lines("ns."+q.Name+" 600 IN A 192.0.2.8", q.Name+` 5 IN TXT "`+fmt.Sprint(q.Name, " ", q.Qclass, " ", q.Qtype, " ", options(r))+`"`)
	}
	if opt := r.IsEdns0(); opt != nil && !has("noedns") {
		m.SetEdns0(1400, opt.Do())
		if has("options") {
			m.IsEdns0().Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: 0xffaa, Data: []byte("upstream")})
		}
	}
	_ = w.WriteMsg(m) // who has gone does not want it
}

// typed is an answer whose data holds names below the name asked for.
func typed(q dns.Question) []dns.RR {
	data := map[uint16][]string{
		dns.TypeA: {"60 IN A 192.0.2.1", "10 IN A 192.0.2.2"}, dns.TypeAAAA: {"60 IN AAAA 2001:db8::1"},
		dns.TypeMX: {"60 IN MX 10 mx." + q.Name}, dns.TypeSRV: {"60 IN SRV 1 2 3 srv." + q.Name}, dns.TypePTR: {"60 IN PTR ptr." + q.Name},
		dns.TypeNS: {"60 IN NS ns." + q.Name}, dns.TypeSOA: {"60 IN SOA ns." + q.Name + " root." + q.Name + " 1 2 3 4 5"},
		dns.TypeDNAME: {"60 IN DNAME d." + q.Name}, dns.TypeNAPTR: {`60 IN NAPTR 1 1 "" "" "" n.` + q.Name}, dns.TypeTXT: {`60 IN TXT "` + q.Name + `"`},
		dns.TypeHINFO: {`60 IN HINFO "a" "b"`}, dns.TypeCNAME: {"60 IN CNAME c." + q.Name},
	}[q.Qtype]
	var records []dns.RR
	for _, text := range data {
		records = append(records, lines(q.Name+" "+text)...)
	}
	return records
}

func lines(texts ...string) (records []dns.RR) {
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err) // the texts are ours
		}
		records = append(records, rr)
	}
	return records
}
