package hosts

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

const file = `# the usual
127.0.0.1   localhost
::1         localhost ip6-localhost # and a comment
10.0.0.1    a.example.org A.example.org b.example.org
10.0.0.2	a.example.org
fd00::1%eth0 a.example.org only6.example.org
::ffff:10.0.0.3 mapped.example.org

not-an-address a.example.org
10.0.0.300 a.example.org
10.0.0.4 bad..name good.example.org
10.0.0.5 *.wild.example.org *
fd00::5 *.wild.example.org
10.0.0.6 own.wild.example.org
10.0.0.7 a\.b.example.org
10.0.0.8 example.org#comment other.example.org
10.0.0.9 last.example.net`

// start builds the directive of a Corefile, in which FILE stands for a file of this content, and starts it.
func start(t testing.TB, corefile, content string) *Handler {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, strings.ReplaceAll(corefile, "FILE", path), "hosts"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.(*Handler).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.(*Handler)
}

// next is the end of the chain: it answers with NXDOMAIN, which hosts never does.
func next(_ context.Context, x *plugin.Exchange) error {
	x.Reply.Start(&x.Query, dns.RcodeNameError)
	return nil
}

// ask is the answer as one line: rcode, "aa", and the records' data.
func ask(t testing.TB, h *Handler, question string) string {
	t.Helper()
	name, qtype, _ := strings.Cut(question, " ")
	x := block.NewExchange(t, name, dns.StringToType[qtype])
	if err := block.Serve(x, h, block.HandlerFunc(next)); err != nil {
		t.Fatal(err)
	}
	m := block.Answer(t, x)
	line := dns.RcodeToString[m.Rcode]
	if m.Authoritative {
		line += " aa"
	}
	for _, rr := range m.Answer {
		if rr.Header().Name != name || rr.Header().Class != dns.ClassINET {
			t.Errorf("%s: the owner of %v", question, rr)
		}
		line += " " + strings.TrimPrefix(rr.String(), rr.Header().String())
	}
	return line
}

