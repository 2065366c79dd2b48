package bufsize

import (
	"context"
	"io"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// RFC 6891, section 6.2.5: a requestor's size may be bounded by what the network takes.
func TestServe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		corefile string
		size     uint16 // 0 for a query without EDNS
		want     uint16
		limit    int
	}{
		{name: "the default bounds", corefile: "bufsize", size: 4096, want: 1232, limit: 1232},
		{name: "a smaller size stays", corefile: "bufsize", size: 1000, want: 1000, limit: 1000},
		{name: "the bound itself stays", corefile: "bufsize 1400", size: 1400, want: 1400, limit: 1400},
		{name: "a size of the operator's", corefile: "bufsize 512", size: 513, want: 512, limit: 512},
		{name: "a size that no reply may be cut to stays as written", corefile: "bufsize", size: 100, want: 100, limit: 512},
		{name: "no EDNS", corefile: "bufsize", limit: 512},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n "+test.corefile+"\n}", "bufsize"))
			if err != nil {
				t.Fatal(err)
			}
			m := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
			if test.size > 0 {
				m.SetEdns0(test.size, true)
			}
			x := block.FromMsg(t, m)
			var behind uint16
			end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
				seen, err := x.Query.Msg() // as an upstream would get it
				if err != nil {
					return err
				}
				if opt := seen.IsEdns0(); opt != nil {
					behind = opt.UDPSize()
				}
				x.Reply.Start(&x.Query, dns.RcodeSuccess)
				return nil
			})
			if err := block.Serve(x, h, end); err != nil {
				t.Fatal(err)
			}
			if behind != test.want {
				t.Errorf("the size behind the directive is %d, want %d", behind, test.want)
			}
			if x.Limit() != test.limit {
				t.Errorf("a reply of %d bytes may be sent, want %d", x.Limit(), test.limit)
			}
			opt := block.Answer(t, x).IsEdns0()
			if (opt != nil) != (test.size > 0) || opt != nil && opt.UDPSize() != test.want {
				t.Errorf("the reply's OPT record is %v, want size %d", opt, test.want)
			}
		})
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error { return nil })
	for _, size := range []uint16{1232, 4096} {
		x := block.FromMsg(t, new(dns.Msg).SetQuestion("example.org.", dns.TypeA).SetEdns0(size, false))
		chain := []plugin.Handler{Handler{size: defaultSize}, end}
		n := testing.AllocsPerRun(100, func() {
			x.Query.EDNS.Size = size
			x.Begin(nil, chain)
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("size %d: %v allocations a query, want none", size, n)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "no number", corefile: ". {\n bufsize big\n}", want: `Corefile:2: bufsize: "big" is not a size in bytes from 512 to 4096`},
		{name: "too small", corefile: ". {\n bufsize 511\n}", want: `Corefile:2: bufsize: "511" is not a size in bytes from 512 to 4096`},
		{name: "too large", corefile: ". {\n bufsize 4097\n}", want: `Corefile:2: bufsize: "4097" is not a size in bytes from 512 to 4096`},
		{name: "two sizes", corefile: ". {\n bufsize 512 600\n}", want: `Corefile:2: bufsize: wants at most 1 argument, but has 2; write "bufsize [SIZE]"`},
		{name: "options", corefile: ". {\n bufsize 512 {\n }\n}", want: "Corefile:2: bufsize: takes no options in { }"},
		{name: "twice", corefile: ". {\n bufsize\n bufsize 600\n}", want: "Corefile:3: bufsize: given twice in a server block; the first one is at Corefile:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "bufsize"))
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
