package whoami

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// longest is a name of 255 bytes in wire form (RFC 1035, section 2.3.4).
var longest = strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + "."

func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		question  string
		qtype     uint16
		client    string
		transport plugin.Transport
		want      []string
	}{
		{
			name: "IPv4 by UDP", question: "eXample.org.", qtype: dns.TypeA, client: "10.240.0.1:40212",
			want: []string{"eXample.org.\t0\tIN\tA\t10.240.0.1", "_udp.eXample.org.\t0\tIN\tSRV\t0 0 40212 ."},
		},
		{
			name: "IPv6 by TCP, a type without address", question: "example.org.", qtype: dns.TypeTXT,
			client: "[2001:db8::1]:53", transport: plugin.TCP,
			want: []string{"example.org.\t0\tIN\tAAAA\t2001:db8::1", "_tcp.example.org.\t0\tIN\tSRV\t0 0 53 ."},
		},
		{
			name: "the root", question: ".", qtype: dns.TypeNS, client: "127.0.0.1:1",
			want: []string{".\t0\tIN\tA\t127.0.0.1", "_udp.\t0\tIN\tSRV\t0 0 1 ."},
		},
		{
			name: "no room for a label", question: longest, qtype: dns.TypeA, client: "127.0.0.1:1",
			want: []string{longest + "\t0\tIN\tA\t127.0.0.1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x := block.NewExchange(t, test.question, test.qtype)
			x.Client, x.Transport = netip.MustParseAddrPort(test.client), test.transport
			if err := block.Serve(x, Handler{}); err != nil {
				t.Fatal(err)
			}
			m := block.Answer(t, x)
			var got []string
			for _, rr := range m.Extra {
				got = append(got, rr.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("additional section (-want +got):\n%s", diff)
			}
			if len(m.Answer) != 0 || !m.Authoritative || m.Rcode != dns.RcodeSuccess {
				t.Errorf("want an empty authoritative answer, got\n%s", m)
			}
		})
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	x := block.NewExchange(t, "example.org.", dns.TypeA)
	n := testing.AllocsPerRun(100, func() {
		if err := (Handler{}).Serve(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query, want none", n)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "an argument", corefile: ". {\n whoami me\n}", want: `Corefile:2: whoami: takes no argument, but has "me"`},
		{name: "options", corefile: ". {\n whoami {\n }\n}", want: "Corefile:2: whoami: takes no options in { }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "whoami"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
