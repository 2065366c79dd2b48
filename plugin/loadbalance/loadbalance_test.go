package loadbalance

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// newHandler is the handler of the only loadbalance directive in a Corefile, not started.
func newHandler(t testing.TB, env *plugin.Env, corefile string) *Handler {
	t.Helper()
	h, err := Spec().Build(env, block.Lines(t, corefile, "loadbalance"))
	if err != nil {
		t.Fatal(err)
	}
	return h.(*Handler)
}

// answers is the data of the answer section to a question, by which the records in the tests differ.
func answers(t testing.TB, qtype uint16, chain ...plugin.Handler) (data []string) {
	t.Helper()
	x := block.NewExchange(t, "example.org.", qtype)
	if err := block.Serve(x, chain...); err != nil {
		t.Fatal(err)
	}
	for _, rr := range block.Answer(t, x).Answer {
		data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return data
}

var mixed = []string{
	"example.org. 5 IN A 10.0.0.1", "example.org. 5 IN MX 10 a.org.", "example.org. 5 IN A 192.168.0.1", "example.org. 5 IN CNAME x.org.",
	"example.org. 5 IN AAAA fd00::1", "example.org. 5 IN TXT t",
}

// Every record gets its turn at the front of its kind, and none is lost.
func TestRoundRobin(t *testing.T) {
	t.Parallel()
	h := newHandler(t, block.NewEnv(io.Discard), ". {\n loadbalance round_robin\n}")
	first := make(map[string]bool)
	for range 200 {
		got := answers(t, dns.TypeA, h, block.Reply(dns.RcodeSuccess, mixed...))
		if len(got) != len(mixed) || got[0] != "x.org." || got[1] != `"t"` || got[5] != "10 a.org." {
			t.Fatalf("order is %q, want CNAME, others, addresses, MX", got)
		}
		first[got[2]] = true
	}
	if len(first) != 3 {
		t.Errorf("of three addresses those came first in 200 replies: %v", first)
	}
}

func TestLeftAsItIs(t *testing.T) {
	t.Parallel()
	addresses := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}
	var records []string
	for _, a := range addresses {
		records = append(records, "example.org. 5 IN A "+a)
	}
	for _, test := range []struct {
		name  string
		qtype uint16
		rcode int
	}{
		{name: "no positive reply", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "AXFR (RFC 5936, section 2.2)", qtype: dns.TypeAXFR},
		{name: "IXFR", qtype: dns.TypeIXFR},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, block.NewEnv(io.Discard), ". {\n loadbalance {\n  prefer 10.0.0.4/32\n }\n}")
			for range 20 {
				if diff := cmp.Diff(addresses, answers(t, test.qtype, h, block.Reply(test.rcode, records...))); diff != "" {
					t.Fatalf("order (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestNoReply(t *testing.T) {
	t.Parallel()
	h := newHandler(t, block.NewEnv(io.Discard), ". {\n loadbalance\n}")
	trouble := errors.New("no upstream")
	for _, want := range []error{nil, trouble} {
		x := block.NewExchange(t, "example.org.", dns.TypeA)
		end := block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return want })
		if err := block.Serve(x, h, end); err != want || x.Reply.Made() {
			t.Errorf("error %v, reply made %v; want error %v and no reply", err, x.Reply.Made(), want)
		}
	}
}

func TestPrefer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, options string
		want          []string // how the answer begins
	}{
		{name: "one block", options: "prefer 192.168.0.0/16", want: []string{"x.org.", "192.168.0.1"}},
		{name: "in their order", options: "prefer fd00::/8 192.168.0.0/16", want: []string{"x.org.", "fd00::1", "192.168.0.1", "10.0.0.1", "10 a.org.", `"t"`}},
		{name: "lines add up", options: "prefer 10.0.0.1/32\n prefer fd00::1/128", want: []string{"x.org.", "10.0.0.1", "fd00::1", "192.168.0.1"}},
		{name: "host bits do not count", options: "prefer 192.168.7.7/16", want: []string{"x.org.", "192.168.0.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, block.NewEnv(io.Discard), ". {\n loadbalance {\n "+test.options+"\n }\n}")
			for range 20 {
				got := answers(t, dns.TypeA, h, block.Reply(dns.RcodeSuccess, mixed...))
				if diff := cmp.Diff(test.want, got[:len(test.want)]); diff != "" || len(got) != len(mixed) {
					t.Fatalf("%d records, order (-want +got):\n%s", len(got), diff)
				}
			}
		})
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	h := newHandler(t, block.NewEnv(io.Discard), ". {\n loadbalance\n}")
	end := block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		for i := range byte(4) {
			x.Reply.Address(wire.QuestionName, []byte{10, 0, 0, i}, 5)
		}
		return nil
	})
	x, chain := block.NewExchange(t, "example.org.", dns.TypeA), []plugin.Handler{h, end}
	n := testing.AllocsPerRun(100, func() {
		x.Begin(nil, chain)
		if err := x.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a query, want none", n)
	}
}