func TestServe(t *testing.T) {
	t.Parallel()
	const plain = ".:53 {\nhosts FILE\n}\n"
	for _, tc := range []struct {
		name, corefile, question, want string
	}{
		{name: "IPv4", question: "localhost. A", want: "NOERROR aa 127.0.0.1"},
		{name: "IPv6", question: "localhost. AAAA", want: "NOERROR aa ::1"},
		{name: "an alias", question: "ip6-localhost. AAAA", want: "NOERROR aa ::1"},
		{name: "no address of this family", question: "ip6-localhost. A", want: "NOERROR aa"},
		{name: "any spelling, every line, doubles too", question: "A.EXAMPLE.org. A", want: "NOERROR aa 10.0.0.1 10.0.0.1 10.0.0.2"},
		{name: "a zone of an address does not count", question: "only6.example.org. AAAA", want: "NOERROR aa fd00::1"},
		{name: "a mapped address", question: "mapped.example.org. A", want: "NOERROR aa 10.0.0.3"},
		{name: "another type", question: "a.example.org. TXT", want: "NOERROR aa"},
		{name: "behind a name that is none", question: "good.example.org. A", want: "NOERROR aa 10.0.0.4"},
		{name: "a name with a dot in a label", question: `a\.b.example.org. A`, want: "NOERROR aa 10.0.0.7"},
		{name: "a comment begins within a field", question: "example.org. A", want: "NOERROR aa 10.0.0.8"},
		{name: "and ends with the line", question: "other.example.org. A", want: "SERVFAIL"},
		{name: "the last line needs no end", question: "last.example.net. A", want: "NOERROR aa 10.0.0.9"},
		{name: "a name that is not there", question: "nobody.example.org. A", want: "SERVFAIL"},
		{name: "whose type does not matter", question: "nobody.example.org. TXT", want: "SERVFAIL"},
		{name: "PTR", question: "2.0.0.10.in-addr.arpa. PTR", want: "NOERROR aa a.example.org."},
		{name: "PTR of several names", question: "1.0.0.10.in-addr.arpa. PTR", want: "NOERROR aa a.example.org. a.example.org. b.example.org."},
		{name: "PTR of a mapped address", question: "3.0.0.10.in-addr.arpa. PTR", want: "NOERROR aa mapped.example.org."},
		{name: "PTR of IPv6", question: "1." + strings.Repeat("0.", 27) + "0.0.d.f.ip6.arpa. PTR", want: "NOERROR aa a.example.org. only6.example.org."},
		{name: "PTR of another address", question: "9.9.9.9.in-addr.arpa. PTR", want: "NXDOMAIN"},
		{name: "PTR of no address", question: "a.example.org. PTR", want: "NXDOMAIN"},
		{name: "A of a reverse name", question: "2.0.0.10.in-addr.arpa. A", want: "SERVFAIL"},

		{name: "a wildcard", question: "x.wild.example.org. A", want: "NOERROR aa 10.0.0.5"},
		{name: "is one label", question: "y.x.wild.example.org. A", want: "SERVFAIL"},
		{name: "and not none", question: "wild.example.org. A", want: "SERVFAIL"},
		{name: "nor beside a name", question: "own.wild.example.org. A", want: "NOERROR aa 10.0.0.6"},
		{name: "but in its other family", question: "own.wild.example.org. AAAA", want: "NOERROR aa fd00::5"},
		{name: "the wildcard itself", question: "*.wild.example.org. A", want: "NOERROR aa 10.0.0.5"},
		{name: "a bare star is no wildcard", question: "anything. A", want: "SERVFAIL"},
		{name: "no PTR to a wildcard", question: "5.0.0.10.in-addr.arpa. PTR", want: "NXDOMAIN"},
		{name: "the root", question: ". A", want: "SERVFAIL"},

		{name: "outside of the zones", corefile: ". {\nhosts FILE example.org\n}\n", question: "localhost. A", want: "NXDOMAIN"},
		{name: "entries outside of the zones", corefile: ". {\nhosts FILE example.org\n}\n", question: "1.0.0.127.in-addr.arpa. PTR", want: "NXDOMAIN"},
		{name: "reverse zones go without saying", corefile: ". {\nhosts FILE example.org\n}\n", question: "2.0.0.10.in-addr.arpa. PTR", want: "NOERROR aa a.example.org."},
		{name: "no_reverse", corefile: ". {\nhosts FILE {\nno_reverse\n}\n}\n", question: "2.0.0.10.in-addr.arpa. PTR", want: "NXDOMAIN"},
		{name: "inline behind the file", corefile: ". {\nhosts FILE {\n10.9.9.9 a.example.org\n10.9.9.9 new.example.org\n}\n}\n", question: "a.example.org. A", want: "NOERROR aa 10.0.0.1 10.0.0.1 10.0.0.2 10.9.9.9"},
		{name: "PTR inline", corefile: ". {\nhosts FILE {\n10.9.9.9 a.example.org\n10.9.9.9 new.example.org\n}\n}\n", question: "9.9.9.10.in-addr.arpa. PTR", want: "NOERROR aa a.example.org. new.example.org."},
		{name: "a wildcard inline beside a name of the file", corefile: ". {\nhosts FILE {\n10.9.9.9 *.example.org\n}\n}\n", question: "b.example.org. A", want: "NOERROR aa 10.0.0.1 10.9.9.9"},
		{name: "fallthrough", corefile: ". {\nhosts FILE {\nfallthrough\n}\n}\n", question: "nobody.example.org. A", want: "NXDOMAIN"},
		{name: "fallthrough and NODATA", corefile: ". {\nhosts FILE {\nfallthrough\n}\n}\n", question: "b.example.org. AAAA", want: "NOERROR aa"},
		{name: "fallthrough of a zone", corefile: ". {\nhosts FILE {\nfallthrough example.org\n}\n}\n", question: "nobody.example.org. A", want: "NXDOMAIN"},
		{name: "fallthrough of another zone", corefile: ". {\nhosts FILE {\nfallthrough example.org\n}\n}\n", question: "nobody.example.net. A", want: "SERVFAIL"},
		{name: "fallthrough_unsupported", corefile: ". {\nhosts FILE {\nfallthrough\nfallthrough_unsupported\n}\n}\n", question: "b.example.org. HTTPS", want: "NXDOMAIN"},
		{name: "fallthrough_unsupported is for others", corefile: ". {\nhosts FILE {\nfallthrough\nfallthrough_unsupported\n}\n}\n", question: "b.example.org. AAAA", want: "NOERROR aa"},
		{name: "fallthrough_unsupported outside of its zones", corefile: ". {\nhosts FILE {\nfallthrough example.net\nfallthrough_unsupported\n}\n}\n", question: "b.example.org. HTTPS", want: "NOERROR aa"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.corefile == "" {
				tc.corefile = plain
			}
			if got := ask(t, start(t, tc.corefile, file), tc.question); got != tc.want {
				t.Errorf("%s: %s, want %s", tc.question, got, tc.want)
			}
		})
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]uint32{"": 3600, "ttl 60": 60, "ttl 65535": 65535} {
		h := start(t, ". {\nhosts FILE {\n"+line+"\n}\n}\n", file)
		for _, question := range []struct {
			name  string
			qtype uint16
		}{{"a.example.org.", dns.TypeA}, {"a.example.org.", dns.TypeAAAA}, {"1.0.0.10.in-addr.arpa.", dns.TypePTR}} {
			x := block.NewExchange(t, question.name, question.qtype)
			if err := block.Serve(x, h); err != nil {
				t.Fatal(err)
			}
			for _, rr := range block.Answer(t, x).Answer {
				if rr.Header().Ttl != want {
					t.Errorf("%q: %v, want TTL %d", line, rr, want)
				}
			}
		}
	}
}

