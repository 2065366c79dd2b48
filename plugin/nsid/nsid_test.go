package nsid

import (
	"context"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// RFC 5001, section 2.2: the option is in the reply exactly if it is in the query.
func TestServe(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		corefile string
		asks     bool
		upstream string // an identifier of its
		want     string
		options  int
	}{
		{name: "the host's name", corefile: "nsid", asks: true, want: host, options: 1},
		{name: "the operator's", corefile: "nsid west", asks: true, want: "west", options: 1},
		{name: "several words", corefile: `nsid west  "rack 3"`, asks: true, want: "west rack 3", options: 1},
		{name: "nobody asks", corefile: "nsid west"},
		{name: "in the place of an upstream's", corefile: "nsid west", asks: true, upstream: "theirs", want: "west", options: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n "+test.corefile+"\n}", "nsid"))
			if err != nil {
				t.Fatal(err)
			}
			m := new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(1232, false)
			if test.asks {
				m.IsEdns0().Option = []dns.EDNS0{
					&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}, &dns.EDNS0_NSID{Code: dns.EDNS0NSID},
				}
			}
			x := block.FromMsg(t, m)
			end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
				x.Reply.Start(&x.Query, dns.RcodeSuccess)
				if test.upstream != "" {
					x.Reply.AddOption(dns.EDNS0NSID, []byte(test.upstream))
				}
				return nil
			})
			if err := block.Serve(x, h, end); err != nil {
				t.Fatal(err)
			}
			options := block.Answer(t, x).IsEdns0().Option
			if len(options) != test.options {
				t.Fatalf("options %v, want %d", options, test.options)
			}
			if test.options == 1 && options[0].(*dns.EDNS0_NSID).Nsid != hex.EncodeToString([]byte(test.want)) {
				t.Errorf("identifier %s, want that of %q", options[0], test.want)
			}
		})
	}
}

func TestWithoutReply(t *testing.T) {
	t.Parallel()
	m := new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
	x := block.FromMsg(t, m)
	if err := block.Serve(x, Handler{data: []byte("west")}); err != plugin.ErrNoHandler || x.Reply.Made() {
		t.Errorf("error %v, reply %v", err, x.Reply.Made())
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	x := block.FromMsg(t, new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(1232, false))
	chain := []plugin.Handler{Handler{data: []byte("west")}, block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		return nil
	})}
	n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query that does not ask, want none", n)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "options", corefile: ". {\n nsid a {\n }\n}", want: "Corefile:2: nsid: takes no options in { }"},
		{name: "twice", corefile: ". {\n nsid a\n nsid b\n}", want: "Corefile:3: nsid: given twice in a server block; the first one is at Corefile:2"},
		{name: "too long", corefile: ". {\n nsid " + strings.Repeat("a", 256) + "\n}", want: "Corefile:2: nsid: the identifier has 256 bytes; 255 are allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "nsid"))
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
