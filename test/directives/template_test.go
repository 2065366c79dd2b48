package directives

import "testing"

// RFC 3225, section 3: DO in a reply is that of the query. RFC 6891, section 7: who sends no OPT record gets none.
func extendedError() map[string]string {
	return map[string]string{
		"edns/plain":  "CoreDNS sends an extended error to clients without EDNS",
		"edns/EDNS":   "CoreDNS sets DO in replies with an extended error",
		"edns/option": "CoreDNS sets DO in replies with an extended error",
	}
}

// RFC 6891, section 6.1.3: the code has no place in a reply without OPT record. Nameplane's reply is SERVFAIL.
const silent = "CoreDNS sends nothing"

func TestTemplate(t *testing.T) {
	ask := []string{
		"ip-10-1-2-3.@ A", "IP-10-1-2-3.@ A", "ip-10-1-2-3.@ AAAA", "ip-10-1-2-3.@ ANY", "ip-10-1-2.@ A", "x.@ A", "x.@ MX", "x.@ TXT", "x.@ CNAME", "sub.x.@ A", "sub.x.@ TXT", "@ A", "@ SOA",
		`a\.b.@ TXT`, "deep.sub.x.@ MX", "cname.@ A", "cname.@ AAAA", "cname.@ MX", "x.@ SRV", "0a010203.@ A", "zz010203.@ A",
	}
	const pattern = `match ^ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]@[.]$`
	const address = `answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"`
	cases := []Case{
		{Name: "nothing in it", Body: "template IN A"},
		{Name: "everything", Body: "template ANY ANY {\nrcode NXDOMAIN\n}"},
		{Name: "pattern", Body: "template IN A @ {\n" + pattern + "\n" + address + "\n}"},
		{Name: "pattern, fallthrough", Body: "template IN A @ {\n" + pattern + "\n" + address + "\nfallthrough\n}"},
		{Name: "pattern, fallthrough of a zone", Body: "template IN ANY @ {\n" + pattern + "\n" + address + "\nfallthrough x.@\n}"},
		{Name: "a zone", Body: "template IN A x.@ {\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}"},
		{Name: "zones within each other", Body: "template IN TXT @ x.@ sub.x.@ {\nanswer \"{{ .Name }} 60 IN TXT {{ .Zone }}\"\n}"},
		{Name: "several patterns", Body: "template IN A {\nmatch ^ip-(10)-\nmatch ^ip-(.*)[.]@ ^x\nanswer \"{{ .Name }} 60 IN TXT {{ index .Match 0 }} {{ .Regex }} {{ len .Match }}\"\n}"},
		{Name: "the next template", Body: "template IN A x.@ {\nmatch ^y\nfallthrough\n}\ntemplate IN A x.@ {\nanswer \"{{ .Name }} 5 IN A 192.0.2.5\"\n}\ntemplate IN ANY {\nrcode REFUSED\n}"},
		{Name: "class ANY", Body: "template ANY TXT {\nanswer \"{{ .Name }} 60 {{ .Class }} TXT {{ .Type }}\"\n}"},
		{Name: "type ANY", Body: "template IN ANY {\nanswer \"{{ .Name }} 60 IN TXT {{ .Class }}/{{ .Type }}\"\n}"},
		{Name: "fields", Body: "template IN TXT {\nanswer \"{{ .Name }} 60 IN TXT {{ .Zone }} {{ .Class }} {{ .Type }} {{ .Remote }} {{ .Question.Name }} {{ .Question.Qtype }}\"\n}"},
		{Name: "message", Body: "template IN TXT {\nanswer \"{{ .Name }} 60 IN TXT {{ .Message.Id }} {{ .Message.RecursionDesired }} {{ len .Message.Question }} {{ len .Message.Extra }}\"\n}"},
		{Name: "metadata", Body: "template IN TXT {\nanswer \"{{ .Name }} 60 IN TXT x{{ .Meta \\\"a/b\\\" }}x\"\n}"},
		{Name: "groups by number", Body: "template IN TXT {\nmatch ^(?P<first>[^.]*)[.](.*)$\nanswer \"{{ .Name }} 60 IN TXT {{ .Group.first }} {{ index .Group \\\"2\\\" }} {{ index .Group \\\"1\\\" }} {{ .Group.nothing }}\"\n}"},
		{Name: "parseInt", Body: "template IN A {\nmatch ^(?P<a>..)(?P<b>..)(?P<c>..)(?P<d>..)[.]@\nanswer \"{{ .Name }} 60 IN A {{ parseInt .Group.a 16 8 }}.{{ parseInt .Group.b 16 8 }}.{{ parseInt .Group.c 16 8 }}.{{ parseInt .Group.d 16 8 }}\"\nfallthrough\n}"},
		{Name: "control flow", Body: "template IN TXT {\nanswer \"{{ if eq .Type \\\"TXT\\\" }}{{ .Name }} 60 IN TXT {{ range $i, $m := .Match }}{{ $i }}-{{ $m }} {{ end }}{{ end }}\"\n}"},
		{Name: "all sections", Body: "template IN MX {\nanswer \"{{ .Name }} 60 IN MX 10 a.@.\" \"{{ .Name }} 60 IN MX 20 b.@.\"\nanswer \"{{ .Name }} 50 IN MX 30 c.@.\"\n" +
			"additional \"a.@. 60 IN A 192.0.2.1\" \"b.@. 60 IN A 192.0.2.2\"\nauthority \"@. 60 IN NS ns.@.\" \"@. 60 IN NS ns2.@.\"\n}"},
		{Name: "a long answer", Body: "template IN TXT {\nanswer \"{{ range $i, $x := .Message.Question }}{{ $x.Name }}{{ end }} 60 IN TXT " + longText() + "\"\nanswer \"{{ .Name }} 60 IN TXT " + longText() + "\"\nanswer \"{{ .Name }} 60 IN TXT " + longText() + "x\"\n}"},
		{Name: "NXDOMAIN with SOA", Body: "template IN ANY {\nrcode NXDOMAIN\nauthority \"@. 60 IN SOA ns.@. host.@. (1 60 60 60 60)\"\n}"},
		{Name: "SERVFAIL", Body: "template IN ANY {\nrcode SERVFAIL\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}"},
		{Name: "YXDOMAIN", Body: "template IN ANY {\nrcode YXDOMAIN\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}"},
		{Name: "a code of 12 bits", Ask: []string{"x.@ A"}, Body: "template IN ANY {\nrcode BADKEY\n}", Different: map[string]string{
			"rcode/plain": silent, "flags/plain": silent, "question/plain": silent}},
		{Name: "no record", Body: "template IN A {\nanswer \"{{ .Name }} IN A nonsense\"\n}"},
		{Name: "no template", Body: "template IN A {\nanswer \"{{ index .Match 7 }}\"\n}"},
		{Name: "CNAME in a zone of this server", Body: "template IN ANY @ {\nmatch ^cname\nanswer \"{{ .Name }} 60 IN CNAME ip-10-1-2-3.@\"\nfallthrough\n}\ntemplate IN A {\n" + pattern + "\n" + address + "\nfallthrough\n}"},
		{Name: "CNAME to nowhere", Body: "template IN ANY @ {\nmatch ^cname\nanswer \"{{ .Name }} 60 IN CNAME nobody.nowhere.\"\nfallthrough\n}"},
		{Name: "CNAME and more", Body: "template IN ANY @ {\nmatch ^cname\nanswer \"{{ .Name }} 60 IN CNAME x.@\" \"{{ .Name }} 60 IN TXT y\"\nfallthrough\n}\ntemplate IN A {\nmatch ^x\nanswer \"{{ .Name }} 3 IN A 192.0.2.1\"\nfallthrough\n}"},
		{Name: "ederror", Body: "template IN A {\nrcode NXDOMAIN\nederror 21\n}", Different: extendedError()},
		{Name: "ederror with a reason", Body: "template IN ANY {\nederror 17 \"not here\"\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}", Different: extendedError()},
		{Name: "ederror and SERVFAIL", Body: "template IN A {\nrcode SERVFAIL\nederror 21\n}"},
		{Name: "a variable", Body: "template IN A {\nmatch ^ip-(?P<ip>.*)[.]@\nvar ip replace(group('ip'), '-', '.')\nvar long len(ip)\nanswer \"{{ .Name }} 60 IN TXT {{ .Var.ip }} {{ .Var.long }}\"\nfallthrough\n}"},
		{Name: "a condition", Body: "template IN ANY {\nmatch ^(?P<a>[a-z]*)\nvar a group('a')\nexpr a == 'x' && group(1) == a\nanswer \"{{ .Name }} 60 IN TXT {{ .Var.a }}\"\n}"},
		{Name: "a condition, fallthrough", Body: "template IN ANY {\nexpr type() == 'A'\nexpr \"any(['127.0.0.0/8', '10.0.0.0/8'], incidr(client_ip(), #))\"\nanswer \"{{ .Name }} 60 IN TXT yes\"\nfallthrough\n}"},
		{Name: "a condition that fails", Body: "template IN ANY {\nexpr incidr(name(), '10.0.0.0/8')\nfallthrough\n}"},
		{Name: "a variable that fails", Body: "template IN ANY {\nvar n int(name())\nfallthrough\n}"},
		{Name: "upstream", Body: "template IN A {\nupstream 192.0.2.1\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\n}"},
	}
	for i := range cases {
		if cases[i].Ask == nil {
			cases[i].Ask = ask
		}
		cases[i].Body += "\nwhoami"
	}
	Compare(t, cases, "")
}

