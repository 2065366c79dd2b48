package directives

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// witness is an upstream whose answers show what it was asked; the first label of a name says what they are like.
func witness(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	soa := record("up. 300 IN SOA ns.up. root.up. 1 2 3 4 5")
	label, _, _ := strings.Cut(strings.ToLower(q.Name), ".")
	switch opt := r.IsEdns0(); label {
	case "nx":
		m.Rcode, m.Ns = dns.RcodeNameError, soa
	case "fail":
		m.Rcode = dns.RcodeServerFailure
	case "refused":
		m.Rcode = dns.RcodeRefused
	case "nothing":
		m.Extra = record("ns.up. 600 IN A 192.0.2.8")
	case "nodata":
		m.Ns = soa
	case "delegation":
		m.Ns, m.Extra = record(q.Name+" 60 IN NS ns.up."), record("ns.up. 600 IN A 192.0.2.8")
	case "nsid":
		m.Answer = addresses(q)
		if opt != nil {
			m.SetEdns0(1400, false).IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "7570"}}
		}
	case "many":
		for i := range 60 {
			m.Answer = append(m.Answer, record(fmt.Sprintf("%s 60 IN A 192.0.2.%d", q.Name, i+1))...)
		}
	case "old": // IPv4 only
		if m.Answer = addresses(q); q.Qtype != dns.TypeA {
			m.Answer, m.Ns = nil, soa
		}
	case "old-soaless":
		if m.Answer = addresses(q); q.Qtype != dns.TypeA {
			m.Answer = nil
		}
	case "alias":
		m.Answer = record(q.Name + " 200 IN CNAME old.up.")
		if q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, record("old.up. 30 IN A 192.0.2.77")...)
		} else {
			m.Ns = soa
		}
	case "broken": // AAAA questions only
		if m.Answer = addresses(q); q.Qtype != dns.TypeA {
			m.Answer, m.Rcode = nil, dns.RcodeServerFailure
		}
	default:
		size := 0
		if opt != nil {
			size = int(opt.UDPSize())
		}
		m.Answer = addresses(q)
		m.Ns = record("up. 60 IN NS ns.up.")
		m.Extra = append(record("ns.up. 600 IN A 192.0.2.8"),
			record(fmt.Sprintf(`asked.up. 5 IN TXT "size %d rd %v aa %v ra %v"`, size, r.RecursionDesired, r.Authoritative, r.RecursionAvailable))...)
	}
	_ = w.WriteMsg(m) // who has gone does not want it
}

func addresses(q dns.Question) []dns.RR {
	switch q.Qtype {
	case dns.TypeA:
		return append(record(q.Name+" 1000 IN A 192.0.2.1"), record(q.Name+" 10 IN A 192.0.2.2")...)
	case dns.TypeAAAA:
		return record(q.Name + " 60 IN AAAA 2001:db8::1")
	}
	return record(q.Name + ` 60 IN TXT "text"`)
}

func record(text string) []dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		panic(err) // the texts are ours
	}
	return []dns.RR{rr}
}

// blocks are server blocks on loopback.
func blocks(bodies ...string) string {
	var text strings.Builder
	for i, body := range bodies {
		fmt.Fprintf(&text, "%s {\nbind 127.0.0.1\n%s\n}\n", zone(i), strings.ReplaceAll(body, "@", zone(i)))
	}
	return text.String()
}

// below are names of a server block's zone.
func below(block int, questions ...string) (all []string) {
	for _, q := range questions {
		all = append(all, strings.Replace(q, "@", zone(block), 1))
	}
	return all
}

// RFC 6891, section 6.2.5.
func TestBufsize(t *testing.T) {
	up := serveDNS(t, witness)
	corefile := blocks("bufsize\nforward . "+up, "bufsize 600\nforward . "+up, "bufsize 4096\nforward . "+up)
	var probes []probe
	sizes := []probe{{}, {tcp: true, size: 4096}}
	for _, size := range []uint16{1, 511, 512, 513, 599, 600, 601, 1231, 1232, 1233, 4096, 65535} {
		sizes = append(sizes, probe{size: size}, probe{size: size, do: true})
	}
	for i := range 3 {
		probes = append(probes, cross(fmt.Sprint("bufsize ", i), below(i, "a.@ A", "a.@ AAAA", "nx.@ A", "many.@ A"), sizes...)...)
	}
	comparePeers(t, corefile, probes)
}

