package rewrite

import (
	"encoding/hex"
	"io"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

func local(code uint16, data string) dns.EDNS0 {
	return &dns.EDNS0_LOCAL{Code: code, Data: []byte(data)}
}

// replied is the options of a reply; "none" when it has no OPT record.
func replied(m *dns.Msg) []string {
	opt := m.IsEdns0()
	if opt == nil {
		return []string{"none"}
	}
	var b []byte
	for _, o := range opt.Option {
		if l, ok := o.(*dns.EDNS0_LOCAL); ok {
			b = wire.AppendOption(b, l.Code, l.Data)
			continue
		}
		return []string{o.String()}
	}
	return options(b)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	none := []dns.EDNS0{}
	for _, tc := range []struct {
		name    string
		lines   string
		client  []dns.EDNS0 // nil for a client without EDNS
		server  []dns.EDNS0 // of the reply; nil for none
		asked   []string
		size    string
		replied []string
	}{
		{name: "set adds", lines: "rewrite edns0 local set 0xffee abcd", client: none, asked: []string{`65518="abcd"`}, replied: []string{`65518="abcd"`}},
		{name: "set changes the first", lines: "rewrite edns0 local set 0xffee 0x61", client: []dns.EDNS0{local(65517, "x"), local(65518, "y"), local(65518, "z")},
			asked: []string{`65517="x"`, `65518="a"`, `65518="z"`}, replied: []string{`65518="a"`, `65518="z"`}},
		{name: "replace changes", lines: "rewrite edns0 local replace 65518 abcd", client: []dns.EDNS0{local(65518, "y")}, asked: []string{`65518="abcd"`}, replied: []string{`65518="abcd"`}},
		{name: "replace does not add", lines: "rewrite edns0 local replace 65518 abcd", client: none},
		{name: "append adds another", lines: "rewrite edns0 local append 0xffee abcd", client: []dns.EDNS0{local(65518, "y")},
			asked: []string{`65518="y"`, `65518="abcd"`}, replied: []string{`65518="y"`, `65518="abcd"`}},
		{name: "append of a variable does not", lines: "rewrite edns0 local append 0xffee {protocol}", client: []dns.EDNS0{local(65518, "y")},
			asked: []string{`65518="y"`}, replied: []string{`65518="y"`}},
		{name: "unset", lines: "rewrite edns0 local unset 0xffee", client: []dns.EDNS0{local(65518, "y"), local(65517, "x"), local(65518, "z")}, asked: []string{`65517="x"`}},
		{name: "unset of nothing", lines: "rewrite edns0 local unset 0xffee", client: []dns.EDNS0{local(65517, "x")}, asked: []string{`65517="x"`}},
		{name: "options that rules do not speak of are not echoed", lines: "rewrite edns0 local set 0xffee a", client: []dns.EDNS0{local(65517, "x")},
			asked: []string{`65517="x"`, `65518="a"`}, replied: []string{`65518="a"`}},
		{name: "those that they speak of are, untouched as well", lines: "rewrite type MX A\nrewrite edns0 local replace 0xffee a\nrewrite edns0 local unset 0xffed",
			client: []dns.EDNS0{local(65518, "y")}, asked: []string{`65518="a"`}, replied: []string{`65518="a"`}},
		{name: "a reply with OPT keeps its own", lines: "rewrite edns0 local set 0xffee a", client: none, server: []dns.EDNS0{local(65517, "s")},
			asked: []string{`65518="a"`}, replied: []string{`65517="s"`}},
		{name: "be there none", lines: "rewrite edns0 local set 0xffee a", client: none, server: none, asked: []string{`65518="a"`}},
		{name: "a client without EDNS", lines: "rewrite edns0 local set 0xffee a", asked: []string{`65518="a"`}, size: " 4096", replied: []string{"none"}},
		{name: "a client without EDNS, and nothing to set", lines: "rewrite continue edns0 local replace 0xffee a\nrewrite edns0 nsid unset", replied: []string{"none"}},
		{name: "nsid", lines: "rewrite edns0 nsid set", client: none, asked: []string{`3=""`}},
		{name: "nsid is emptied", lines: "rewrite edns0 nsid replace", client: []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6162"}}, asked: []string{`3=""`}},
		{name: "nsid unset", lines: "rewrite edns0 nsid unset", client: []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}},
		{name: "subnet", lines: "rewrite edns0 subnet set 24 56", client: none, asked: []string{`8="\x00\x01\x18\x00\n\xf0\x00"`}},
		{name: "subnet of odd bits", lines: "rewrite edns0 subnet set 9 56", client: none, asked: []string{`8="\x00\x01\t\x00\n\x80"`}},
		{name: "subnet of no bits", lines: "rewrite edns0 subnet append 0 0", client: none, asked: []string{`8="\x00\x01\x00\x00"`}},
		{name: "subnet is replaced", lines: "rewrite edns0 subnet replace 8 8", client: []dns.EDNS0{&dns.EDNS0_SUBNET{Code: 8, Family: 1, SourceNetmask: 32, Address: []byte{1, 2, 3, 4}}},
			asked: []string{`8="\x00\x01\b\x00\n"`}},
		{name: "subnet append leaves one alone", lines: "rewrite edns0 subnet append 8 8", client: []dns.EDNS0{&dns.EDNS0_SUBNET{Code: 8, Family: 1, SourceNetmask: 8, Address: []byte{1, 0, 0, 0}}},
			asked: []string{`8="\x00\x01\b\x00\x01"`}},
		{name: "subnet unset", lines: "rewrite edns0 subnet unset", client: []dns.EDNS0{&dns.EDNS0_SUBNET{Code: 8, Family: 1, SourceNetmask: 8, Address: []byte{1, 0, 0, 0}}}},

		{name: "revert of what was added", lines: "rewrite edns0 local set 0xffee abcd revert", client: none, asked: []string{`65518="abcd"`}},
		{name: "revert of what was changed", lines: "rewrite edns0 local set 0xffee abcd revert", client: []dns.EDNS0{local(65518, "y")}, asked: []string{`65518="abcd"`}, replied: []string{`65518="y"`}},
		{name: "revert of the second of two", lines: "rewrite continue edns0 local set 0xffee abcd\nrewrite edns0 local replace 0xffee bcde revert", client: none,
			asked: []string{`65518="bcde"`}, replied: []string{`65518="abcd"`}},
		{name: "revert in a server's reply", lines: "rewrite edns0 local set 0xffee abcd revert", client: none, server: []dns.EDNS0{local(65518, "s"), local(65517, "t")},
			asked: []string{`65518="abcd"`}, replied: []string{`65517="t"`}},
		{name: "revert of a change in a server's reply", lines: "rewrite edns0 local set 0xffee abcd revert", client: []dns.EDNS0{local(65518, "y")}, server: []dns.EDNS0{local(65518, "s")},
			asked: []string{`65518="abcd"`}, replied: []string{`65518="y"`}},

		{name: "metadata that nobody provides", lines: "rewrite edns0 local set 0xffee {a/b}", client: none},
		{name: "qname", lines: "rewrite edns0 local set 0xffee {qname}", client: none, asked: []string{`65518="WWW.example.org."`}, replied: []string{`65518="WWW.example.org."`}},
		{name: "qtype", lines: "rewrite edns0 local set 0xffee {qtype}", client: none, asked: []string{`65518="\x00\x01"`}, replied: []string{`65518="\x00\x01"`}},
		{name: "client_ip", lines: "rewrite edns0 local set 0xffee {client_ip}", client: none, asked: []string{`65518="\n\xf0\x00\x01"`}, replied: []string{`65518="\n\xf0\x00\x01"`}},
		{name: "client_port", lines: "rewrite edns0 local set 0xffee {client_port}", client: none, asked: []string{`65518="\x9d\x14"`}, replied: []string{`65518="\x9d\x14"`}},
		{name: "server_ip", lines: "rewrite edns0 local set 0xffee {server_ip}", client: none, asked: []string{`65518="\n` + "`" + `\x00\n"`}, replied: []string{`65518="\n` + "`" + `\x00\n"`}},
		{name: "server_port", lines: "rewrite edns0 local set 0xffee {server_port}", client: none, asked: []string{`65518="\x005"`}, replied: []string{`65518="\x005"`}},
		{name: "protocol", lines: "rewrite edns0 local set 0xffee {protocol}", client: none, asked: []string{`65518="udp"`}, replied: []string{`65518="udp"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := new(dns.Msg).SetQuestion("WWW.example.org.", dns.TypeA)
			size := tc.size
			if tc.client != nil {
				m.SetEdns0(1232, true)
				m.IsEdns0().Option = tc.client
				size = " 1232"
			}
			x := block.FromMsg(t, m)
			end := &upstream{opt: tc.server, answer: []string{"@ 60 IN A 192.0.2.1"}}
			h := built(t, io.Discard, tc.lines)
			for range 2 {
				if err := block.Serve(x, h, end); err != nil {
					t.Fatal(err)
				}
				if want := "WWW.example.org. IN A" + size; end.asked != want {
					t.Errorf("asked %s, want %s", end.asked, want)
				}
				if diff := cmp.Diff(tc.asked, end.options); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
				reply := block.Answer(t, x)
				if diff := cmp.Diff(tc.replied, replied(reply)); diff != "" {
					t.Errorf("replied (-want +got):\n%s", diff)
				}
				if opt := reply.IsEdns0(); opt != nil && (opt.UDPSize() != 1232 || !opt.Do()) {
					t.Errorf("OPT %v", opt)
				}
			}
		})
	}
}

func TestVariablesOfIPv6(t *testing.T) {
	t.Parallel()
	x := block.NewExchange(t, "a.", dns.TypeA)
	x.Client = netip.MustParseAddrPort("[fd00:1:2:3:4:5:6:7]:1")
	x.Transport = plugin.TCP
	for lines, want := range map[string]string{
		"rewrite edns0 local set 1 {client_ip}": "fd000001000200030004000500060007",
		"rewrite edns0 local set 1 {protocol}":  hex.EncodeToString([]byte("tcp")),
		"rewrite edns0 local set 1 {server_ip}": "", // one of another family, hence not that of this client's server
		"rewrite edns0 subnet set 24 56":        "00023800fd000001000200",
	} {
		r := built(t, io.Discard, lines).(*Handler).rules[0].change.(*optionRule)
		data, ok := r.data(x)
		if got := hex.EncodeToString(data); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s, %v; want %s", lines, got, ok, want)
		}
	}
}
