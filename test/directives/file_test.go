package directives

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// zoneFile is a zone with everything that an answer hangs on; names below "signed" have signatures that nobody checks.
const zoneFile = `
$TTL 300
@        SOA   ns.example.org. admin 1 7200 3600 1209600 60
@        NS    ns
@        NS    ns.example.net.
@        MX    10 mail
@        MX    20 mail
ns       A     192.0.2.1
ns       AAAA  2001:db8::1
mail     A     192.0.2.2
WWW      A     192.0.2.3
www      A     192.0.2.4
_sip._udp SRV  0 0 5060 www
_sip._udp SRV  0 0 5060 sip.example.net.
svc      HTTPS 1 www alpn=h2
alias    CNAME www
double   CNAME alias
half     CNAME mail
gone     CNAME nowhere
away     CNAME www.example.net.
lost     CNAME missing.example.net.
void     CNAME empty.example.net.
sick     CNAME broken.example.net.
self     CNAME self
ring     CNAME ring2
ring2    CNAME ring
into     CNAME host.sub
a.ent    TXT   "below"
*.wild   A     192.0.2.5
*.wild   TXT   "any"
*.wild   MX    5 mail
one.wild A     192.0.2.6
x.deep.wild A  192.0.2.7
*.walias CNAME www
to.wild  CNAME other.wild
a.*.went TXT   "under a wildcard that has no records"
sub      NS    ns.sub
sub      NS    ns.example.net.
ns.sub   A     192.0.2.53
sub      DS    1 8 2 00000000000000000000000000000000000000000000000000000000000000AA
host.sub A     192.0.2.54
old      DNAME new
host.new A     192.0.2.8
alias.new CNAME www
out      DNAME example.net.
selfd    DNAME selfd
name\.with\032odd TXT "escapes"
`

const signature = " 8 2 300 20300101000000 20260101000000 1 signed.org. AAAA\n"

// signedFile is a zone with NSEC records (RFC 4034, section 4).
const signedFile = `
$TTL 300
@     SOA   ns admin 1 7200 3600 1209600 60
@     RRSIG SOA` + signature + `
@     NS    ns
@     RRSIG NS` + signature + `
@     NSEC  alias SOA NS RRSIG NSEC
@     RRSIG NSEC` + signature + `
alias CNAME www
alias RRSIG CNAME` + signature + `
alias NSEC  b CNAME RRSIG NSEC
alias RRSIG NSEC` + signature + `
b     TXT   "b"
b     RRSIG TXT` + signature + `
b     NSEC  a.ent TXT RRSIG NSEC
b     RRSIG NSEC` + signature + `
a.ent A     192.0.2.9
a.ent RRSIG A` + signature + `
a.ent NSEC  insecure A RRSIG NSEC
a.ent RRSIG NSEC` + signature + `
insecure NS ns.example.net.
insecure NSEC ns NS RRSIG NSEC
insecure RRSIG NSEC` + signature + `
ns    A     192.0.2.1
ns    RRSIG A` + signature + `
ns    NSEC  secure A RRSIG NSEC
ns    RRSIG NSEC` + signature + `
secure NS   ns.example.net.
secure DS   1 8 2 00000000000000000000000000000000000000000000000000000000000000AA
secure RRSIG DS` + signature + `
secure NSEC *.wild NS DS RRSIG NSEC
secure RRSIG NSEC` + signature + `
*.wild A    192.0.2.5
*.wild RRSIG A` + signature + `
*.wild NSEC www A RRSIG NSEC
*.wild RRSIG NSEC` + signature + `
www   A     192.0.2.3
www   RRSIG A` + signature + `
www   NSEC  @ A RRSIG NSEC
www   RRSIG NSEC` + signature