// weighted is a handler with these weights, which are looked at every millisecond, and its file and log.
func weighted(t *testing.T, text string) (h *Handler, file string, log *block.Buffer) {
	t.Helper()
	log = new(block.Buffer)
	env := block.NewEnv(log)
	env.Dir = t.TempDir()
	file = filepath.Join(env.Dir, "weights")
	if text != "" {
		write(t, file, text)
	}
	h = newHandler(t, env, ". {\n loadbalance weighted weights {\n  reload 1ms\n }\n}")
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, file, log
}

// write replaces a file in one step.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

var pair = block.Reply(dns.RcodeSuccess, "example.org. 5 IN CNAME x.org.", "x.org. 5 IN A 10.0.0.1", "x.org. 5 IN A 10.0.0.2")

// share is how many of 2000 replies have an address in front.
func share(t *testing.T, qtype uint16, h plugin.Handler, addr string) (n int) {
	t.Helper()
	for range 2000 {
		got := answers(t, qtype, h, pair)
		if got[0] != "x.org." || len(got) != 3 {
			t.Fatalf("order is %q, want the CNAME and both addresses", got)
		}
		if got[1] == addr {
			n++
		}
	}
	return n
}

// The bounds are over nine standard deviations from what is expected.
func TestWeighted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		qtype      uint16
		min, max   int // of 2000 that have 10.0.0.1 in front
	}{
		{name: "nine to one", text: "X.org\n10.0.0.1 9\n10.0.0.2 1\n", qtype: dns.TypeA, min: 1660, max: 1930},
		{name: "not in the file: 1", text: "# comment\n\nx.org.\n10.0.0.2 9\n", qtype: dns.TypeA, min: 70, max: 340},
		{name: "another name", text: "y.org\n10.0.0.1 255\n", qtype: dns.TypeA, min: 780, max: 1220},
		{name: "no file", qtype: dns.TypeA, min: 780, max: 1220},
		{name: "another type", text: "x.org\n10.0.0.2 255\n", qtype: dns.TypeTXT, min: 2000, max: 2000},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _, _ := weighted(t, test.text)
			if n := share(t, test.qtype, h, "10.0.0.1"); n < test.min || n > test.max {
				t.Errorf("10.0.0.1 comes first in %d of 2000 replies, want %d to %d", n, test.min, test.max)
			}
		})
	}
}