// longText makes three records more than fit into a small packet.
func longText() string {
	text := make([]byte, 220)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	return string(text)
}

func TestTemplateVerdicts(t *testing.T) {
	var verdicts []Verdict
	for _, v := range []struct {
		accepted bool
		bodies   []string
	}{
		{true, []string{
			"template ANY ANY", "template IN A example.org 10.0.0.0/8", "template CH TXT {\nmatch a b\nmatch c\n}", "template IN A {\nupstream 8.8.8.8\n}", "template IN A {\nanswer a b\nanswer c\nadditional d\nauthority e\n}",
			"template IN A {\nrcode NXDOMAIN\nrcode NOERROR\n}", "template IN A {\nederror 1\nederror 65535 b\n}", "template IN A {\nfallthrough\nfallthrough a\n}", "template IN A\ntemplate IN A", "template NONE ANY",
			"template IN A {\nanswer \"{{ if .Match }}{{ end }}\"\n}", "template IN A {\nvar a 1\nvar b a + 1\nexpr b == 2\n}",
		}},
		{false, []string{
			"template", "template IN", "template I A", "template IN AAA", "template in a", "template IN A {\nmatch\n}", "template IN A {\nmatch (\n}", "template IN A {\nanswer \"{{ .Name }\"\n}", "template IN A {\nanswer\n}",
			"template IN A {\nadditional \"{{\"\n}", "template IN A {\nauthority \"{{ unknown }}\"\n}", "template IN A {\nauthority\n}", "template IN A {\nadditional\n}", "template IN A {\nrcode\n}", "template IN A {\nrcode nxdomain\n}",
			"template IN A {\nrcode 3\n}", "template IN A {\nederror\n}", "template IN A {\nederror x\n}", "template IN A {\nederror 65536\n}", "template IN A {\nederror 1 a b\n}", "template IN A {\nanwser x\n}",
			"template IN A {\nvar a\n}", "template IN A {\nvar 1a 2\n}", "template IN A {\nvar name 2\n}", "template IN A {\nvar true 2\n}", "template IN A {\nvar len 2\n}", "template IN A {\nexpr\n}", "template IN A {\nexpr nothing == 1\n}",
		}},
	} {
		for _, body := range v.bodies {
			verdicts = append(verdicts, Verdict{Name: body, Body: body, Accepted: v.accepted})
		}
	}
	CompareVerdicts(t, verdicts)
}