func TestBufsizeVerdicts(t *testing.T) {
	compareVerdictsOf(t, map[string]bool{
		"bufsize": true, "bufsize 512": true, "bufsize 4096": true, "bufsize 511": false, "bufsize 4097": false, "bufsize x": false, "bufsize 512 512": false, "bufsize -1": false,
	})
}

// RFC 8914. What CoreDNS says by EDNS to clients that do not know it, or did not set DO, is declared.
func TestACL(t *testing.T) {
	bodies := []struct{ body, outcome string }{
		{"acl", "pass"},
		{"acl {\nallow\n}", "pass"},
		{"acl {\nblock\n}", "deny"},
		{"acl {\nfilter type *\n}", "deny"},
		{"acl {\nblock type A net *\n}", "deny"},
		{"acl {\nblock type AAAA TXT net *\n}", "pass"},
		{"acl {\nBLOCK TYPE A NET 127.0.0.0/8\n}", "deny"},
		{"acl {\nblock net 127.0.0.1\n}", "deny"},
		{"acl {\nblock net 127.0.0.2 10.0.0.0/8\n}", "pass"},
		{"acl {\nblock net 127.9.9.9/8\n}", "deny"},
		{"acl {\nfilter net ::/0\n}", "pass"},
		{"acl {\nallow net 127.0.0.0/24\nblock\n}", "pass"},
		{"acl {\nallow net 127.0.1.0/24\nfilter\n}", "deny"},
		{"acl other.@ {\nblock\n}", "pass"},
		{"acl a.@ {\nblock\n}", "deny"},
		{"acl @ {\nallow type A\n}\nacl {\nblock\n}", "pass"},
		{"acl {\nallow net 10.0.0.0/8\n}\nacl {\nfilter\n}", "deny"},
		{"acl {\ndrop type A\n}", "drop"},
	}
	var texts []string
	var probes []probe
	for i, b := range bodies {
		texts = append(texts, b.body+"\nwhoami")
		plain, edns, do, tcp := probe{}, probe{size: 1232}, probe{size: 1232, do: true}, probe{size: 1232, tcp: true}
		switch b.outcome {
		case "deny":
			plain.differs, edns.differs, tcp.differs = "edns", "edns", "edns"
		case "drop":
			plain.silent, edns.silent, do.silent, tcp.silent = true, true, true, true
		}
		probes = append(probes, cross(b.body, below(i, "a.@ A"), plain, edns, do, tcp)...)
	}
	comparePeers(t, blocks(texts...), probes)
}

func TestACLVerdicts(t *testing.T) {
	compareVerdictsOf(t, map[string]bool{
		"acl": true, "acl a b {\n}": true, "acl {\nallow\nblock\nfilter\ndrop\n}": true, "acl {\nAllow Type A AAAA Net 10.0.0.0/8 ::1\n}": true, "acl {\nblock net * type *\n}": true,
		"acl {\nblock A\n}": false, "acl {\nblock type\n}": false, "acl {\nblock type net *\n}": false, "acl {\nblock type A net\n}": false, "acl {\nblck\n}": false,
		"acl {\nblock type ABC\n}": false, "acl {\nblock net 10.0.0/8\n}": false, "acl {\nblock net 10.0.0.0/33\n}": false, "acl {\nblock net ::1/129\n}": false, "acl {\nblock net a\n}": false,
		"acl {\nblock net 10.0.0.1 10.0.0.0/8 type A type MX net ::/0\n}": true,
	})
}

func TestMinimal(t *testing.T) {
	up := serveDNS(t, witness)
	names := []string{"a.@ A", "a.@ AAAA", "a.@ TXT", "nx.@ A", "fail.@ A", "refused.@ A", "nothing.@ A", "nodata.@ A", "delegation.@ A", "many.@ A", "alias.@ A", "alias.@ AAAA"}
	comparePeers(t, blocks("minimal\nforward . "+up, "minimal\nwhoami"),
		append(cross("forward", below(0, names...), usual()...), cross("whoami", below(1, "a.@ A", "a.@ TXT"), usual()...)...))
}

