package directives

import (
	"fmt"
	"strings"
	"testing"
)

// views are expressions; which of them are true, both servers have to agree on.
func views() []string {
	return []string{
		`true`, `1 == 2`, `type() == 'A'`, `type() in ['TXT', 'AAAA']`, `type() == 'TYPE4711'`, `name() == 'www.@.'`, `name() endsWith '.@.'`,
		`name() matches '^w+\\.@\\.$'`, `lower(name()) == name()`, `class() == 'IN'`, `proto() == 'udp'`, `proto() == 'tcp'`, `size() < 40`, `size() > 60`, `len(name()) > 12`,
		`client_ip() == '127.0.0.1'`, `server_ip() == '127.0.0.1'`, `client_ip() == '::1'`, `int(port()) > 1024`, `server_port() == '53'`, `id() == 4711`, `opcode() == 0`,
		`do()`, `not do()`, `bufsize() == 512`, `bufsize() == 1232`, `bufsize() == 65535`,
		`incidr(client_ip(), '127.0.0.0/8')`, `incidr(client_ip(), '127.0.0.9/8')`, `incidr(client_ip(), '10.0.0.0/8')`, `incidr(client_ip(), '::/0')`, `incidr(client_ip(), '::ffff:127.0.0.0/104')`,
		`incidr(client_ip(), '0.0.0.0/0') && !incidr(client_ip(), '10.0.0.0/8') || do()`, `incidr(name(), '0.0.0.0/0') || do()`, `incidr(client_ip(), name())`,
		`metadata('none') == ''`, `metadata('view/name') == 'v'`, `indexOf(type(), 'A') == 0`, `type() == 'A' ? do() : proto() == 'tcp'`, `let t = type(); t startsWith 'A'`,
	}
}

// TestView has a block for each expression in front of one for the rest, and a zone in which only a block for everything
// above takes what no expression does.
func TestView(t *testing.T) {
	const answer = "template ANY ANY {\nanswer \"{{ .Name }} 60 IN TXT %s\"\n}\n"
	var corefile strings.Builder
	var probes []probe
	all := append(usual(), probe{size: 4096, do: true, tcp: true})
	for i, text := range views() {
		metadata := ""
		if strings.Contains(text, "metadata") && i%2 == 0 {
			metadata = "metadata\n"
		}
		text = strings.ReplaceAll(text, "@", zone(i))
		fmt.Fprintf(&corefile, "%s {\nbind 127.0.0.1\n%sview v {\nexpr %s\n}\n"+answer+"}\n", zone(i), metadata, text, "chosen")
		if i%4 != 3 {
			fmt.Fprintf(&corefile, "%s {\nbind 127.0.0.1\n"+answer+"}\n", zone(i), "rest")
		}
		probes = append(probes, cross(text, below(i, "www.@ A", "WWW.@ AAAA", "@ TXT", "a.b.@ MX"), all...)...)
	}
	fmt.Fprintf(&corefile, "test {\nbind 127.0.0.1\n"+answer+"}\n", "above")
	// Several views of one zone, in their order, and a block behind the one for the rest.
	for _, block := range []string{"view a {\nexpr type() == 'A'\nexpr do()\n}\n", "view b {\nexpr type() == 'A'\n}\n", "", "view c {\nexpr type() == 'AAAA'\n}\n"} {
		name, _, _ := strings.Cut(strings.TrimPrefix(block, "view "), " ")
		fmt.Fprintf(&corefile, "many.org {\nbind 127.0.0.1\n%s"+answer+"}\n", block, "many"+name)
	}
	fmt.Fprintf(&corefile, "only.org {\nbind 127.0.0.1\nview a {\nexpr type() == 'A'\n}\n"+answer+"}\n", "only")
	probes = append(probes, cross("several", []string{"many.org A", "x.many.org AAAA", "many.org MX", "only.org A", "only.org AAAA", "a.only.org DS"}, all...)...)
	comparePeers(t, corefile.String(), probes)
}

func TestViewVerdicts(t *testing.T) {
	const rest = "\nwhoami"
	compareVerdictsOf(t, map[string]bool{
		"view a" + rest: true, "view a {\nexpr true\n}" + rest: true, "view a {\nexpr type() == 'A'\nexpr do()\n}" + rest: true,
		"view" + rest: false, "view a b" + rest: false, "view a {\nexpr\n}" + rest: false, "view a {\nexpr nothing()\n}" + rest: false, "view a {\nexpr type() == 1\n}" + rest: false,
		"view a {\nexpr (\n}" + rest: false, "view a {\nexprs true\n}" + rest: false, "view a\nview b" + rest: false,
	})
}
