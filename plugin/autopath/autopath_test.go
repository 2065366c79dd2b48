package autopath

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// fixed is a Searcher with one search list for everybody.
type fixed struct{ search []wire.Name }

func (fixed) Name() string { return "fixed" }

func (f fixed) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

func (f fixed) SearchPath(*plugin.Exchange) []wire.Name { return f.search }

// names are the search list of a pod in the namespace default.
func names(t testing.TB, texts ...string) (list []wire.Name) {
	t.Helper()
	for _, text := range texts {
		name, err := wire.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	return list
}

// bed is a started handler, and the names that it asked for.
type bed struct {
	handler *Handler
	env     *plugin.Env
	search  plugin.Handler
	log     *block.Buffer
	asked   []string
}

// newBed starts the directive of a Corefile line, before a directive "fixed" with the search list.
func newBed(t testing.TB, line string, search ...string) *bed {
	t.Helper()
	b := &bed{search: fixed{names(t, search...)}, log: new(block.Buffer)}
	b.env = block.NewEnv(b.log)
	h, err := Spec().Build(b.env, block.Lines(t, ". {\n "+line+"\n}", "autopath"))
	if err != nil {
		t.Fatal(err)
	}
	b.handler = h.(*Handler)
	b.env.Instance = block.Instance{{Server: "dns://:53", Zone: ".", Handlers: []plugin.Handler{h, b.search}}}
	if err := b.handler.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// known is the end of the chain: a name's own records, NODATA for "empty", SERVFAIL for "broken", an error for "failing",
// no reply for "silent", and NXDOMAIN for everything else.
func (b *bed) known(records ...string) plugin.Handler {
	return block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		name := strings.ToLower(x.Query.NameString())
		b.asked = append(b.asked, name)
		x.Live = strings.HasSuffix(name, "cluster.local.")
		reply := func(rcode int, records ...string) error {
			return block.Reply(rcode, records...)(ctx, x)
		}
		switch name {
		case "empty.":
			return reply(dns.RcodeSuccess, ". 60 IN SOA a. b. 1 2 3 4 5")
		case "broken.":
			return reply(dns.RcodeServerFailure)
		case "failing.":
			return errors.New("no upstream")
		case "silent.default.svc.cluster.local.", "silent.":
			x.Reply.Drop()
			return nil
		}
		var found []string
		for _, r := range records {
			if owner, _, _ := strings.Cut(r, " "); owner == name || name == "alias.example.com." && strings.HasPrefix(r, "edge.") {
				found = append(found, r)
			}
		}
		if found == nil {
			return reply(dns.RcodeNameError, "cluster.local. 30 IN SOA ns.dns.cluster.local. b. 1 2 3 4 5")
		}
		return reply(dns.RcodeSuccess, found...)
	})
}

var podSearch = []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local", "node.example", "."}

