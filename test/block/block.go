// Package block is a server block for the tests of one directive: it builds the directive from the text of a Corefile, and
// sends queries through it and an end of the chain that the test supplies. It opens no socket.
package block

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Lines are the lines of a directive in all server blocks of a Corefile.
func Lines(t testing.TB, text, directive string) []*corefile.Directive {
	t.Helper()
	file, err := corefile.Parse("Corefile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file.Lines(directive)
}

// Examples are the Corefiles in the README of the package under test.
func Examples(t testing.TB) (examples []string) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(readme), "~~~ corefile\n")[1:] {
		text, _, closed := strings.Cut(part, "\n~~~")
		if !closed {
			t.Fatal("README.md: an example is not closed")
		}
		examples = append(examples, text+"\n")
	}
	if len(examples) == 0 {
		t.Fatal("README.md has no example")
	}
	return examples
}

// BuildExamples builds a directive from every example of its README.
func BuildExamples(t *testing.T, spec plugin.Spec) {
	t.Helper()
	for _, example := range Examples(t) {
		lines := Lines(t, example, spec.Name)
		if len(lines) == 0 {
			t.Errorf("%s is not in the example\n%s", spec.Name, example)
			continue
		}
		for _, line := range lines {
			if _, err := spec.Build(NewEnv(io.Discard), []*corefile.Directive{line}); err != nil {
				t.Errorf("%v in the example\n%s", err, example)
			}
		}
	}
}

// NewEnv is the Env of the block "." on one listener. Log lines go to log in the form "[INFO] text\n".
func NewEnv(log io.Writer) *plugin.Env {
	return &plugin.Env{
		Zones:   []wire.Name{wire.Root},
		Servers: []string{"dns://:53"},
		Shards:  1,
		Version: "0.0.0-test",
		Log:     slog.New(&lines{w: log}),
		Metrics: prometheus.NewRegistry(),
		Web:     &Web{},
		Listen:  new(plugin.Listen),
		Reload:  new(plugin.Reload),
		Now:     time.Now,
	}
}

// lines is a slog.Handler that writes a level and a message.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.w, "["+r.Level.String()+"] "+r.Message+"\n")
	return err
}

// Buffer is a log that may be read while it is written.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends to the log.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is the log so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Web is a plugin.Web that keeps handlers in a map.
type Web struct {
	pages map[string]http.Handler
}

// Handle serves path on addr.
func (w *Web) Handle(at corefile.Position, addr, path string, h http.Handler) error {
	first, taken := w.pages[addr+path]
	if taken {
		if page, ok := first.(plugin.Page); ok && page.Same(h) {
			return nil
		}
		return corefile.Token{Pos: at}.Errorf("%s%s is served already", addr, path)
	}
	if w.pages == nil {
		w.pages = make(map[string]http.Handler)
	}
	w.pages[addr+path] = h
	return nil
}

// Page is the handler of an address and path, "localhost:9153/metrics"; nil when there is none.
func (w *Web) Page(at string) http.Handler { return w.pages[at] }

// Instance is a plugin.Instance that consists of these blocks.
type Instance []plugin.Block

// Blocks are the blocks.
func (i Instance) Blocks() []plugin.Block { return i }

// HandlerFunc is the end of a chain.
type HandlerFunc func(ctx context.Context, x *plugin.Exchange) error

// Name is that of no directive.
func (HandlerFunc) Name() string { return "end" }

// Serve calls f.
func (f HandlerFunc) Serve(ctx context.Context, x *plugin.Exchange) error { return f(ctx, x) }

// Reply ends a chain with a message, which is made the reply to the query.
func Reply(rcode int, records ...string) HandlerFunc {
	return func(_ context.Context, x *plugin.Exchange) error {
		m, err := x.Query.Msg()
		if err != nil {
			return err
		}
		reply := new(dns.Msg).SetRcode(m, rcode)
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				return err
			}
			if rr.Header().Rrtype == dns.TypeSOA || rr.Header().Rrtype == dns.TypeNS {
				reply.Ns = append(reply.Ns, rr)
				continue
			}
			reply.Answer = append(reply.Answer, rr)
		}
		return x.Reply.SetMsg(&x.Query, reply)
	}
}

// NewExchange is a query by UDP from 10.240.0.1:40212 to 10.96.0.10:53, for the block "." of "dns://:53".
func NewExchange(t testing.TB, name string, qtype uint16) *plugin.Exchange {
	t.Helper()
	return FromMsg(t, new(dns.Msg).SetQuestion(name, qtype))
}

// FromMsg is a query like NewExchange's with a message of the caller's.
func FromMsg(t testing.TB, m *dns.Msg) *plugin.Exchange {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	x := &plugin.Exchange{
		Now:    time.Now(),
		Client: netip.MustParseAddrPort("10.240.0.1:40212"),
		Local:  netip.MustParseAddrPort("10.96.0.10:53"),
		Server: "dns://:53",
		Zone:   ".",
	}
	if err := x.Query.Parse(packet); err != nil {
		t.Fatal(err)
	}
	return x
}

// Serve sends x through a chain.
func Serve(x *plugin.Exchange, chain ...plugin.Handler) error {
	x.Begin(nil, chain)
	return x.Next(context.Background())
}

// Answer is the reply to x as the client reads it.
func Answer(t testing.TB, x *plugin.Exchange) *dns.Msg {
	t.Helper()
	if !x.Reply.Made() {
		t.Fatal("no reply was made")
	}
	m := new(dns.Msg)
	if err := m.Unpack(x.Reply.Finish(&x.Query, x.Limit())); err != nil {
		t.Fatal(err)
	}
	return m
}
