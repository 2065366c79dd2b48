package file

import (
	"testing"

	"github.com/miekg/dns"
)

// plain is a zone with everything that an answer hangs on.
const plain = `
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
www      A     192.0.2.4
_sip._udp SRV  0 0 5060 www
_sip._udp SRV  0 0 5060 sip.example.net.
svc      HTTPS 1 www alpn=h2
alias    CNAME www
double   CNAME alias
half     CNAME mail
gone     CNAME nowhere
away     CNAME www.example.net.
lost     CNAME lost.example.net.
void     CNAME void.example.net.
sick     CNAME sick.example.net.
full     CNAME overload.example.net.
unknown  CNAME unknown.example.net.
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
grow     DNAME a.grow
name\.with\032odd TXT "escapes"
`

// The sections of RFC 1034, section 4.3.2, one after the other.
func TestAnswers(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db", map[string]string{"db": plain})
	b.check(t, nil, []row{
		{"an address, its owner in any case", "www.EXAMPLE.org. A", []string{"NOERROR", "www.example.org. 300 A 192.0.2.3", "www.example.org. 300 A 192.0.2.4", "- NS", "- NS"}},
		{"NODATA (RFC 2308, section 2.2)", "www.example.org. AAAA", []string{"NOERROR", "- SOA"}},
		{"NXDOMAIN (RFC 2308, section 2.1)", "nowhere.example.org. A", []string{"NXDOMAIN", "- SOA"}},
		{"below a name", "a.www.example.org. A", []string{"NXDOMAIN", "- SOA"}},
		{"the SOA", "example.org. SOA", []string{"NOERROR", "SOA", "- NS", "- NS"}},
		{"the SOA of another name", "www.example.org. SOA", []string{"NOERROR", "- SOA"}},
		{
			"the name servers", "example.org. NS",
			[]string{"NOERROR", "example.org. 300 NS ns.example.org.", "example.org. 300 NS ns.example.net.", "+ ns.example.org. 300 A 192.0.2.1", "+ ns.example.org. 300 AAAA 2001:db8::1"},
		},
		{"the zone without addresses", "example.org. A", []string{"NOERROR", "- SOA"}},
		{
			"MX, the address once (RFC 1035, section 3.3.9)", "example.org. MX",
			[]string{"NOERROR", "example.org. 300 MX 10 mail.example.org.", "example.org. 300 MX 20 mail.example.org.", "- NS", "- NS", "+ mail.example.org. 300 A 192.0.2.2"},
		},
		{
			"SRV, of this zone only (RFC 2782)", "_sip._udp.example.org. SRV",
			[]string{
				"NOERROR", "_sip._udp.example.org. 300 SRV 0 0 5060 www.example.org.", "_sip._udp.example.org. 300 SRV 0 0 5060 sip.example.net.", "- NS", "- NS",
				"+ www.example.org. 300 A 192.0.2.3", "+ www.example.org. 300 A 192.0.2.4",
			},
		},
		{
			"HTTPS (RFC 9460)", "svc.example.org. HTTPS",
			[]string{
				"NOERROR", `svc.example.org. 300 HTTPS 1 www.example.org. alpn="h2"`, "- NS", "- NS",
				"+ www.example.org. 300 A 192.0.2.3", "+ www.example.org. 300 A 192.0.2.4",
			},
		},
		{"an empty non-terminal (RFC 8020)", "ent.example.org. A", []string{"NOERROR", "- SOA"}},
		{"an empty non-terminal of underscores", "_udp.example.org. SRV", []string{"NOERROR", "- SOA"}},
		{"escaped bytes", `name\.with\032odd.example.org. TXT`, []string{"NOERROR", `name\.with\ odd.example.org. 300 TXT "escapes"`, "- NS", "- NS"}},
		{"another zone", "example.net. A", []string{"NEXT"}},
		{"a transfer without the directive", "example.org. AXFR", []string{"REFUSED no AA"}},
	})
}

