package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// double is a directive made for a test: its functions are what it does.
type double struct {
	name    string
	serve   func(ctx context.Context, x *plugin.Exchange) error
	start   func(ctx context.Context) error
	run     func(ctx context.Context) error
	drain   func(ctx context.Context)
	closed  func() error
	refused func(x *plugin.Exchange)
}

func (d *double) Name() string { return d.name }

func (d *double) Serve(ctx context.Context, x *plugin.Exchange) error {
	if d.serve == nil {
		return x.Next(ctx)
	}
	return d.serve(ctx, x)
}

func (d *double) Start(ctx context.Context) error {
	if d.start == nil {
		return nil
	}
	return d.start(ctx)
}

func (d *double) Run(ctx context.Context) error {
	if d.run == nil {
		return nil
	}
	return d.run(ctx)
}

func (d *double) Drain(ctx context.Context) {
	if d.drain != nil {
		d.drain(ctx)
	}
}

func (d *double) Close() error {
	if d.closed == nil {
		return nil
	}
	return d.closed()
}

func (d *double) Refused(x *plugin.Exchange) {
	if d.refused != nil {
		d.refused(x)
	}
}

// spec declares a double.
func (d *double) spec() plugin.Spec {
	return plugin.Spec{Name: d.name, Build: func(*plugin.Env, []*corefile.Directive) (plugin.Handler, error) { return d, nil }}
}

// bindSpec is "bind HOST...".
func bindSpec() plugin.Spec {
	return plugin.Spec{Name: "bind", Build: func(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		for _, arg := range lines[0].Args {
			env.Listen.Hosts = append(env.Listen.Hosts, arg.Text)
		}
		return nil, nil
	}}
}

// answerSpec is "answer TEXT": every question gets the block's text in a TXT record.
func answerSpec() plugin.Spec {
	return plugin.Spec{Name: "answer", Build: func(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		text := lines[0].Args[0].Text
		return &double{name: "answer", serve: func(_ context.Context, x *plugin.Exchange) error {
			txt(x, text)
			return nil
		}}, nil
	}}
}

// txt makes a reply of one TXT record, without allocating.
func txt(x *plugin.Exchange, text string) {
	x.Reply.Start(&x.Query, dns.RcodeSuccess)
	x.Reply.Open(12, dns.TypeTXT, 5)
	length := [1]byte{uint8(len(text))}
	x.Reply.Bytes(length[:])
	x.Reply.Text(text)
	x.Reply.Close()
}

// parse reads a Corefile.
func parse(t testing.TB, text string) *corefile.File {
	t.Helper()
	file, err := corefile.Parse("Corefile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// running is a server under test.
type running struct {
	*Server
	t        testing.TB
	port     uint16
	registry *prometheus.Registry
	log      *buffer
	cancel   context.CancelFunc
	done     chan error
	err      error
	once     sync.Once
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// prepare makes a server of a Corefile on a free port, without running it. Specs come behind bind and before answer.
func prepare(t testing.TB, text string, o Options, specs ...plugin.Spec) *running {
	t.Helper()
	port, err := FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, port: port, registry: prometheus.NewRegistry(), log: new(buffer), done: make(chan error, 1)}
	o.Specs = append(append([]plugin.Spec{bindSpec()}, specs...), answerSpec())
	o.Port, o.Metrics, o.Log = port, r.registry, slog.New(slog.NewTextHandler(r.log, nil))
	if o.Shards == 0 {
		o.Shards = 2
	}
	r.Server, err = New(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs a server until the test ends.
func start(t testing.TB, text string, o Options, specs ...plugin.Spec) *running {
	t.Helper()
	r := prepare(t, text, o, specs...)
	r.launch()
	select {
	case <-r.Started():
	case err := <-r.done:
		t.Fatal(err)
	}
	return r
}

func (r *running) launch() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.Run(ctx) }()
	r.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
}

// stop stops the server and returns what Run did.
func (r *running) stop() error {
	r.once.Do(func() {
		r.cancel()
		r.err = <-r.done
	})
	return r.err
}

func (r *running) addr(host string) string { return net.JoinHostPort(host, fmt.Sprint(r.port)) }

// ask asks the server by UDP or TCP, "udp" or "tcp".
func (r *running) ask(network, name string, qtype uint16) *dns.Msg {
	r.t.Helper()
	return r.exchange(network, new(dns.Msg).SetQuestion(name, qtype))
}

func (r *running) exchange(network string, m *dns.Msg) *dns.Msg {
	r.t.Helper()
	client := dns.Client{Net: network, Timeout: 10 * time.Second}
	reply, _, err := client.Exchange(m, r.addr("127.0.0.1"))
	if err != nil {
		r.t.Fatalf("%s %s: %v", network, m.Question[0].Name, err)
	}
	return reply
}

// text is the TXT record of a reply, or its rcode.
func text(m *dns.Msg) string {
	if len(m.Answer) == 1 {
		if txt, ok := m.Answer[0].(*dns.TXT); ok {
			return txt.Txt[0]
		}
	}
	if m.Rcode == dns.RcodeBadVers { // it has the number of BADSIG
		return "BADVERS"
	}
	return dns.RcodeToString[m.Rcode]
}

// metric is the value of a counter or gauge without labels.
func (r *running) metric(name string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	r.t.Fatalf("no metric %s", name)
	return 0
}

// eventually waits for something to become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// sendFrame writes a message with its length before it.
func sendFrame(t testing.TB, w io.Writer, m *dns.Msg) {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
		t.Fatal(err)
	}
}

// dial connects to the server by TCP.
func (r *running) dial() *dns.Conn {
	r.t.Helper()
	conn, err := net.DialTimeout("tcp", r.addr("127.0.0.1"), 5*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &dns.Conn{Conn: conn}
}