// writeZones writes the zone files, and returns their folder.
func writeZones(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": zoneFile, "signed": signedFile, "bare": "@ 60 SOA ns admin 1 1 1 1 1\n@ NS ns\na A 192.0.2.1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// farAway answers for names in other zones.
func farAway(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	q := r.Question[0]
	first, _, _ := strings.Cut(strings.ToLower(q.Name), ".")
	switch {
	case first == "missing":
		m.Rcode, m.Ns = dns.RcodeNameError, record("example.net. 60 IN SOA a. b. 1 2 3 4 5")
	case first == "broken":
		m.Rcode = dns.RcodeServerFailure
	case first == "empty" || q.Qtype != dns.TypeA:
		m.Ns = record("example.net. 60 IN SOA a. b. 1 2 3 4 5")
	default:
		m.Answer = record(q.Name + " 60 IN A 198.51.100.1")
	}
	_ = w.WriteMsg(m) // who has gone does not want it
}

func TestFile(t *testing.T) {
	peer.E2E(t)
	dir, up := writeZones(t), serveDNS(t, farAway)
	corefile := fmt.Sprintf(`
example.org other.org {
	bind 127.0.0.1
	file %[1]s/plain example.org
	file %[1]s/bare other.org {
		fallthrough sub.other.org
	}
	template ANY ANY sub.other.org {
		rcode NOTAUTH
	}
	whoami
}
signed.org {
	bind 127.0.0.1
	file %[1]s/signed
}
late.org {
	bind 127.0.0.1
	file %[1]s/late {
		reload 1h
	}
}
. {
	bind 127.0.0.1
	forward . %[2]s
}`, dir, up)
	comparePeers(t, corefile, fileProbes())
}

func fileProbes() (probes []probe) {
	names := strings.Fields(`@ ns mail www WwW _udp _sip._udp svc ent a.ent b.ent wild two.wild a.b.c.wild one.wild a.one.wild deep.wild a.deep.wild
		*.wild walias any.walias went b.went *.went a.x.went sub ns.sub host.sub a.b.sub old host.old alias.old x.old new out www.out missing.out selfd a.selfd
		nowhere a.nowhere a.www name\.with\032odd alias double half gone away lost void sick self ring into to.wild`)
	types := strings.Fields("A AAAA MX TXT NS SOA CNAME SRV DS DNAME HTTPS ANY RRSIG")
	for _, name := range names {
		owner := strings.TrimPrefix(name+".example.org", "@.")
		for _, qtype := range types {
			for _, p := range []probe{{}, {size: 4096, do: true}, {size: 1232, tcp: true}} {
				p.name, p.question = "plain", owner+" "+qtype
				// An alias that ends at a name without the type: RFC 2308, section 2.2.
				p.differs, p.when = "authority", aliasWithoutEnd(qtype)
				probes = append(probes, declarePlain(p, name, qtype))
			}
		}
	}
	for _, name := range strings.Fields("@ alias b ent a.ent insecure a.insecure secure a.secure ns www aa nt zzz wild x.wild *.wild a.www") {
		owner := strings.TrimPrefix(name+".signed.org", "@.")
		for _, qtype := range strings.Fields("A AAAA TXT NS SOA CNAME DS NSEC RRSIG") {
			for _, p := range []probe{{}, {size: 4096, do: true}} {
				p.name, p.question = "signed", owner+" "+qtype
				probes = append(probes, declareSigned(p, name, qtype))
			}
		}
	}
	questions := []string{"other.org A", "a.other.org A", "x.other.org A", "x.sub.other.org A", "sub.other.org A", "late.org A", "late.org SOA", "x.late.org A", "example.org AXFR", "signed.org IXFR"}
	return append(probes, cross("others", questions, usual()...)...)
}

// declarePlain marks aliases in a circle, and the empty non-terminal beside a wildcard (RFC 4592, section 2.2.2).
func declarePlain(p probe, name, qtype string) probe {
	switch {
	case strings.HasPrefix(name, "ring") && qtype != "CNAME", name == "self" && qtype == "NS":
		p.differs, p.when = "rcode flags answer authority", nil
		if qtype == "NS" {
			p.differs = "flags answer authority"
		}
	case name == "deep.wild" && qtype == "MX":
		p.differs, p.when = "answer authority additional", nil
	case name == "deep.wild" && (qtype == "A" || qtype == "TXT"):
		p.differs, p.when = "answer authority", nil
	}
	return p
}

// aliasWithoutEnd tells whether a reply has aliases, and nothing of the type.
func aliasWithoutEnd(qtype string) func(*dns.Msg) bool {
	return func(theirs *dns.Msg) bool {
		if theirs.Rcode != dns.RcodeSuccess || len(theirs.Answer) == 0 || len(theirs.Ns) == 0 || theirs.Ns[0].Header().Rrtype != dns.TypeNS ||
			theirs.Ns[0].Header().Name != "example.org." && theirs.Ns[0].Header().Name != "signed.org." {
			return false
		}
		for _, rr := range theirs.Answer {
			switch rr.Header().Rrtype {
			case dns.TypeCNAME, dns.TypeDNAME:
			case dns.TypeRRSIG:
				if qtype == "RRSIG" {
					return false
				}
			default:
				return false
			}
		}
		last := theirs.Answer[len(theirs.Answer)-1]
		return qtype != "CNAME" && dns.StringToType[qtype] != last.Header().Rrtype
	}
}

// declareSigned marks what RFC 4035 has and CoreDNS has not.
func declareSigned(p probe, name, qtype string) probe {
	p.differs, p.when = "authority", aliasWithoutEnd(qtype)
	switch {
	case name == "alias" && (qtype == "NSEC" || qtype == "RRSIG"), name == "@" && qtype == "RRSIG":
		p.differs, p.when = "answer", nil
	case p.do && name == "alias" && qtype == "NS":
		p.when = nil
	case p.do && strings.HasSuffix(name, "insecure") && !(name == "insecure" && qtype == "DS"):
		p.when = nil
	}
	return p
}

// TestFileTransfer compares whole zones, and who may have them.
func TestFileTransfer(t *testing.T) {
	peer.E2E(t)
	dir := writeZones(t)
	corefile := fmt.Sprintf(`
example.org {
	bind 127.0.0.1
	file %[1]s/plain
	transfer {
		to *
	}
}
signed.org {
	bind 127.0.0.1
	file %[1]s/signed
	transfer signed.org {
		to 127.0.0.1 192.0.2.1:5353
	}
}
other.org {
	bind 127.0.0.1
	file %[1]s/bare
	transfer {
		to 192.0.2.1
	}
}
. {
	bind 127.0.0.1
	whoami
}`, dir)
	theirs, ours := peer.StartCoreDNS(t, corefile), peer.StartNameplane(t, corefile)
	for _, zone := range []string{"example.org.", "signed.org."} {
		for _, m := range []*dns.Msg{new(dns.Msg).SetAxfr(zone), new(dns.Msg).SetIxfr(zone, 0, "ns.", "a."), new(dns.Msg).SetIxfr(zone, 1, "ns.", "a.")} {
			a, b := transferred(t, theirs, m), transferred(t, ours, m)
			if a[0] != b[0] || a[len(a)-1] != b[len(b)-1] {
				t.Errorf("%s: transfers begin with %s and %s, end with %s and %s", zone, a[0], b[0], a[len(a)-1], b[len(b)-1])
			}
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				t.Errorf("%s: CoreDNS sends\n%s\nNameplane\n%s", m.Question[0].String(), strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
		}
	}
	probes := cross("transfers", []string{"other.org AXFR", "example.org AXFR", "example.org IXFR", "a.example.org AXFR", "other.net AXFR"}, probe{}, probe{size: 1232})
	probes = append(probes, cross("transfers", []string{"other.org AXFR", "other.org IXFR", "other.net AXFR", "signed.org IXFR", "www.example.org A"}, probe{tcp: true})...)
	compareProbes(t, theirs, ours, probes)
}

// transferred is the records of a transfer, in their order.
func transferred(t *testing.T, server string, m *dns.Msg) (lines []string) {
	t.Helper()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	in, err := (&dns.Transfer{Conn: &dns.Conn{Conn: conn}}).In(m, server)
	if err != nil {
		t.Fatal(err)
	}
	for envelope := range in {
		if envelope.Error != nil {
			t.Fatalf("%s from %s: %v", m.Question[0].String(), server, envelope.Error)
		}
		for _, rr := range envelope.RR {
			lines = append(lines, strings.ToLower(rr.String()))
		}
	}
	return lines
}
