package file

import "testing"

// sig is a signature that nobody checks.
const sig = " 8 2 300 20300101000000 20260101000000 1 example.org. AAAA\n"

// signed is a zone with NSEC records (RFC 4034, section 4).
const signed = `
$TTL 300
@     SOA   ns admin 1 7200 3600 1209600 60
@     RRSIG SOA` + sig + `
@     NS    ns
@     RRSIG NS` + sig + `
@     NSEC  alias SOA NS RRSIG NSEC
@     RRSIG NSEC` + sig + `
alias CNAME www
alias RRSIG CNAME` + sig + `
alias NSEC  b CNAME RRSIG NSEC
alias RRSIG NSEC` + sig + `
b     TXT   "b"
b     RRSIG TXT` + sig + `
b     NSEC  a.ent TXT RRSIG NSEC
b     RRSIG NSEC` + sig + `
a.ent A     192.0.2.9
a.ent RRSIG A` + sig + `
a.ent NSEC  insecure A RRSIG NSEC
a.ent RRSIG NSEC` + sig + `
insecure NS ns.insecure
insecure NSEC ns NS RRSIG NSEC
insecure RRSIG NSEC` + sig + `
ns.insecure A 192.0.2.53
ns    A     192.0.2.1
ns    RRSIG A` + sig + `
ns    NSEC  secure A RRSIG NSEC
ns    RRSIG NSEC` + sig + `
secure NS   ns.example.net.
secure DS   1 8 2 00000000000000000000000000000000000000000000000000000000000000AA
secure RRSIG DS` + sig + `
secure NSEC *.wild NS DS RRSIG NSEC
secure RRSIG NSEC` + sig + `
*.wild A    192.0.2.5
*.wild RRSIG A` + sig + `
*.wild NSEC www A RRSIG NSEC
*.wild RRSIG NSEC` + sig + `
www   A     192.0.2.3
www   RRSIG A` + sig + `
www   NSEC  @ A RRSIG NSEC
www   RRSIG NSEC` + sig

// RFC 4035, section 3.1.
func TestDNSSEC(t *testing.T) {
	t.Parallel()
	soa := []string{"- SOA", "- example.org. RRSIG SOA"}
	ns := []string{"- NS", "- example.org. RRSIG NS"}
	nsec := func(owner, next string) []string {
		return []string{"- " + owner + "example.org. NSEC " + next + "example.org.", "- " + owner + "example.org. RRSIG NSEC"}
	}
	lines := func(first string, rest ...[]string) []string {
		all := []string{first}
		for _, r := range rest {
			all = append(all, r...)
		}
		return all
	}
	www := []string{"www.example.org. 300 A 192.0.2.3", "www.example.org. RRSIG A"}
	b := newBed(t, "file db", map[string]string{"db": signed})
	b.check(t, nil, []row{
		{"an answer (section 3.1.1)", "www.example.org. A DO", lines("NOERROR", www, ns)},
		{"nobody wants signatures (section 3.1)", "www.example.org. A", []string{"NOERROR", "www.example.org. 300 A 192.0.2.3", "- NS"}},
		{"the SOA", "example.org. SOA DO", lines("NOERROR", []string{"SOA", "example.org. RRSIG SOA"}, ns)},
		{
			"the name servers, with addresses", "example.org. NS DO",
			lines("NOERROR", []string{"example.org. 300 NS ns.example.org.", "example.org. RRSIG NS", "+ ns.example.org. 300 A 192.0.2.1", "+ ns.example.org. RRSIG A"}),
		},
		{"an alias", "alias.example.org. A DO", lines("NOERROR", []string{"alias.example.org. 300 CNAME www.example.org.", "alias.example.org. RRSIG CNAME"}, www, ns)},
		{"NSEC beside an alias (RFC 4034, section 4)", "alias.example.org. NSEC", []string{"NOERROR", "alias.example.org. NSEC b.example.org.", "- NS"}},
		{"signatures themselves", "b.example.org. RRSIG", []string{"NOERROR", "b.example.org. RRSIG TXT", "b.example.org. RRSIG NSEC", "- NS"}},
		{"NODATA (section 3.1.3.1)", "www.example.org. AAAA DO", lines("NOERROR", soa, nsec("www.", ""))},
		{"an empty non-terminal", "ent.example.org. A DO", lines("NOERROR", soa, nsec("b.", "a.ent."))},
		{"NXDOMAIN, one record proves all (section 3.1.3.2)", "aa.example.org. A DO", lines("NXDOMAIN", soa, nsec("", "alias."))},
		{"NXDOMAIN, the wildcard's own proof", "nt.example.org. A DO", lines("NXDOMAIN", soa, nsec("ns.", "secure."), nsec("", "alias."))},
		{"NXDOMAIN in front of the last name", "zzz.example.org. A DO", lines("NXDOMAIN", soa, nsec("www.", ""), nsec("", "alias."))},
		{
			"a wildcard's answer (section 3.1.3.3)", "x.wild.example.org. A DO",
			lines("NOERROR", []string{"x.wild.example.org. 300 A 192.0.2.5", "x.wild.example.org. RRSIG A"}, ns, nsec("*.wild.", "www.")),
		},
		{"a wildcard without the type (section 3.1.3.4)", "x.wild.example.org. AAAA DO", lines("NOERROR", soa, nsec("*.wild.", "www."))},
		{
			"a signed zone below (section 3.1.4)", "a.secure.example.org. A DO",
			[]string{"NOERROR no AA", "- secure.example.org. 300 NS ns.example.net.", "- secure.example.org. 300 DS 1 8 2 00000000000000000000000000000000000000000000000000000000000000AA", "- secure.example.org. RRSIG DS"},
		},
		{
			"an unsigned zone below (section 3.1.4.1)", "a.insecure.example.org. A DO",
			lines("NOERROR no AA", []string{"- insecure.example.org. 300 NS ns.insecure.example.org."}, nsec("insecure.", "ns."), []string{"+ ns.insecure.example.org. 300 A 192.0.2.53"}),
		},
		{"DS of an unsigned zone", "insecure.example.org. DS DO", lines("NOERROR", soa, nsec("insecure.", "ns."))},
	})
}