func TestHeader(t *testing.T) {
	up := serveDNS(t, witness)
	bodies := []string{
		"response set aa ra", "response set aa\nresponse clear aa", "response clear ra rd", "response set RD", "query set rd", "query clear rd", "query set aa ra",
		"query clear rd\nresponse set rd", "RESPONSE CLEAR RA AA\nQuery Set Rd", "response clear rd\nresponse set rd",
	}
	var texts []string
	var probes []probe
	for i, body := range bodies {
		texts = append(texts, "header {\n"+body+"\n}\nforward . "+up)
		probes = append(probes, cross(body, below(i, "a.@ A", "nx.@ A", "fail.@ A"), usual()...)...)
	}
	comparePeers(t, blocks(texts...), probes)
}

func TestHeaderVerdicts(t *testing.T) {
	compareVerdictsOf(t, map[string]bool{
		"header": false, "header {\n}": false, "header {\nquery set rd\n}": true, "header {\nquery set\n}": false, "header {\nquery\n}": false, "header {\nreply set ra\n}": false,
		"header {\nresponse set tc\n}": false, "header {\nresponse put ra\n}": false, "header {\nresponse SET RA aa\nquery clear rd\n}": true,
	})
}

// RFC 8482.
func TestAny(t *testing.T) {
	comparePeers(t, blocks("any\nwhoami"), cross("any", below(0, "a.@ ANY", "@ ANY", "A.b.@ ANY", "a.@ A", "a.@ HINFO"), usual()...))
}

// RFC 6761, section 6.3.
func TestLocal(t *testing.T) {
	names := []string{
		"localhost A", "LocalHost AAAA", "localhost SOA", "localhost NS", "localhost MX", "a.localhost A", "A.b.localhost AAAA", "a.localhost TXT", "a.localhost NS", "localhost.example.org A",
		"localhost.example.org MX", "localhost.localhost A", "1.0.0.127.in-addr.arpa PTR", "1.0.0.127.in-addr.arpa A", "2.0.0.127.in-addr.arpa PTR", "127.in-addr.arpa SOA", "127.in-addr.arpa NS",
		"127.in-addr.arpa A", "127.in-addr.arpa AAAA", "127.in-addr.arpa PTR", "0.in-addr.arpa NS", "255.255.255.255.in-addr.arpa PTR", "1.0.0.10.in-addr.arpa PTR", "example.org A", ". NS", "mylocalhost A",
	}
	for _, option := range []string{"", " {\nlocalhost_prefix on\n}", " {\nlocalhost_prefix off\n}"} {
		t.Run("local"+option, func(t *testing.T) {
			comparePeers(t, ". {\nbind 127.0.0.1\nlocal"+option+"\nwhoami\n}\n", cross("local"+option, names, usual()...))
		})
	}
}

func TestLocalVerdicts(t *testing.T) {
	compareVerdictsOf(t, map[string]bool{
		"local": true, "local x": false, "local {\nlocalhost_prefix on\n}": true, "local {\nlocalhost_prefix off\n}": true, "local {\nlocalhost_prefix yes\n}": false,
		"local {\nlocalhost_prefix\n}": false, "local {\nprefix on\n}": false, "any": true, "any x": false, "any {\nx\n}": false, "minimal": true, "minimal x": false,
	})
}

// RFC 5001. CoreDNS sets DO in what it adds the option to.
func TestNSID(t *testing.T) {
	up := serveDNS(t, witness)
	id := func() []dns.EDNS0 { return []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}} }
	ways := []probe{{}, {size: 1232}, {size: 1232, do: true}, {size: 1232, do: true, options: id()}, {size: 1232, do: true, tcp: true, options: id()}}
	ways = append(ways, probe{size: 1232, options: id(), differs: "edns"})
	names := []string{"a.@ A", "nx.@ A"}
	var probes []probe
	for i := range 3 {
		probes = append(probes, cross(fmt.Sprint("nsid ", i), below(i, names...), ways...)...)
	}
	probes = append(probes, cross("upstream's", below(0, "nsid.@ A"), ways[0], probe{size: 1232, options: id()}, ways[3])...)
	comparePeers(t, blocks("nsid west\nforward . "+up, "nsid\nforward . "+up, "nsid west  rack \"3 a\"\nforward . "+up), probes)
}

