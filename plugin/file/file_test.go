package file

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

const head = "@ 300 SOA ns admin 1 7200 3600 1209600 60\n@ NS ns\n"

// A zone file that is none keeps the server from starting, and says why.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, lines, text string
		want              string // in the error
	}{
		{name: "no SOA", lines: "file db", text: "www 300 A 192.0.2.1\n", want: "there is no SOA record for example.org."},
		{name: "another zone's SOA", lines: "file db", text: "@ 300 SOA ns admin 1 1 1 1 1\nother 300 SOA ns admin 1 1 1 1 1\n", want: "the SOA record is of other.example.org., want example.org."},
		{name: "NSEC3", lines: "file db", text: head + "x NSEC3PARAM 1 0 0 -\n", want: "x.example.org. has an NSEC3PARAM record: zones with NSEC3 are not served; sign with NSEC"},
		{name: "bad syntax", lines: "file db", text: head + "www A nonsense\n", want: "nonsense"},
		{name: "no file, looked for once", lines: "file none {\n reload 0\n}", want: "none: no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := build1(t, test.lines, map[string]string{"db": test.text})
			if err := b.Start(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

// RFC 1035, section 5.1: a file may include others; records of other zones in it are none of this one's.
func TestParse(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db", map[string]string{
		"db":    head + "$INCLUDE more\nwww.example.net. A 192.0.2.9\n@ 300 SOA ns admin 7 7200 3600 1209600 60\n",
		"more":  "inc A 192.0.2.1\n",
		"other": "",
	})
	b.check(t, nil, []row{{"an included record", "inc.example.org. A", []string{"NOERROR", "inc.example.org. 300 A 192.0.2.1", "- NS"}}})
	if got := b.log.String(); !strings.Contains(got, "lies outside its zone") {
		t.Errorf("log is %q, want a word on the record of example.net", got)
	}
	c, ok, err := b.Contents(origin)
	if !ok || err != nil || c.SOA.Serial != 7 {
		t.Errorf("serial %v (%v, %v), want that of the last SOA record", c.SOA, ok, err)
	}
}

const origin wire.Name = "\x07example\x03org\x00"

// One file may hold several zones' relative names, and each zone its own file.
func TestSeveralZones(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db example.org sub.example.org\nfile com example.com", map[string]string{
		"db": "@ 300 SOA ns admin 1 7200 3600 1209600 60\nwww A 192.0.2.1\n", "com": "@ 300 SOA ns admin 1 7200 3600 1209600 60\n",
	})
	b.check(t, nil, []row{
		{"the first zone", "www.example.org. A", []string{"NOERROR", "www.example.org. 300 A 192.0.2.1"}},
		{"the longer zone", "www.sub.example.org. A", []string{"NOERROR", "www.sub.example.org. 300 A 192.0.2.1"}},
		{"the other file", "www.example.com. A", []string{"NXDOMAIN", "- SOA"}},
	})
}

func TestNothingElse(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db", map[string]string{"db": head})
	x := block.NewExchange(t, "example.net.", dns.TypeA)
	if err := block.Serve(x, b.Handler); err != nil || block.Answer(t, x).Rcode != dns.RcodeRefused {
		t.Errorf("a name of no zone, with nobody else to ask: %v, %v; want REFUSED", x.Reply.Rcode(), err)
	}
	m := new(dns.Msg).SetNotify("example.org.")
	x = block.FromMsg(t, m)
	if err := block.Serve(x, b.Handler); err != nil || !x.Reply.Dropped() {
		t.Errorf("NOTIFY to a primary server: %v, made %v; want no reply", err, x.Reply.Made())
	}
}

func TestWildcardMetadata(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db", map[string]string{"db": head + "*.w A 192.0.2.1\n"})
	known := new(plugin.Metadata)
	x := block.NewExchange(t, "a.b.w.example.org.", dns.TypeA)
	err := block.Serve(x, block.HandlerFunc(func(ctx context.Context, x *plugin.Exchange) error {
		x.Metadata = known
		return x.Next(ctx)
	}), b.Handler)
	if value, _ := known.Value("zone/wildcard"); err != nil || value != "*.w.example.org." {
		t.Errorf("zone/wildcard is %q (%v), want *.w.example.org.", value, err)
	}
}