func TestServe(t *testing.T) {
	t.Parallel()
	records := []string{
		"own.default.svc.cluster.local. 5 IN A 10.96.0.1",
		"other.shop.svc.cluster.local. 5 IN A 10.96.0.2",
		"host.node.example. 60 IN A 192.0.2.1",
		"www.example.com. 300 IN A 192.0.2.2", "www.example.com. 300 IN A 192.0.2.3",
		"alias.example.com. 300 IN CNAME edge.example.net.", "edge.example.net. 20 IN A 192.0.2.4",
	}
	for _, test := range []struct {
		name  string
		ask   string
		want  []string // rcode, answers
		asked int      // how many names were asked for
	}{
		{
			name: "a name that exists", ask: "own.default.svc.cluster.local.", asked: 1,
			want: []string{"NOERROR", "own.default.svc.cluster.local. 5 A 10.96.0.1"},
		},
		{
			name: "the second entry", ask: "other.shop.default.svc.cluster.local.", asked: 2,
			want: []string{"NOERROR", "other.shop.default.svc.cluster.local. 5 CNAME other.shop.svc.cluster.local.", "other.shop.svc.cluster.local. 5 A 10.96.0.2"},
		},
		{
			name: "a domain of the node", ask: "host.default.svc.cluster.local.", asked: 4,
			want: []string{"NOERROR", "host.default.svc.cluster.local. 60 CNAME host.node.example.", "host.node.example. 60 A 192.0.2.1"},
		},
		{
			name: "the name itself, spelled as the client has it", ask: "wWw.eXample.com.Default.svc.cluster.local.", asked: 5,
			want: []string{
				"NOERROR", "wWw.eXample.com.Default.svc.cluster.local. 300 CNAME www.example.com.",
				"www.example.com. 300 A 192.0.2.2", "www.example.com. 300 A 192.0.2.3",
			},
		},
		{
			name: "an alias of an alias", ask: "alias.example.com.default.svc.cluster.local.", asked: 5,
			want: []string{
				"NOERROR", "alias.example.com.default.svc.cluster.local. 300 CNAME alias.example.com.",
				"alias.example.com. 300 CNAME edge.example.net.", "edge.example.net. 20 A 192.0.2.4",
			},
		},
		{name: "no address is an answer", ask: "empty.default.svc.cluster.local.", asked: 5, want: []string{"NOERROR"}},
		{name: "trouble ends the walk", ask: "broken.default.svc.cluster.local.", asked: 5, want: []string{"SERVFAIL"}},
		{name: "an error ends the walk", ask: "failing.default.svc.cluster.local.", asked: 5, want: []string{"error: no upstream"}},
		{name: "no reply is no answer", ask: "silent.default.svc.cluster.local.", asked: 5, want: []string{"no reply"}},
		{name: "nowhere", ask: "nowhere.default.svc.cluster.local.", asked: 5, want: []string{"NXDOMAIN"}},
		{name: "the first entry itself", ask: "default.svc.cluster.local.", asked: 1, want: []string{"NXDOMAIN"}},
		{name: "below another entry", ask: "www.example.com.svc.cluster.local.", asked: 1, want: []string{"NXDOMAIN"}},
		{name: "outside the directive's zones", ask: "www.example.com.", asked: 1, want: []string{"NOERROR", "www.example.com. 300 A 192.0.2.2", "www.example.com. 300 A 192.0.2.3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "autopath cluster.local @fixed", podSearch...)
			x := block.NewExchange(t, test.ask, dns.TypeA)
			got := outcome(t, x, block.Serve(x, b.handler, b.known(records...)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			if len(b.asked) != test.asked {
				t.Errorf("asked for %q, want %d names", b.asked, test.asked)
			}
			if x.Query.NameString() != test.ask {
				t.Errorf("the query is for %s now, want what the client asked", x.Query.NameString())
			}
		})
	}
}

func outcome(t testing.TB, x *plugin.Exchange, err error) []string {
	t.Helper()
	switch {
	case err != nil && x.Reply.Made():
		t.Error("a reply was made beside an error")
		fallthrough
	case err != nil:
		return []string{"error: " + err.Error()}
	case !x.Reply.Made():
		return []string{"no reply"}
	}
	m := block.Answer(t, x)
	if m.Question[0].Name != x.Query.NameString() {
		t.Errorf("the reply's question is %s, want %s", m.Question[0].Name, x.Query.NameString())
	}
	lines := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		lines = append(lines, strings.ReplaceAll(strings.Replace(rr.String(), "\tIN\t", "\t", 1), "\t", " "))
	}
	return lines
}

// An answer from outside the cluster may be kept (Exchange.Live), though the cluster was asked before; the client's
// NXDOMAIN may not.
func TestLive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		ask  string
		want bool
	}{
		{name: "from outside", ask: "empty.default.svc.cluster.local."},
		{name: "from the cluster", ask: "nowhere.default.svc.cluster.local.", want: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "autopath @fixed", podSearch...)
			x := block.NewExchange(t, test.ask, dns.TypeA)
			if err := block.Serve(x, b.handler, b.known()); err != nil {
				t.Fatal(err)
			}
			if x.Live != test.want {
				t.Errorf("Live is %v, want %v", x.Live, test.want)
			}
		})
	}
}

// Names of more than 255 bytes (RFC 1035, section 2.3.4) are left out of the walk.
func TestTooLong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	b := newBed(t, "autopath @fixed", "x", strings.Join([]string{long, long, long, long[:40]}, "."), ".")
	x := block.NewExchange(t, long+".x.", dns.TypeA)
	if err := block.Serve(x, b.handler, b.known(long+". 1 IN A 192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	if want := []string{long + ".x.", long + "."}; !slices.Equal(b.asked, want) {
		t.Errorf("asked for %q, want %q", b.asked, want)
	}
}