// RFC 1034, section 4.3.2, step 3a: an alias starts the search anew.
func TestAliases(t *testing.T) {
	t.Parallel()
	outside := elsewhere{
		"www.example.net.":     reply(t, dns.RcodeSuccess, "www.example.net. 60 A 198.51.100.1"),
		"lost.example.net.":    reply(t, dns.RcodeNameError),
		"void.example.net.":    reply(t, dns.RcodeSuccess),
		"sick.example.net.":    reply(t, dns.RcodeServerFailure),
		"unknown.example.net.": reply(t, dns.RcodeRefused),
	}
	b := newBed(t, "file db", map[string]string{"db": plain})
	b.check(t, outside, []row{
		{"an alias", "alias.example.org. A", []string{"NOERROR", "alias.example.org. 300 CNAME www.example.org.", "www.example.org. 300 A 192.0.2.3", "www.example.org. 300 A 192.0.2.4", "- NS", "- NS"}},
		{
			"an alias of an alias", "double.example.org. A",
			[]string{"NOERROR", "double.example.org. 300 CNAME alias.example.org.", "alias.example.org. 300 CNAME www.example.org.", "www.example.org. 300 A 192.0.2.3", "www.example.org. 300 A 192.0.2.4", "- NS", "- NS"},
		},
		{"the alias itself", "alias.example.org. CNAME", []string{"NOERROR", "alias.example.org. 300 CNAME www.example.org.", "- NS", "- NS"}},
		{"to a name without the type (RFC 2308, section 2.2)", "half.example.org. AAAA", []string{"NOERROR", "half.example.org. 300 CNAME mail.example.org.", "- SOA"}},
		{"to nowhere (RFC 6604, section 3)", "gone.example.org. A", []string{"NXDOMAIN", "gone.example.org. 300 CNAME nowhere.example.org.", "- SOA"}},
		{"to another zone", "away.example.org. A", []string{"NOERROR", "away.example.org. 300 CNAME www.example.net.", "www.example.net. 60 A 198.51.100.1", "- NS", "- NS"}},
		{"to nowhere in another zone", "lost.example.org. A", []string{"NXDOMAIN", "lost.example.org. 300 CNAME lost.example.net.", "- SOA"}},
		{"to a name without the type in another zone", "void.example.org. A", []string{"NOERROR", "void.example.org. 300 CNAME void.example.net.", "- SOA"}},
		{"to trouble", "sick.example.org. A", []string{"SERVFAIL", "sick.example.org. 300 CNAME sick.example.net.", "- NS", "- NS"}},
		{"to a name that this server does not serve", "unknown.example.org. A", []string{"NOERROR", "unknown.example.org. 300 CNAME unknown.example.net.", "- NS", "- NS"}},
		{"to another zone, without time for it", "full.example.org. A", []string{"error: too many queries are waiting"}},
		{"to itself", "self.example.org. A", []string{"SERVFAIL no AA"}},
		{"in a circle", "ring.example.org. A", []string{"SERVFAIL no AA"}},
		{
			"into a zone below", "into.example.org. A",
			[]string{
				"NOERROR", "into.example.org. 300 CNAME host.sub.example.org.", "- sub.example.org. 300 NS ns.sub.example.org.", "- sub.example.org. 300 NS ns.example.net.",
				"+ ns.sub.example.org. 300 A 192.0.2.53",
			},
		},
		{"into a wildcard", "to.wild.example.org. A", []string{"NOERROR", "to.wild.example.org. 300 CNAME other.wild.example.org.", "other.wild.example.org. 300 A 192.0.2.5", "- NS", "- NS"}},
	})
}

// RFC 4592.
func TestWildcards(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db", map[string]string{"db": plain})
	b.check(t, nil, []row{
		{"one label", "two.wild.example.org. A", []string{"NOERROR", "two.wild.example.org. 300 A 192.0.2.5", "- NS", "- NS"}},
		{"several labels", "a.b.c.wild.example.org. TXT", []string{"NOERROR", `a.b.c.wild.example.org. 300 TXT "any"`, "- NS", "- NS"}},
		{"with addresses", "two.wild.example.org. MX", []string{"NOERROR", "two.wild.example.org. 300 MX 5 mail.example.org.", "- NS", "- NS", "+ mail.example.org. 300 A 192.0.2.2"}},
		{"a name that exists (section 2.2.1)", "one.wild.example.org. TXT", []string{"NOERROR", "- SOA"}},
		{"below a name that exists", "a.one.wild.example.org. A", []string{"NXDOMAIN", "- SOA"}},
		{"below an empty non-terminal (section 2.2.2)", "a.deep.wild.example.org. A", []string{"NXDOMAIN", "- SOA"}},
		{"without the type", "two.wild.example.org. AAAA", []string{"NOERROR", "- SOA"}},
		{"the wildcard itself", "*.wild.example.org. A", []string{"NOERROR", "*.wild.example.org. 300 A 192.0.2.5", "- NS", "- NS"}},
		{"an alias", "any.walias.example.org. A", []string{"NOERROR", "any.walias.example.org. 300 CNAME www.example.org.", "www.example.org. 300 A 192.0.2.3", "www.example.org. 300 A 192.0.2.4", "- NS", "- NS"}},
		{"an alias asked for", "any.walias.example.org. CNAME", []string{"NOERROR", "any.walias.example.org. 300 CNAME www.example.org.", "- NS", "- NS"}},
		{"a wildcard without records (section 2.2.2)", "b.went.example.org. TXT", []string{"NOERROR", "- SOA"}},
	})
}