// RFC 4034, section 6.1, has this very list.
func TestCanonicalOrder(t *testing.T) {
	t.Parallel()
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	var names []wire.Name
	for _, text := range want {
		name, err := wire.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	got := slices.Clone(names)
	slices.Reverse(got)
	slices.SortFunc(got, compare)
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// noting is the directive transfer, as far as it is told of changes.
type noting struct {
	mu   sync.Mutex
	told []string
}

func (*noting) Name() string { return "noting" }

func (*noting) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

func (n *noting) Notify(_ context.Context, zone wire.Name) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, zone.String())
	return nil
}

func (n *noting) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.told)
}

// run runs the handler until the test ends.
func (b *bed) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestReload(t *testing.T) {
	t.Parallel()
	zone := func(serial, addr string) string {
		return "@ 300 SOA ns admin " + serial + " 7200 3600 1209600 60\nwww A " + addr + "\n"
	}
	n := &noting{}
	b := newBed(t, "file db {\n reload 5ms\n}", map[string]string{"db": zone("1", "192.0.2.1")}, n)
	b.run(t)
	within(t, "the start is told of", func() bool { return n.count() == 1 })
	address := func() string { return b.ask(t, nil, "www.example.org. A")[1] }
	answers := func(addr string) func() bool {
		return func() bool { return address() == "www.example.org. 300 A "+addr }
	}

	b.write(t, "db", zone("2", "192.0.2.2"))
	within(t, "a new serial", answers("192.0.2.2"))
	within(t, "which is told of", func() bool { return n.count() == 2 })

	b.write(t, "db", zone("3", "nonsense"))
	within(t, "a bad file is logged", func() bool { return strings.Contains(b.log.String(), "cannot read a zone file") })
	if !answers("192.0.2.2")() {
		t.Errorf("after a bad file: %s, want the zone as it was", address())
	}
	if err := os.Remove(filepath.Join(b.dir, "db")); err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(b.log.String(), "\n")
	within(t, "a missing file is logged", func() bool { return strings.Count(b.log.String(), "\n") > lines+2 })
	if !answers("192.0.2.2")() {
		t.Errorf("without the file: %s, want the zone as it was", address())
	}

	b.write(t, "db", zone("2", "192.0.2.7")) // with the serial that is loaded
	b.write(t, "db", zone("1", "192.0.2.8"))
	within(t, "any other serial, be it lower", answers("192.0.2.8"))
	if got := n.count(); got != 3 {
		t.Errorf("told %d times, want 3", got)
	}
}

// The same serial is no change; with reload_by_mtime a new time is.
func TestReloadByMtime(t *testing.T) {
	t.Parallel()
	zone := func(addr string) string { return head + "www A " + addr + "\n" }
	for _, test := range []struct {
		name, lines string
		change      func(t *testing.T, b *bed)
		want        bool
	}{
		{name: "the same serial", lines: "file db"},
		{name: "a new time", lines: "file db {\n reload_by_mtime\n}", want: true},
		{
			name: "the same time", lines: "file db {\n reload_by_mtime\n}",
			change: func(t *testing.T, b *bed) {
				s := b.sources[origin]
				if err := os.Chtimes(s.path, s.mtime, s.mtime); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, test.lines, map[string]string{"db": zone("192.0.2.1")})
			b.write(t, "db", zone("192.0.2.2"))
			later := time.Now().Add(time.Minute)
			if err := os.Chtimes(filepath.Join(b.dir, "db"), later, later); err != nil {
				t.Fatal(err)
			}
			if test.change != nil {
				test.change(t, b)
			}
			changed, err := b.sources[origin].read()
			if err != nil || changed != test.want {
				t.Errorf("changed: %v (%v), want %v", changed, err, test.want)
			}
		})
	}
}