// gauges are the metrics by name and value of their label.
func gauges(t testing.TB, env *plugin.Env) map[string]float64 {
	t.Helper()
	families, err := env.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, l := range m.Label {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			found[name] = m.Gauge.GetValue()
		}
	}
	return found
}

// eventually waits until ask says what is wanted.
func eventually(t *testing.T, h *Handler, question, want string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		got := ask(t, h, question)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s, want %s", question, got, want)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	write := func(content string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1700000000, 0).Add(-age)
		if err := os.Chtimes(path+".new", at, at); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	log := new(block.Buffer)
	env := block.NewEnv(log)
	built, err := Spec().Build(env, block.Lines(t, ". {\nhosts "+path+" {\n10.0.0.9 inline.test\nreload 5ms\n}\n}\n", "hosts"))
	if err != nil {
		t.Fatal(err)
	}
	h := built.(*Handler)
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()

	entries := func() float64 { return gauges(t, env)["coredns_hosts_entries hostsfile="+path] }
	if !strings.Contains(log.String(), "there is no file") || entries() != 2 {
		t.Errorf("log %q, %v entries", log, entries())
	}
	eventually(t, h, "a.test. A", "SERVFAIL")
	eventually(t, h, "inline.test. A", "NOERROR aa 10.0.0.9")
	write("10.0.0.1 a.test", time.Hour)
	eventually(t, h, "a.test. A", "NOERROR aa 10.0.0.1")
	write("10.0.0.2 a.test", time.Minute) // of the same size
	eventually(t, h, "a.test. A", "NOERROR aa 10.0.0.2")
	write("10.0.0.3 a.test b.test", time.Minute) // of the same time
	eventually(t, h, "a.test. A", "NOERROR aa 10.0.0.3")
	for deadline := time.Now().Add(5 * time.Second); entries() != 6; {
		if time.Now().After(deadline) {
			t.Fatalf("%v entries, want 6", entries())
		}
		<-time.After(5 * time.Millisecond)
	}
	if got := gauges(t, env)["coredns_hosts_reload_timestamp_seconds"]; got != 1700000000-60 {
		t.Errorf("reload timestamp %v", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, h, "a.test. A", "NOERROR aa 10.0.0.3")
	write("10.0.0.4 c.test", 0)
	eventually(t, h, "a.test. A", "SERVFAIL")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunWithoutReload(t *testing.T) {
	t.Parallel()
	h := start(t, ". {\nhosts FILE {\nreload 0s\n}\n}\n", file)
	if err := h.Run(t.Context()); err != nil { // returns at once
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(io.Discard)
	lines := block.Lines(t, ". {\nhosts /does/not/exist {\n10.0.0.1 a.test b.test\n}\n}\n", "hosts")
	for range 2 { // as a reload does
		h, err := Spec().Build(env, lines)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.(*Handler).Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{"coredns_hosts_entries hostsfile=/does/not/exist": 4, "coredns_hosts_reload_timestamp_seconds": 0}
	if diff := cmp.Diff(want, gauges(t, env)); diff != "" {
		t.Error(diff)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, tc := range []struct {
		name, line, err, log string
	}{
		{name: "bare", line: "hosts"},
		{name: "a file", line: "hosts /etc/hosts"},
		{name: "a folder", line: "hosts " + folder, log: "is a folder"},
		{name: "no file yet", line: "hosts /does/not/exist", log: "Corefile:2: there is no file"},
		{name: "a relative path that is not there", line: "hosts nothing.here", log: "there is no file"},
		{name: "below a file", line: "hosts /etc/hosts/x", err: `Corefile:2: hosts: cannot look at the file "/etc/hosts/x": `},
		{name: "zones", line: "hosts /etc/hosts example.org 10.0.0.0/8"},
		{name: "a zone that is none", line: "hosts /etc/hosts a..b", err: `Corefile:2: "a..b" is not a domain name`},
		{name: "twice", line: "hosts\nhosts", err: "Corefile:3: hosts: given twice in a server block; the first one is at Corefile:2"},
		{name: "ttl", line: "hosts {\nttl 1\n}"},
		{name: "ttl 0", line: "hosts {\nttl 0\n}", err: `Corefile:3: ttl: "0" is not a whole number from 1 to 65535`},
		{name: "ttl too long", line: "hosts {\nttl 65536\n}", err: `"65536" is not a whole number`},
		{name: "ttl without number", line: "hosts {\nttl\n}", err: `Corefile:3: ttl: wants 1 argument, but has 0; write "ttl SECONDS"`},
		{name: "reload", line: "hosts {\nreload 0s\n}"},
		{name: "reload without unit", line: "hosts {\nreload 5\n}", err: `write 5s for seconds`},
		{name: "negative reload", line: "hosts {\nreload -1s\n}", err: `"-1s" is out of range`},
		{name: "unknown behind fallthrough", line: "hosts {\nfallthrough\nno_revers\n}", err: `Corefile:4: hosts: unknown option "no_revers"; did you mean "no_reverse"?`},
		{name: "an entry behind fallthrough", line: "hosts {\nfallthrough\n10.0.0.1 a\n}", err: "Corefile:4: 10.0.0.1: entries have to stand before fallthrough"},
		{name: "options behind fallthrough", line: "hosts {\nfallthrough\nttl 5\nno_reverse\n}"},
		{name: "unsupported alone", line: "hosts {\nfallthrough_unsupported\n}", err: "Corefile:2: hosts: fallthrough_unsupported has no effect"},
		{name: "an entry without address", line: "hosts {\nttll 5\n}", log: `Corefile:3: "ttll" is not an address`},
		{name: "an entry with a body", line: "hosts {\n10.0.0.1 {\na\n}\n}", err: "Corefile:3: 10.0.0.1: takes no options"},
		{name: "all at once", line: "hosts {\nttl x\nreload y\n}", err: "Corefile:3: ttl: \"x\" is not a whole number from 1 to 65535\nCorefile:4: reload: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			log := new(block.Buffer)
			_, err := Spec().Build(block.NewEnv(log), block.Lines(t, ". {\n"+tc.line+"\n}\n", "hosts"))
			switch {
			case tc.err == "" && err != nil:
				t.Error(err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("error %v, want %s", err, tc.err)
			}
			if !strings.Contains(log.String(), tc.log) || tc.log == "" && log.String() != "" {
				t.Errorf("log %q, want %q", log, tc.log)
			}
		})
	}
}

func TestExamples(t *testing.T) { block.BuildExamples(t, Spec()) }

// TestCost: an answer and a miss allocate nothing.
func TestCost(t *testing.T) {
	h := start(t, ". {\nhosts FILE {\n10.9.9.9 a.example.org\n}\n}\n", file)
	for question, want := range map[string]string{
		"a.example.org. A": "10.0.0.2", "x.wild.example.org. AAAA": "fd00::5", "1.0.0.10.in-addr.arpa. PTR": "b.example.org.",
		"nobody.example.org. A": "SERVFAIL", "b.example.org. TXT": "NOERROR",
	} {
		if got := ask(t, h, question); !strings.Contains(got, want) {
			t.Errorf("%s: %s", question, got)
		}
		name, qtype, _ := strings.Cut(question, " ")
		x := block.NewExchange(t, name, dns.StringToType[qtype])
		chain := []plugin.Handler{h}
		if n := testing.AllocsPerRun(100, func() {
			x.Begin(nil, chain)
			if err := x.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", question, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(file)
	f.Add("10.0.0.1 " + strings.Repeat("x", 2*longestField) + " a.test\n" + strings.Repeat("1", 2*longestField) + " b.test\n10.0.0.2 c.test")
	zones := start(f, ". {\nhosts FILE\n}\n", "").zones
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parse(strings.NewReader(text), zones, true, func(line int, _ string) {
			if line < 1 || line > 1+strings.Count(text, "\n") {
				t.Errorf("line %d", line)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		// What was read, written out and read again is the same.
		var out strings.Builder
		for name, e := range entries.names {
			text, _, err := dns.UnpackDomainName([]byte(name), 0)
			if err != nil || len(e.v4)%4 != 0 || len(e.v6)%16 != 0 || e.empty() {
				t.Fatalf("%q %+v: %v", name, e, err)
			}
			if strings.ContainsAny(text, "#") || strings.Contains(text, `\ `) {
				return // cannot be written
			}
			for at := 0; at < len(e.v4); at += 4 {
				out.WriteString(net.IP(e.v4[at:at+4]).String() + " " + text + "\n")
			}
			for at := 0; at < len(e.v6); at += 16 {
				out.WriteString(netip.AddrFrom16([16]byte(e.v6[at:at+16])).String() + " " + text + "\n")
			}
		}
		again, err := parse(strings.NewReader(out.String()), zones, true, func(_ int, problem string) { t.Error(problem) })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(entries.names, again.names, cmp.AllowUnexported(entry{})); diff != "" {
			t.Error(diff)
		}
	})
}
