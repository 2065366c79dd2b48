package directives

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hostsFile = `# for both servers
127.0.0.1   localhost localhost.@
10.0.0.1    a.@ A.@ b.@
10.0.0.2	a.@ #c.@
fd00::1%eth0 a.@ only6.@
::ffff:10.0.0.3 mapped.@
not-an-address x.@
10.0.0.300 y.@
10.0.0.4 good.@ bad..@ also-good.@
10.0.0.5 *.wild.@ *
fd00::5 *.wild.@
10.0.0.6 own.wild.@
10.0.0.7 a\.b.@
010.0.0.8 octal.@
10.0.0.9 last.@
1.2.3.4 @
10.0.0.11	other.example.`

func TestHosts(t *testing.T) {
	ask := []string{
		"localhost A", "localhost.@ A", "a.@ A", "A.@ AAAA", "a.@ AAAA", "a.@ TXT", "a.@ ANY", "b.@ A", "b.@ AAAA", "b.@ HTTPS", "c.@ A", "only6.@ A", "only6.@ AAAA",
		"mapped.@ A", "mapped.@ AAAA", "x.@ A", "y.@ A", "good.@ A", "also-good.@ A", "n.wild.@ A", "n.wild.@ AAAA", "n.wild.@ MX", "m.n.wild.@ A", "wild.@ A",
		"own.wild.@ A", "own.wild.@ AAAA", "*.wild.@ A", "octal.@ A", "last.@ A", "@ A", "@ SOA", "@ NS", "nobody.@ A", "nobody.@ TXT", "inline.@ A", "inline.@ AAAA", "a.@ PTR", `a\.b.@ A`,
	}
	reverse := []string{
		"1.0.0.10.in-addr.arpa PTR", "2.0.0.10.in-addr.arpa PTR", "3.0.0.10.in-addr.arpa PTR", "5.0.0.10.in-addr.arpa PTR", "9.9.9.10.in-addr.arpa PTR", "0.0.10.in-addr.arpa PTR",
		"01.0.0.10.in-addr.arpa PTR", "1.0.0.10.in-addr.arpa A", "x.1.0.0.10.in-addr.arpa PTR",
		"1." + strings.Repeat("0.", 27) + "0.0.d.f.ip6.arpa PTR", "3.0.0.0.0.0.a.0.f.f.f.f." + strings.Repeat("0.", 20) + "ip6.arpa PTR", "other.example A",
	}
	cases := []Case{
		{Name: "plain", Body: "hosts FILE"},
		{Name: "a zone", Body: "hosts FILE a.@"},
		{Name: "zones", Body: "hosts FILE a.@ wild.@ 10.0.0.0/8"},
		{Name: "fallthrough", Body: "hosts FILE {\nfallthrough\n}"},
		{Name: "fallthrough of zones", Body: "hosts FILE {\nfallthrough wild.@ nobody.@\n}"},
		{Name: "unsupported", Body: "hosts FILE {\nfallthrough\nfallthrough_unsupported\n}"},
		{Name: "unsupported in zones", Body: "hosts FILE {\nfallthrough a.@\nfallthrough_unsupported\n}"},
		{Name: "no_reverse", Body: "hosts FILE {\nno_reverse\n}"},
		{Name: "ttl", Body: "hosts FILE {\nttl 7\n}"},
		{Name: "inline", Body: "hosts FILE {\n10.9.9.9 inline.@ a.@\nfd00::9 inline.@\nttl 60\nfallthrough\n}"},
		{Name: "inline wildcards", Body: "hosts FILE {\n10.9.9.9 *.@\n}"},
		{Name: "inline without addresses", Body: "hosts FILE {\nnonsense inline.@\nlocalhost 127.0.0.1\n}"},
		{Name: "inline only", Body: "hosts /does/not/exist {\n10.9.9.9 inline.@ a.@\n10.9.9.9 inline.@\n}"},
		{Name: "nothing", Body: "hosts /does/not/exist"},
	}
	// One case more for reverse names, which belong to no case's zone.
	write := func(zone string) string {
		path := filepath.Join(t.TempDir(), "hosts")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(hostsFile, "@", zone)), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for i := range cases {
		cases[i].Ask = ask
		cases[i].Body = strings.ReplaceAll(cases[i].Body, "FILE", write(zone(i))) + "\nwhoami"
	}
	cases = append(cases, Case{Name: "reverse names", Body: "whoami", Ask: reverse})
	root := ". {\nbind 127.0.0.1\nhosts " + write("example") + " example {\n10.9.9.9 inline.example second.example\nfallthrough\n}\nwhoami\n}\n"
	Compare(t, cases, root)
}

func TestHostsVerdicts(t *testing.T) {
	folder := t.TempDir()
	var verdicts []Verdict
	for body, accepted := range map[string]bool{
		"hosts": true, "hosts /etc/hosts": true, "hosts " + folder: true, "hosts /does/not/exist": true, "hosts nothing.here": true,
		"hosts /etc/hosts/x": false, "hosts /etc/hosts example.org 10.0.0.0/8": true, "hosts\nhosts": false,
		"hosts {\nttl 1\n}": true, "hosts {\nttl 65535\n}": true, "hosts {\nttl 0\n}": false, "hosts {\nttl 65536\n}": false, "hosts {\nttl -1\n}": false, "hosts {\nttl x\n}": false, "hosts {\nttl\n}": false,
		"hosts {\nttl 5\nttl 6\n}": true, "hosts {\nreload 0s\n}": true, "hosts {\nreload 5\n}": false, "hosts {\nreload -1s\n}": false, "hosts {\nreload\n}": false, "hosts {\nreload 1s 2s\n}": false,
		"hosts {\nno_reverse\n}": true, "hosts {\nfallthrough\n}": true, "hosts {\nfallthrough a b\n}": true, "hosts {\nfallthrough\n10.0.0.1 a\n}": false, "hosts {\nfallthrough\nunknown\n}": false,
		"hosts {\nunknown\nfallthrough\n}": true, "hosts {\n10.0.0.1 a\n}": true, "hosts {\nfallthrough\nttl 5\nno_reverse\nreload 1s\n}": true,
		"hosts {\nfallthrough_unsupported\n}": false, "hosts {\nfallthrough_unsupported\nfallthrough\n}": true, "hosts {\nfallthrough\nfallthrough_unsupported x\n}": false,
	} {
		verdicts = append(verdicts, Verdict{Name: body, Body: body, Accepted: accepted})
	}
	CompareVerdicts(t, verdicts)
}