// An SRV reply without addresses stays in its order.
func TestWeightedWithoutAddresses(t *testing.T) {
	t.Parallel()
	h, _, _ := weighted(t, "")
	got := answers(t, dns.TypeSRV, h, block.Reply(dns.RcodeSuccess, "example.org. 5 IN TXT b", "example.org. 5 IN CNAME a.org."))
	if diff := cmp.Diff([]string{`"b"`, "a.org."}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestWeightsFollowTheFile(t *testing.T) {
	t.Parallel()
	h, file, log := weighted(t, "")
	if got := log.String(); !strings.Contains(got, "[WARN] no weights yet") {
		t.Errorf("log is %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); !done(); {
			if time.Now().After(deadline) {
				t.Fatalf("not after 5 s: %s; log %q", what, log)
			}
			<-time.After(time.Millisecond)
		}
	}
	write(t, file, "x.org\n10.0.0.1 200\n")
	wait("weights are read", func() bool { return h.weights.table.Load() != nil })
	write(t, file, "x.org\n10.0.0.1 0\n")
	wait("a bad file is reported", func() bool { return strings.Contains(log.String(), "weights stay as they were") })
	if known := *h.weights.table.Load(); len(known["x.org."]) != 1 {
		t.Errorf("weights are %v after a bad file, want those before", known)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, options, want string
	}{
		{name: "a bad file", text: "10.0.0.1 1", want: `weights:1: "10.0.0.1 1" is neither a name nor, below one, an address and its weight`},
		{name: "a missing file that is never looked at again", options: "reload 0s", want: "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			env.Dir = t.TempDir()
			if test.text != "" {
				write(t, filepath.Join(env.Dir, "weights"), test.text)
			}
			h := newHandler(t, env, ". {\n loadbalance weighted weights {\n  "+test.options+"\n }\n}")
			if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, want string
	}{
		{name: "an address without weight", text: "a.org\n\n10.0.0.1", want: `f:3: "10.0.0.1" is neither a name nor, below one, an address and its weight`},
		{name: "too great a weight", text: "a.org\n::1 256", want: `f:2: "256" is not a weight from 1 to 255`},
		{name: "no weight at all", text: "a.org\n::1 0", want: `f:2: "0" is not a weight from 1 to 255`},
		{name: "a bad name", text: "a..org", want: `f:1: "a..org" is not a domain name`},
		{name: "three words", text: "a.org b.org c.org", want: `f:1: "a.org b.org c.org" is neither a name nor, below one, an address and its weight`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse("f", []byte(test.text)); err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

// Whatever a file says, no address is drawn out of range.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a.org\n10.0.0.1 3\n", "# x\n\na.org.\n::1 255\nb.org", "10.0.0.1 1", "a.org\n::ffff:10.0.0.1 7"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := parse("f", text)
		if err != nil {
			return
		}
		for name, addrs := range parsed {
			var records []dns.RR
			for addr, weight := range addrs {
				if weight == 0 {
					t.Errorf("%s has weight 0", addr)
				}
				records = append(records, &dns.AAAA{Hdr: dns.RR_Header{Name: name}, AAAA: addr.AsSlice()})
			}
			if len(records) > 0 && !slices.Contains(parsed.ordered(records), records[parsed.draw(records)]) {
				t.Error("a record was lost")
			}
		}
	})
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "twice", corefile: ". {\n loadbalance\n loadbalance\n}", want: "Corefile:3: loadbalance: given twice in a server block; the first one is at Corefile:2"},
		{name: "an unknown policy", corefile: ". {\n loadbalance random\n}", want: `Corefile:2: loadbalance: "random" is no policy; write "loadbalance [round_robin | weighted FILE]"`},
		{name: "an argument of round_robin", corefile: ". {\n loadbalance round_robin x\n}", want: `Corefile:2: loadbalance: round_robin takes no argument; write "loadbalance [round_robin | weighted FILE]"`},
		{name: "no file", corefile: ". {\n loadbalance weighted\n}", want: `Corefile:2: loadbalance: weighted wants a file; write "loadbalance [round_robin | weighted FILE]"`},
		{
			name: "reload without file, a bad block", corefile: ". {\n loadbalance {\n  reload 1s\n  prefer 10.0.0.1\n }\n}",
			want: "Corefile:3: reload: there is no file to look at; it goes with \"loadbalance weighted FILE\"\n" +
				`Corefile:4: prefer: "10.0.0.1" is not an address block such as 10.0.0.0/8`,
		},
		{name: "no block", corefile: ". {\n loadbalance {\n  prefer\n }\n}", want: `Corefile:3: prefer: wants at least 1 argument, but has 0; write "prefer CIDR..."`},
		{name: "an unknown option", corefile: ". {\n loadbalance {\n  preferred x\n }\n}", want: `Corefile:3: loadbalance: unknown option "preferred"; did you mean "prefer"? (known options: prefer, reload)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, test.corefile, "loadbalance"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
}
