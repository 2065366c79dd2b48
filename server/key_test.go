package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/server/corefile"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key  string
		want []string // "zone port"
		err  string
	}{
		{key: ".", want: []string{". 53"}},
		{key: ".:1053", want: []string{". 1053"}},
		{key: "dns://.:1053", want: []string{". 1053"}},
		{key: "Cluster.LOCAL", want: []string{"cluster.local. 53"}},
		{key: "cluster.local.:5300", want: []string{"cluster.local. 5300"}},
		// Networks are reverse zones (RFC 1035, section 3.5; RFC 3596, section 2.5).
		{key: "10.0.0.0/8", want: []string{"10.in-addr.arpa. 53"}},
		{key: "10.1.0.0/16:1053", want: []string{"1.10.in-addr.arpa. 1053"}},
		{key: "10.0.0.0/15", want: []string{"0.10.in-addr.arpa. 53", "1.10.in-addr.arpa. 53"}},
		{key: "192.168.1.1/23", want: []string{"0.168.192.in-addr.arpa. 53", "1.168.192.in-addr.arpa. 53"}},
		{key: "10.9.8.7/32", want: []string{"7.8.9.10.in-addr.arpa. 53"}},
		{key: "0.0.0.0/0", want: []string{"in-addr.arpa. 53"}},
		{key: "2001:db8::/32", want: []string{"8.b.d.0.1.0.0.2.ip6.arpa. 53"}},
		{key: "2001:db8::/31", want: []string{"8.b.d.0.1.0.0.2.ip6.arpa. 53", "9.b.d.0.1.0.0.2.ip6.arpa. 53"}},
		{key: "fd00::/8:5353", want: []string{"d.f.ip6.arpa. 5353"}},
		// What cannot be served says so.
		{key: ":53", err: "empty domain name"},
		{key: ".:", err: "a port is missing behind the last colon"},
		{key: ".:0", err: "port 0 is not from 1 to 65535"},
		{key: ".:65536", err: "port 65536 is not from 1 to 65535"},
		{key: "a..b", err: `"a..b" is not a domain name`},
		{key: "10.0.0.0/33", err: "is neither a domain name nor an address block"},
		{key: strings.Repeat("a", 64), err: "is not a domain name"},
		{key: "tls://.", want: []string{". 853 tls"}},
		{key: "tls://.:8853", want: []string{". 8853 tls"}},
		{key: "tls://10.0.0.0/8", want: []string{"10.in-addr.arpa. 853 tls"}},
		{key: "https://.", err: "the transport https:// is not built yet"},
		{key: "https3://.", err: "the transport https3:// is not built yet"},
		{key: "quic://.", err: "the transport quic:// is not built yet"},
		{key: "grpc://.:443", err: "the transport grpc:// is not built yet; use a dns:// port"},
		{key: "dnss://.", err: `unknown transport "dnss"; did you mean "dns"?`},
		{key: "gopher://.", err: `unknown transport "gopher"; only dns:// and tls:// are served`},
	} {
		t.Run(test.key, func(t *testing.T) {
			t.Parallel()
			at := corefile.Position{File: "Corefile", Line: 7}
			keys, err := parseKey(corefile.Key{Text: test.key, Pos: at}, 53)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.HasPrefix(err.Error(), "Corefile:7: key ") {
					t.Errorf("error %v, want Corefile:7 and %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range keys {
				s := site{zone: k.zone, address: address{port: k.port}}
				text := strings.Replace(s.String(), " on port", "", 1)
				if k.tls {
					text += " tls"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeyOf25Bits(t *testing.T) {
	t.Parallel()
	keys, err := parseKey(corefile.Key{Text: "10.1.2.128/25"}, 53)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 128 || keys[0].zone.String() != "128.2.1.10.in-addr.arpa." || keys[127].zone.String() != "255.2.1.10.in-addr.arpa." {
		t.Errorf("%d zones from %s to %s", len(keys), keys[0].zone, keys[len(keys)-1].zone)
	}
}