// RFC 4892. What the servers call themselves by default differs, and CoreDNS's default authors do not fit into 512 bytes.
func TestChaos(t *testing.T) {
	names := []string{
		"version.bind TXT", "VERSION.server TXT", "hostname.bind TXT", "id.server TXT", "authors.bind TXT", "version.bind A", "version.bind ANY", "other.bind TXT", "a.version.bind TXT",
	}
	const chaos = dns.ClassCHAOS
	ways := []probe{{class: chaos}, {class: chaos, size: 1232, do: true}, {class: chaos, tcp: true}, {}}
	for i, line := range []string{"chaos", "chaos mine", `chaos mine "b c" a a`} {
		t.Run(line, func(t *testing.T) {
			probes := cross(line, names, ways...)
			for j := range probes {
				p := &probes[j]
				author := i < 2 && strings.HasPrefix(p.question, "authors.")
				version := i == 0 && strings.HasPrefix(strings.ToLower(p.question), "version.") && strings.HasSuffix(p.question, " TXT")
				switch {
				case p.class != chaos:
				case author && !p.tcp && p.size == 0:
					p.differs = "flags answer"
				case author || version:
					p.differs = "answer"
				}
			}
			comparePeers(t, ". {\nbind 127.0.0.1\n"+line+"\nwhoami\n}\n", probes)
		})
	}
}

// RFC 6147.
func TestDNS64(t *testing.T) {
	up := serveDNS(t, witness)
	bodies := []string{"dns64", "dns64 64:1337::/96", "dns64 {\nprefix 2001:db8::/64\n}", "dns64 {\nallow_ipv4\n}", "dns64 {\ntranslate_all\nallow_ipv4\nprefix 2001:db8:1::/48\n}"}
	var text strings.Builder
	var probes []probe
	for i, body := range bodies {
		fmt.Fprintf(&text, "%s {\nbind 127.0.0.1 ::1\n%s\nforward . %s\n}\n", zone(i), body, up)
		probes = append(probes, cross(body,
			below(i, "a.@ AAAA", "a.@ A", "old.@ AAAA", "Old.@ AAAA", "old-soaless.@ AAAA", "alias.@ AAAA", "nx.@ AAAA", "fail.@ AAAA", "nodata.@ AAAA", "broken.@ AAAA", "many.@ AAAA", "old.@ TXT"),
			probe{}, probe{six: true}, probe{six: true, size: 1232}, probe{six: true, size: 4096, do: true}, probe{six: true, tcp: true}, probe{size: 1232})...)
	}
	comparePeers(t, text.String(), probes)
}

func TestDNS64Verdicts(t *testing.T) {
	compareVerdictsOf(t, map[string]bool{
		"dns64": true, "dns64 64:ff9b::/96": true, "dns64 64:ff9b::/32": true, "dns64 64:ff9b::/37": false, "dns64 10.0.0.0/32": false, "dns64 64:ff9b::": false, "dns64 64::/32 64::/40": false,
		"dns64 {\nprefix 64::/64\ntranslate_all\nallow_ipv4\n}": true, "dns64 {\nprefix\n}": false, "dns64 {\nprefix 64::/65\n}": false, "dns64 {\nprefix x\n}": false, "dns64 {\nall\n}": false,
		"cancel": true, "cancel 1s": true, "cancel 0s": false, "cancel -1s": false, "cancel 1": false, "cancel 1s 2s": false, "nsid": true, "nsid a b": true, "nsid a\nnsid b": false,
		"chaos": true, "chaos a b c": true, "chaos a {\nx\n}": false,
		"pprof 127.0.0.1:0": true, "pprof x": false, "pprof :1 :2": false, "pprof {\nblock x\n}": false, "pprof {\nmutex\n}": false, "pprof :0\npprof :0": false,
	})
}

func compareVerdictsOf(t *testing.T, bodies map[string]bool) {
	t.Helper()
	var verdicts []Verdict
	for body, accepted := range bodies {
		verdicts = append(verdicts, Verdict{Name: body, Body: body, Accepted: accepted})
	}
	CompareVerdicts(t, verdicts)
}