func TestEDNSAndOptionsStay(t *testing.T) {
	t.Parallel()
	b := newBed(t, "autopath @fixed", podSearch...)
	m := new(dns.Msg).SetQuestion("www.example.com.default.svc.cluster.local.", dns.TypeA).SetEdns0(1400, true)
	x := block.FromMsg(t, m)
	if err := block.Serve(x, b.handler, b.known("www.example.com. 300 IN A 192.0.2.2")); err != nil {
		t.Fatal(err)
	}
	got := block.Answer(t, x)
	if got.Id != m.Id || got.IsEdns0() == nil || got.IsEdns0().UDPSize() != 1400 || !got.IsEdns0().Do() {
		t.Errorf("got\n%v", got)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "resolv.conf")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("nameserver 192.0.2.53\nsearch lan.example corp.example\n")
	b := newBed(t, "autopath "+file)
	x := block.NewExchange(t, "host.lan.example.", dns.TypeA)
	if err := block.Serve(x, b.handler, b.known()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"host.lan.example.", "host.corp.example.", "host."}; !slices.Equal(b.asked, want) {
		t.Errorf("asked for %q, want %q", b.asked, want)
	}

	write("nameserver 192.0.2.53\nsearch\n")
	b = newBed(t, "autopath "+file)
	if !strings.Contains(b.log.String(), "no search list") {
		t.Errorf("log is %q, want a word on the empty list", b.log)
	}
	x = block.NewExchange(t, "host.lan.example.", dns.TypeA)
	if err := block.Serve(x, b.handler, b.known()); err != nil || len(b.asked) != 1 {
		t.Errorf("asked for %q (%v), want the question alone", b.asked, err)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("search "+strings.Repeat("a", 64)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, line, want string
	}{
		{name: "no such file", line: "autopath " + filepath.Join(dir, "none"), want: "cannot read the search list: open " + filepath.Join(dir, "none")},
		{name: "a bad domain", line: "autopath " + bad, want: bad + `: search: "aaaa`},
		{name: "a directive without search lists", line: "autopath @end", want: "end knows no search lists; kubernetes does"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			h, err := Spec().Build(env, block.Lines(t, ". {\n "+test.line+"\n}", "autopath"))
			if err != nil {
				t.Fatal(err)
			}
			env.Instance = block.Instance{{Handlers: []plugin.Handler{h, block.Reply(0)}}}
			if err := h.(*Handler).Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error is %v, want %s...", err, test.want)
			}
		})
	}
}

// CoreDNS takes such a Corefile, and does nothing.
func TestNoSuchDirective(t *testing.T) {
	t.Parallel()
	b := newBed(t, "autopath @kubernetes", podSearch...)
	x := block.NewExchange(t, "www.example.com.default.svc.cluster.local.", dns.TypeA)
	if err := block.Serve(x, b.handler, b.known()); err != nil || len(b.asked) != 1 {
		t.Errorf("asked for %q (%v), want the question alone", b.asked, err)
	}
	if !strings.Contains(b.log.String(), "no such directive") {
		t.Errorf("log is %q, want a word on the missing directive", b.log)
	}
}

// coredns_autopath_success_total counts whatever exists, be it the question's own name.
func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBed(t, "autopath @fixed", podSearch...)
	for _, name := range []string{
		"empty.default.svc.cluster.local.", "own.default.svc.cluster.local.", "nowhere.default.svc.cluster.local.",
		"failing.default.svc.cluster.local.", "elsewhere.",
	} {
		x := block.NewExchange(t, name, dns.TypeA)
		_ = block.Serve(x, b.handler, b.known("own.default.svc.cluster.local. 5 IN A 10.96.0.1")) // TestServe looks at errors
	}
	want := map[string]float64{`coredns_autopath_success_total{server="dns://:53"}`: 2}
	if diff := cmp.Diff(want, block.Counters(t, b.env)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "no argument", corefile: "autopath", want: `Corefile:2: autopath: wants at least 1 argument, but has 0; write "autopath [ZONE...] RESOLV-CONF|@DIRECTIVE"`},
		{name: "no directive", corefile: "autopath @", want: `Corefile:2: autopath: a directive is missing behind "@"; write "autopath @kubernetes"`},
		{name: "an empty file", corefile: `autopath ""`, want: `Corefile:2: autopath: the argument is empty; write "autopath [ZONE...] RESOLV-CONF|@DIRECTIVE"`},
		{name: "a bad zone", corefile: "autopath a..b @kubernetes", want: `Corefile:2: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`},
		{name: "options", corefile: "autopath @kubernetes {\n}", want: "Corefile:2: autopath: takes no options in { }"},
		{name: "twice", corefile: "autopath @kubernetes\nautopath @kubernetes", want: "Corefile:3: autopath: given twice in a server block; the first one is at Corefile:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.corefile+"\n}", "autopath"))
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