// A file that is not there yet: SERVFAIL until it comes.
func TestLateFile(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file late {\n reload 5ms\n}", nil)
	b.check(t, nil, []row{{"no file", "www.example.org. A", []string{"SERVFAIL no AA"}}})
	if _, ok, err := b.Contents(origin); !ok || err == nil {
		t.Errorf("contents of a zone without file: %v, %v; want an error", ok, err)
	}
	if !strings.Contains(b.log.String(), "cannot open a zone file") {
		t.Errorf("log is %q, want a word on the file", b.log)
	}
	b.run(t)
	b.write(t, "late", head+"www A 192.0.2.1\n")
	within(t, "the zone is there", func() bool { return b.ask(t, nil, "www.example.org. A")[0] == "NOERROR" })
}

func TestContents(t *testing.T) {
	t.Parallel()
	b := newBed(t, "file db", map[string]string{"db": "b 300 A 192.0.2.2\n" + head + "@ TXT \"t\"\na.b A 192.0.2.3\nb AAAA 2001:db8::1\na A 192.0.2.1\n"})
	c, ok, err := b.Contents(origin)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	var got []string
	for rr := range c.Records {
		got = append(got, strings.TrimSuffix(rr.Header().Name, "example.org.")+" "+dns.TypeToString[rr.Header().Rrtype])
	}
	if diff := cmp.Diff([]string{" NS", " TXT", "a. A", "b. A", "b. AAAA", "a.b. A"}, got); diff != "" {
		t.Errorf("records in canonical order (-want +got):\n%s", diff)
	}
	for range c.Records {
		break // and nothing more is yielded
	}
	if _, ok, _ := b.Contents("\x01b" + origin); ok {
		t.Error("a name in the zone is no zone")
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "no file", corefile: "file", want: `Corefile:2: file: wants at least 1 argument, but has 0; write "file DBFILE [ZONES...]"`},
		{name: "an empty name", corefile: `file ""`, want: `Corefile:2: file: the name of the file is empty; write "file DBFILE [ZONES...]"`},
		{name: "a bad zone", corefile: "file db a..b", want: `Corefile:2: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`},
		{name: "a zone twice", corefile: "file db a b\nfile db b", want: "Corefile:3: file: zone b. is read from another file already"},
		{name: "no duration", corefile: "file db {\n reload\n}", want: `Corefile:3: reload: wants 1 argument, but has 0; write "reload DURATION"`},
		{name: "a bad duration", corefile: "file db {\n reload 30\n}", want: `Corefile:3: reload: "30" has no unit; write 30s for seconds`},
		{name: "an unknown option", corefile: "file db {\n reloads 1s\n}", want: `Corefile:3: file: unknown option "reloads"; did you mean "reload"? (known options: fallthrough, reload, reload_by_mtime, upstream)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.corefile+"\n}", "file"))
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

// Any file is a zone or an error, and any question gets an answer.
func FuzzParse(f *testing.F) {
	for _, text := range []string{plain, signed, head, "$ORIGIN .\nexample.org. 1 SOA . . 1 1 1 1 1\n*.example.org. CNAME a.b.example.org.\n"} {
		f.Add(text, "www.wild.example.org.")
	}
	f.Fuzz(func(t *testing.T, text, question string) {
		if strings.Contains(text, "$INCLUDE") || strings.Contains(text, "$GENERATE") {
			t.Skip("what other files have, or a great many records, is not the point")
		}
		z, err := parse(strings.NewReader(text), "", origin, nil, func(dns.RR) {})
		if err != nil {
			return
		}
		name, err := wire.ParseName(question)
		if err != nil || !origin.Contains(name) {
			return
		}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeCNAME, dns.TypeDS, dns.TypeRRSIG} {
			x := block.NewExchange(t, name.String(), qtype)
			x.Begin(elsewhere{}, nil)
			l := lookup{zone: z, x: x, qtype: qtype, do: true}
			if err := l.run(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	})
}