// RFC 1034, section 4.3.2, step 3b; RFC 4035, section 3.1.4.1, for DS.
func TestReferrals(t *testing.T) {
	t.Parallel()
	referral := []string{
		"NOERROR no AA", "- sub.example.org. 300 NS ns.sub.example.org.", "- sub.example.org. 300 NS ns.example.net.",
		"+ ns.sub.example.org. 300 A 192.0.2.53",
	}
	b := newBed(t, "file db", map[string]string{"db": plain})
	b.check(t, nil, []row{
		{"the zone below", "sub.example.org. A", referral},
		{"its name servers", "sub.example.org. NS", referral},
		{"a name in it", "a.b.sub.example.org. A", referral},
		{"glue is not ours", "ns.sub.example.org. A", referral},
		{"DS below it", "a.sub.example.org. DS", referral},
		{"DS is the parent's", "sub.example.org. DS", []string{"NOERROR", "sub.example.org. 300 DS 1 8 2 00000000000000000000000000000000000000000000000000000000000000AA", "- NS", "- NS"}},
	})
}

// RFC 6672.
func TestDNAME(t *testing.T) {
	t.Parallel()
	long := ""
	for range 60 {
		long += "aaa."
	}
	outside := elsewhere{"www.example.net.": reply(t, dns.RcodeSuccess, "www.example.net. 60 A 198.51.100.1")}
	b := newBed(t, "file db", map[string]string{"db": plain + "far DNAME " + long[:160] + "new\n"})
	b.check(t, outside, []row{
		{
			"a name below", "host.old.example.org. A",
			[]string{"NOERROR", "old.example.org. 300 DNAME new.example.org.", "host.old.example.org. 300 CNAME host.new.example.org.", "host.new.example.org. 300 A 192.0.2.8", "- NS", "- NS"},
		},
		{
			"an alias behind it", "alias.old.example.org. A",
			[]string{
				"NOERROR", "old.example.org. 300 DNAME new.example.org.", "alias.old.example.org. 300 CNAME alias.new.example.org.",
				"alias.new.example.org. 300 CNAME www.example.org.", "www.example.org. 300 A 192.0.2.3", "www.example.org. 300 A 192.0.2.4", "- NS", "- NS",
			},
		},
		{"the alias itself", "host.old.example.org. CNAME", []string{"NOERROR", "old.example.org. 300 DNAME new.example.org.", "host.old.example.org. 300 CNAME host.new.example.org.", "- NS", "- NS"}},
		{"the name itself (section 2.3)", "old.example.org. A", []string{"NOERROR", "- SOA"}},
		{"the record", "old.example.org. DNAME", []string{"NOERROR", "old.example.org. 300 DNAME new.example.org.", "- NS", "- NS"}},
		{"nowhere", "x.old.example.org. A", []string{"NXDOMAIN", "old.example.org. 300 DNAME new.example.org.", "x.old.example.org. 300 CNAME x.new.example.org.", "- SOA"}},
		{"another zone", "www.out.example.org. A", []string{"NOERROR", "out.example.org. 300 DNAME example.net.", "www.out.example.org. 300 CNAME www.example.net.", "www.example.net. 60 A 198.51.100.1", "- NS", "- NS"}},
		{"to itself", "a.selfd.example.org. A", []string{"SERVFAIL no AA"}},
		{"to itself, the alias asked for", "a.selfd.example.org. CNAME", []string{"SERVFAIL no AA"}},
		{"too long (section 2.2)", long[:100] + "far.example.org. A", []string{"YXDOMAIN", "far.example.org. 300 DNAME " + long[:160] + "new.example.org."}},
	})
	if got := b.ask(t, nil, "x.grow.example.org. A"); got[0] != "NOERROR" || len(got) != 1+2*maxLinks+2 {
		t.Errorf("a DNAME that makes names longer and longer: %q, want an end after %d links", got, maxLinks)
	}
}

// ENT and NXDOMAIN go to the next directive, everything else is this one's.
func TestFallthrough(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db {\n fallthrough a.example.org wild.example.org ent.example.org www.example.org gone.example.org\n}", map[string]string{"db": plain})
	b.check(t, elsewhere{}, []row{
		{"no such name", "x.a.example.org. A", []string{"NEXT"}},
		{"no such name in another zone", "x.b.example.org. A", []string{"NXDOMAIN", "- SOA"}},
		{"an empty non-terminal", "ent.example.org. A", []string{"NEXT"}},
		{"a name without the type", "www.example.org. AAAA", []string{"NOERROR", "- SOA"}},
		{"a wildcard without the type", "x.wild.example.org. AAAA", []string{"NOERROR", "- SOA"}},
		{"an alias to nowhere", "gone.example.org. A", []string{"NXDOMAIN", "gone.example.org. 300 CNAME nowhere.example.org.", "- SOA"}},
	})
	b = newBed(t, "file db {\n fallthrough\n}", map[string]string{"db": plain})
	b.check(t, nil, []row{{"everywhere", "x.b.example.org. A", []string{"NEXT"}}})
}
