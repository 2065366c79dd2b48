package file

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// bed is a started handler with the zones of files.
type bed struct {
	*Handler
	env *plugin.Env
	log *block.Buffer
	dir string
}

// newBed starts the directive of Corefile lines in the block "example.org.", whose files lie in a folder of the test's. Others
// stand in the block too.
func newBed(t testing.TB, lines string, files map[string]string, others ...plugin.Handler) *bed {
	t.Helper()
	b := build1(t, lines, files, others...)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func build1(t testing.TB, lines string, files map[string]string, others ...plugin.Handler) *bed {
	t.Helper()
	b := &bed{log: new(block.Buffer), dir: t.TempDir()}
	for name, text := range files {
		b.write(t, name, text)
	}
	b.env = block.NewEnv(b.log)
	b.env.Dir, b.env.Zones = b.dir, plugin.Zones{"\x07example\x03org\x00"}
	h, err := Spec().Build(b.env, block.Lines(t, "example.org {\n"+lines+"\n}", "file"))
	if err != nil {
		t.Fatal(err)
	}
	b.Handler = h.(*Handler)
	b.env.Instance = block.Instance{{Zone: "example.org.", Handlers: append(others, h)}}
	return b
}

// write puts a file in the place of another at once, as an editor does.
func (b *bed) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// elsewhere is a plugin.Host that knows some names of other zones.
type elsewhere map[string]*dns.Msg

func (elsewhere) Yield(*plugin.Exchange) error { return nil }

func (e elsewhere) Resolve(_ context.Context, _ *plugin.Exchange, name wire.Name, _ uint16) (*dns.Msg, error) {
	if name.String() == "overload.example.net." {
		return nil, plugin.ErrOverload
	}
	return e[name.String()], nil
}

// reply is a message with records.
func reply(t testing.TB, rcode int, records ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.Rcode = rcode
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// ask is the reply to "name type", or "name type DO", as text: the rcode and odd flags, then a line for each record, "-" in
// front of the authority section's and "+" of the additional's. The zone's SOA record is "SOA", its own NS record "NS".
func (b *bed) ask(t testing.TB, host plugin.Host, question string) []string {
	t.Helper()
	words := strings.Fields(question)
	m := new(dns.Msg).SetQuestion(words[0], dns.StringToType[words[1]])
	if len(words) > 2 {
		m.SetEdns0(4096, true)
	}
	x := block.FromMsg(t, m)
	x.Transport = plugin.TCP
	x.Begin(host, []plugin.Handler{b.Handler, block.HandlerFunc(func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeNotZone)
		return nil
	})})
	switch err := x.Next(t.Context()); {
	case err != nil:
		return []string{"error: " + err.Error()}
	case x.Reply.Dropped():
		return []string{"no reply"}
	}
	got := block.Answer(t, x)
	if got.Rcode == dns.RcodeNotZone {
		return []string{"NEXT"}
	}
	verdict := dns.RcodeToString[got.Rcode]
	if !got.Authoritative {
		verdict += " no AA"
	}
	lines := []string{verdict}
	lines = append(lines, render("", got.Answer)...)
	lines = append(lines, render("- ", got.Ns)...)
	return append(lines, render("+ ", got.Extra)...)
}

func render(mark string, records []dns.RR) (lines []string) {
	for _, rr := range records {
		text := strings.ReplaceAll(strings.Replace(rr.String(), "\tIN\t", "\t", 1), "\t", " ")
		switch rr := rr.(type) {
		case *dns.OPT:
			continue
		case *dns.SOA:
			text = "SOA"
		case *dns.RRSIG:
			text = strings.TrimSuffix(rr.Hdr.Name+" RRSIG "+dns.TypeToString[rr.TypeCovered], " ")
		case *dns.NSEC:
			text = rr.Hdr.Name + " NSEC " + rr.NextDomain
		case *dns.NS:
			if rr.Hdr.Name == "example.org." && mark != "" {
				text = "NS"
			}
		}
		lines = append(lines, mark+text)
	}
	return lines
}

// row is a question and what comes back.
type row struct {
	name string // the rule that the row is about
	ask  string
	want []string
}

func (b *bed) check(t *testing.T, host plugin.Host, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if diff := cmp.Diff(r.want, b.ask(t, host, r.ask)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", r.ask, diff)
			}
		})
	}
}

// within polls until ok.
func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
