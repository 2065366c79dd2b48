package directives

import (
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

func TestRewrite(t *testing.T) {
	names := []string{"a.@ A", "A.b.@ A", "b.@ MX", "b.@ SRV", "b.@ PTR", "b.@ NS", "b.@ SOA", "b.@ DNAME", "b.@ NAPTR", "b.@ TXT", "b.@ CNAME", "b.@ AAAA", "www.@ A", "www.x.@ A", "x-www.@ A",
		"nx.@ A", "a.nx.@ A", "fail.@ A", "none.@ A", "refused.@ A", "chain.@ A", "chain.@ AAAA", "web-1.@ A", "web-1.@ SRV", "@ A", "@ ANY", "noedns.@ A", "options.@ A", `q\.r.@ A`}
	cases := []Case{
		{Name: "nothing", Body: "rewrite name x.@ y.up"},
		{Name: "exact", Body: "rewrite name a.@ b.up"},
		{Name: "exact, upper case", Body: "rewrite name exact A.@. B.Up."},
		{Name: "exact of several", Body: "rewrite name a.@ b.up\nrewrite name b.@ www.@"},
		{Name: "exact, answer value", Body: `rewrite name exact b.@ b.up answer value (.*)\.b\.@\. {1}.v.`},
		{Name: "exact, answer name", Body: `rewrite name exact b.@ b.up answer name (.*)\.b\.@\. {1}.v.`},
		{Name: "prefix", Body: "rewrite name prefix www web"},
		{Name: "prefix with dots", Body: "rewrite name prefix www.x. web."},
		{Name: "prefix, auto", Body: "rewrite name prefix b c answer auto"},
		{Name: "suffix", Body: "rewrite name suffix .@ .up"},
		{Name: "suffix without dot", Body: "rewrite name suffix w.@ v.up"},
		{Name: "suffix, auto", Body: "rewrite name suffix .@ .svc.up answer auto"},
		{Name: "suffix to a part of itself, auto", Body: "rewrite name suffix .x.@ .@ answer auto"},
		{Name: "substring", Body: "rewrite name substring .@ .up"},
		{Name: "substring several times", Body: "rewrite name substring . .z."},
		{Name: "substring, auto", Body: "rewrite name substring b.@ c.up answer auto"},
		{Name: "regex", Body: `rewrite name regex (.*)\.@ {1}.up`},
		{Name: "regex with groups", Body: `rewrite name regex ^web-([0-9]+)\.(.*)$ {2}{1}.up.`},
		{Name: "regex, answer name", Body: `rewrite name regex (.*)\.@ {1}.up answer name (.*)\.up {1}.@`},
		{Name: "regex, answer name and value", Body: `rewrite name regex (.*)\.@ {1}.up answer name (.*)\.up {1}.@ answer value (.*)\.up\. {1}.@ value mx q`},
		{Name: "regex, auto", Body: `rewrite name regex (.*)\.@ {1}.up answer auto`},
		{Name: "regex, auto and value", Body: `rewrite name regex (.*)\.@ {1}.up answer auto value (.*)\.@\. {1}.v.`},
		{Name: "in braces", Body: "rewrite stop {\nname regex (.*)\\.@ {1}.up\nanswer name (.*)\\.up {1}.@\n}"},
		{Name: "metadata", Body: `rewrite name regex ^(.*)\.@\.$ {1}.Up. metadata answer auto`},
		{Name: "metadata that is not there", Body: `rewrite name regex ^(.*)\.@\.$ {1}.{a/b}.up. metadata`},
		{Name: "continue", Body: "rewrite continue name suffix .@ .p answer auto\nrewrite name suffix .p .up answer auto"},
		{Name: "continue to exact", Body: "rewrite continue name suffix .@ .p answer auto\nrewrite name exact a.p b.up"},
		{Name: "a bad name", Body: `rewrite name regex ^a\.(.*)$ {1}..`},
		{Name: "type", Body: "rewrite type A AAAA"},
		{Name: "type ANY", Body: "rewrite type ANY HINFO"},
		{Name: "type by the way of another", Body: "rewrite continue type A MX\nrewrite type MX TXT"},
		{Name: "type, continue alone", Body: "rewrite continue type A AAAA", Different: mismatched()},
		{Name: "name, continue alone", Body: "rewrite continue name suffix .@ .up", Different: mismatched()},
		{Name: "name and type", Body: "rewrite continue name suffix .@ .up answer auto\nrewrite type A AAAA"},
		{Name: "class", Body: "rewrite class IN CH"},
		{Name: "ttl", Body: "rewrite ttl b.@ 15"},
		{Name: "ttl range", Body: "rewrite ttl suffix @ 30-100"},
		{Name: "ttl least", Body: "rewrite ttl regex .* 70-"},
		{Name: "ttl most", Body: "rewrite ttl substring b. -20"},
		{Name: "ttl prefix", Body: "rewrite ttl prefix b 1"},
		{Name: "ttl and name", Body: "rewrite continue ttl regex (.*) 3\nrewrite name suffix .@ .up answer auto"},
		{Name: "rcode", Body: "rewrite rcode nx.@ NXDOMAIN NOERROR"},
		{Name: "rcode of all", Body: "rewrite continue rcode regex (.*) NXDOMAIN NOERROR\nrewrite continue rcode suffix @ SERVFAIL NXDOMAIN\nrewrite rcode prefix b 0 5"},
		{Name: "rcode and name", Body: "rewrite continue name suffix .@ .up answer auto\nrewrite rcode suffix .up 3 0"},
		{Name: "cname", Body: "rewrite cname first.cdn.up. third.@"},
		{Name: "cname suffix", Body: "rewrite cname suffix second.cdn.up. third.@."},
		{Name: "cname prefix", Body: "rewrite cname prefix second.cdn third.x"},
		{Name: "cname regex", Body: `rewrite cname regex ^first\.(.*)\.up\.$ {1}.a.@.`},
		{Name: "cname substring", Body: "rewrite cname substring first f"},
		{Name: "cname to itself", Body: "rewrite cname first.cdn.up. chain.@"},
		{Name: "cname of others", Body: "rewrite cname other.up. a.@"},
	}
	compareAbove(t, cases, names)
}

// mismatched: a reply has the question that was asked (RFC 1035, section 4.1.1; RFC 5452, section 3: else clients ignore it).
func mismatched() map[string]string {
	m := map[string]string{}
	for _, way := range []string{"plain", "EDNS", "TCP", "option"} {
		m["question/"+way] = "after a rule with continue, and none with stop, CoreDNS's reply has the changed question"
	}
	return m
}

// compareAbove compares cases whose server blocks ask one upstream, which the zone "up" asks as well.
func compareAbove(t *testing.T, cases []Case, ask []string) {
	t.Helper()
	peer.E2E(t)
	up := serveEcho(t)
	for i := range cases {
		cases[i].Ask = ask
		cases[i].Body += "\nforward . " + up
	}
	Compare(t, cases, "up {\nbind 127.0.0.1\nforward . "+up+"\n}\n")
}

// Questions about options are in Corefiles of their own: in CoreDNS the codes that rules speak of are the process's.

const (
	// RFC 6891, section 7: who sends no OPT record gets none, and no longer a reply than 512 bytes.
	withoutOPT = "CoreDNS sends an OPT record to clients that sent none, once a rule has put one into the question"
	// The question of a client without EDNS is left alone by rules that find nothing in it.
	nothingToChange = "CoreDNS gives the question an empty OPT record"
)

func added() map[string]string { return map[string]string{"edns/plain": withoutOPT} }

func untouched() map[string]string {
	return map[string]string{"edns/plain": withoutOPT, "additional/plain": nothingToChange}
}

func optionQuestions() []string {
	return []string{"b.@ A", "nx.@ A", "noedns.@ A", "options.@ A", "options.@ TXT", "fail.@ A", "none.@ A"}
}

func TestRewriteLocalOptions(t *testing.T) {
	compareAbove(t, []Case{
		{Name: "local set", Body: "rewrite edns0 local set 0xffee abcd", Different: added()},
		{Name: "local set hex", Body: "rewrite edns0 local set 65518 0x61626364", Different: added()},
		{Name: "local replace", Body: "rewrite edns0 local replace 0xffee abcd", Different: untouched()},
		{Name: "local append", Body: "rewrite edns0 local append 0xffee abcd", Different: added()},
		{Name: "local unset", Body: "rewrite edns0 local unset 0xffee", Different: untouched()},
		{Name: "local set, revert", Body: "rewrite edns0 local set 0xffee abcd revert", Different: added()},
		{Name: "local append, revert", Body: "rewrite edns0 local append 0xffee abcd revert", Different: added()},
		{Name: "two, revert of one", Body: "rewrite continue edns0 local set 0xffee abcd\nrewrite edns0 local replace 0xffee bcde revert", Different: added()},
		{Name: "revert of what the upstream sends", Body: "rewrite edns0 local set 0xffaa abcd revert",
			Different: map[string]string{"edns/plain": withoutOPT, "edns/option": "what other server blocks speak of is shown in CoreDNS's replies"}},
		{Name: "local qname", Body: "rewrite edns0 local set 0xffee {qname}", Different: added()},
		{Name: "local qtype", Body: "rewrite edns0 local append 0xffee {qtype}", Different: added()},
		{Name: "local client_ip", Body: "rewrite edns0 local set 0xffee {client_ip}", Different: added()},
		{Name: "local server_ip", Body: "rewrite edns0 local set 0xffee {server_ip}", Different: added()},
		{Name: "local protocol", Body: "rewrite edns0 local replace 0xffee {protocol}", Different: untouched()},
		{Name: "local metadata", Body: "rewrite edns0 local set 0xffee {a/b}"},
		{Name: "options and names", Body: "rewrite continue edns0 local set 0xffee {qname}\nrewrite name suffix .@ .up answer auto", Different: added()},
	}, optionQuestions())
}

func TestRewriteOptions(t *testing.T) {
	compareAbove(t, []Case{
		{Name: "nsid", Body: "rewrite edns0 nsid set", Different: added()},
		{Name: "nsid revert", Body: "rewrite edns0 nsid set revert", Different: added()},
		{Name: "nsid replace", Body: "rewrite edns0 nsid replace", Different: untouched()},
		{Name: "subnet", Body: "rewrite edns0 subnet set 24 56", Different: added()},
		{Name: "subnet of odd bits", Body: "rewrite edns0 subnet append 3 56 revert", Different: added()},
		{Name: "subnet unset", Body: "rewrite edns0 subnet unset", Different: untouched()},
	}, optionQuestions())
}

func TestRewriteVerdicts(t *testing.T) {
	var verdicts []Verdict
	for _, v := range []struct {
		accepted bool
		bodies   []string
	}{
		{true, []string{
			"rewrite name a b", "rewrite name regex b", "rewrite CONTINUE Name EXACT a b", "rewrite stop {\nname regex\na b\n}", "rewrite {\nname a b\n}", "rewrite name prefix a b", "rewrite name SUFFIX a b",
			"rewrite name substring a b answer auto", "rewrite name exact a b answer auto", `rewrite name regex (a)b {1} answer name (a) {1} answer value b c value d e`, "rewrite name regex a b answer auto value d e",
			"rewrite name regex a b answer value d e auto", "rewrite name regex (a) {1}.{a/b} metadata answer auto", "rewrite name regex a b metadata", "rewrite name regex (a)(b) {1}{1}{1}",
			"rewrite name a..b c", "rewrite name a b..c", "rewrite type any hinfo", "rewrite type A AAAA", "rewrite class CH IN", "rewrite class in any", "rewrite ttl a 5", "rewrite ttl exact a 5-", "rewrite ttl prefix a -5",
			"rewrite ttl regex (.*) 10-20", "rewrite ttl substring a 4294967295", "rewrite rcode a SERVFAIL 0", "rewrite rcode regex (.*) 2 servfail", "rewrite rcode suffix a 23 BADCOOKIE", "rewrite cname a b",
			"rewrite cname regex (.*) {1}{2}", "rewrite cname PREFIX a b", "rewrite edns0 local set 0xffee 0x61", "rewrite edns0 local set 0xffee abc", "rewrite edns0 local append 65001 {client_ip} revert",
			"rewrite edns0 LOCAL Append 65001 {a/b}", "rewrite edns0 nsid set revert", "rewrite edns0 subnet replace 32 128 revert", "rewrite edns0 local unset 1", "rewrite edns0 nsid unset",
			"rewrite edns0 subnet unset", "rewrite continue {\nttl regex (.*) 5\n}\nrewrite name a b",
		}},
		{false, []string{
			"rewrite", "rewrite stop", "rewrite continue {\n}", "rewrite nam a b", "rewrite answer name a b", "rewrite name", "rewrite name a", "rewrite name a b c", "rewrite name sufix a b", "rewrite name regex ( b",
			"rewrite name regex (a) {1}{2}", "rewrite name regex a b answer", "rewrite name regex a b auto", "rewrite name regex a b answer nam c d", "rewrite name regex a b answer name c", "rewrite name regex a b answer name ( d",
			"rewrite name regex a b answer value c {1}", "rewrite name regex a b answer auto name c d", "rewrite name exact a b metadata", "rewrite name regex (a) {2} metadata", "rewrite name regex a {b} metadata",
			"rewrite name regex a b{1 metadata", "rewrite name regex a b}x metadata", "rewrite type A", "rewrite type A B", "rewrite type A MX TXT", "rewrite class IN XX", "rewrite class IN", "rewrite ttl a", "rewrite ttl exct a 5",
			"rewrite ttl exact a 1 2", "rewrite ttl a -", "rewrite ttl a 20-10", "rewrite ttl a 1-2-3", "rewrite ttl a 4294967296", "rewrite ttl a x", "rewrite ttl regex ( 5", "rewrite rcode a 1", "rewrite rcode a 1 24",
			"rewrite rcode a SERVFAL 0", "rewrite rcode x a 1 2", "rewrite rcode exact a 1 2 3", "rewrite rcode regex ( 1 2", "rewrite cname a", "rewrite cname x a b", "rewrite cname exact a b c", "rewrite cname regex ( b",
			"rewrite edns0 local", "rewrite edns0 lcal set 1 2", "rewrite edns0 local sett 1 2", "rewrite edns0 local set 1", "rewrite edns0 local set 65536 a", "rewrite edns0 local set x a", "rewrite edns0 local set 1 0x6",
			"rewrite edns0 local set 1 {client_pi}", "rewrite edns0 local unset 1 2", "rewrite edns0 local unset", "rewrite edns0 nsid set x", "rewrite edns0 nsid unset x", "rewrite edns0 subnet set 33 128",
			"rewrite edns0 subnet set 32 129", "rewrite edns0 subnet set 32", "rewrite edns0 subnet unset 1",
		}},
	} {
		for _, body := range v.bodies {
			verdicts = append(verdicts, Verdict{Name: body, Body: body, Accepted: v.accepted})
		}
	}
	CompareVerdicts(t, verdicts)
}
