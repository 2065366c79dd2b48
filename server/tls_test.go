package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	certificates "github.com/nameplane/nameplane/test/block"
)

// certified is what a test of TLS needs.
type certified struct {
	authority *certificates.Authority
	dir       string
	cert, key string
	clock     atomic.Int64 // seconds that the server's clock is ahead
}

func newCertified(t *testing.T) *certified {
	c := &certified{authority: certificates.NewAuthority(t), dir: t.TempDir()}
	c.cert, c.key = c.authority.Issue(t, c.dir, "dns.example")
	return c
}

// spec is "tls", with the files of c.
func (c *certified) spec() plugin.Spec {
	return plugin.Spec{Name: "tls", Build: func(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		now := func() time.Time { return time.Now().Add(time.Duration(c.clock.Load()) * time.Second) }
		var err error
		env.Listen.TLS, err = plugin.NewTLS(plugin.TLSFiles{Cert: c.cert, Key: c.key}, new(tls.Config), now, slog.New(slog.DiscardHandler))
		if err == nil {
			env.Listen.TLS.Text = string(lines[0].Append(nil))
		}
		return nil, err
	}}
}

// start runs a server with tls:// on a port of its own.
func (c *certified) start(t *testing.T, o Options, specs ...plugin.Spec) (r *running, addr string) {
	t.Helper()
	port, err := FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for _, s := range specs {
		names.WriteString(" " + s.Name + "\n")
	}
	r = start(t, c.corefile(port, names.String()+" answer x"), o, append([]plugin.Spec{c.spec()}, specs...)...)
	return r, fmt.Sprintf("127.0.0.1:%d", port)
}

func (c *certified) corefile(port uint16, body string) string {
	return fmt.Sprintf("tls://.:%d {\n bind 127.0.0.1\n tls\n%s\n}\n", port, body)
}

// dial shakes hands with a server.
func (c *certified) dial(t *testing.T, addr string, config *tls.Config) *dns.Conn {
	t.Helper()
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &dns.Conn{Conn: conn}
}

func roundTrip(t *testing.T, conn *dns.Conn) {
	t.Helper()
	sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.", dns.TypeTXT))
	if m, err := conn.ReadMsg(); err != nil || text(m) != "x" {
		t.Errorf("%v %v, want x", m, err)
	}
}

// RFC 7858: queries by TLS on a port of their own, and by nothing else there.
func TestTLS(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	var seen atomic.Pointer[string]
	noting := &double{name: "noting", serve: func(ctx context.Context, x *plugin.Exchange) error {
		text := fmt.Sprint(x.Server, " ", x.Transport, " ", x.Client.Addr(), " ", x.Local)
		seen.Store(&text)
		return x.Next(ctx)
	}}
	r, addr := c.start(t, Options{}, noting.spec())
	client := dns.Client{Net: "tcp-tls", TLSConfig: c.authority.Client(t, "dns.example"), Timeout: 10 * time.Second}
	m, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.", dns.TypeTXT), addr)
	if err != nil || text(m) != "x" {
		t.Fatalf("%v %v", m, err)
	}
	if want := "tls://" + addr + " tcp 127.0.0.1 " + addr; *seen.Load() != want {
		t.Errorf("the query is %q, want %q", *seen.Load(), want)
	}
	if udp, err := net.ListenPacket("udp", addr); err != nil {
		t.Errorf("the port is taken for UDP: %v", err)
	} else {
		udp.Close()
	}
	for _, network := range []string{"tcp", "a name of another"} {
		client := dns.Client{Net: network, Timeout: 10 * time.Second}
		if network != "tcp" {
			client.Net, client.TLSConfig = "tcp-tls", c.authority.Client(t, "other.example")
		}
		if m, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.", dns.TypeTXT), addr); err == nil {
			t.Errorf("%s is answered by %s", network, m)
		}
	}
	eventually(t, "no connection", func() bool { return r.metric("nameplane_tcp_connections") == 0 })
}

// Replies leave in the order in which they are made, as by TCP (RFC 7858, section 3.3).
func TestPipeliningByTLS(t *testing.T) {
	t.Parallel()
	c, g := newCertified(t), newGate()
	_, addr := c.start(t, Options{}, g.double().spec())
	conn := c.dial(t, addr, c.authority.Client(t, "dns.example"))
	ask := func(id uint16, name string) {
		m := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
		m.Id = id
		sendFrame(t, conn.Conn, m)
	}
	ask(1, "slow.wait.")
	<-g.arrived
	for id := uint16(2); id < 50; id++ {
		ask(id, "a.")
	}
	for id := uint16(2); id < 50; id++ {
		if got, err := conn.ReadMsg(); err != nil || got.Id != id || text(got) != "x" {
			t.Fatalf("reply %d: %v %v", id, got, err)
		}
	}
	close(g.open)
	if got, err := conn.ReadMsg(); err != nil || got.Id != 1 {
		t.Errorf("%v %v", got, err)
	}
}

// A client that comes back does not pay for a whole handshake (RFC 7858, section 3.4), not even after a reload.
func TestResumption(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			c := newCertified(t)
			r, addr := c.start(t, Options{})
			config := c.authority.Client(t, "dns.example")
			config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(4)
			var port uint16
			if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &port); err != nil {
				t.Fatal(err)
			}
			for i, resumed := range []bool{false, true, true} {
				conn := c.dial(t, addr, config)
				roundTrip(t, conn)
				if state := conn.Conn.(*tls.Conn).ConnectionState(); state.DidResume != resumed || state.Version != version {
					t.Errorf("connection %d: resumed %v, version %x", i, state.DidResume, state.Version)
				}
				conn.Close()
				if i == 1 {
					if err := r.Reload(t.Context(), parse(t, c.corefile(port, " answer x"))); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// What the wire carries is what a reload changes: a connection outlives it, as by TCP.
func TestReloadByTLS(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	r, addr := c.start(t, Options{})
	var port uint16
	if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	conn := c.dial(t, addr, c.authority.Client(t, "dns.example"))
	roundTrip(t, conn)
	for _, want := range []string{"y", "z"} {
		if err := r.Reload(t.Context(), parse(t, c.corefile(port, " answer "+want))); err != nil {
			t.Fatal(err)
		}
		sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.", dns.TypeTXT))
		if m, err := conn.ReadMsg(); err != nil || text(m) != want {
			t.Errorf("%v %v, want %s", m, err, want)
		}
	}
}

// A renewed certificate is shown to those who connect; those who are connected stay so.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	_, addr := c.start(t, Options{})
	serial := func() string {
		conn := c.dial(t, addr, c.authority.Client(t, "dns.example"))
		return conn.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old := c.dial(t, addr, c.authority.Client(t, "dns.example"))
	first := serial()
	c.authority.Issue(t, c.dir, "dns.example")
	if got := serial(); got != first {
		t.Error("the files were looked at again at once")
	}
	c.clock.Add(60)
	if got := serial(); got == first {
		t.Error("the old certificate is shown")
	}
	roundTrip(t, old)
}

// Connections that begin no handshake, or are slow at it, keep nobody from connecting, and are closed in time.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	const limit, many = time.Second, 200
	c := newCertified(t)
	r, addr := c.start(t, Options{Timeouts: plugin.Timeouts{Read: limit}})
	begin := time.Now()
	var silent []net.Conn
	for i := range many {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 { // a record of a handshake whose end never comes (RFC 8446, section 5.1)
			if _, err := conn.Write([]byte{22, 3, 1, 2, 0, 1}); err != nil {
				t.Fatal(err)
			}
		}
		silent = append(silent, conn)
	}
	roundTrip(t, c.dial(t, addr, c.authority.Client(t, "dns.example")))
	for _, conn := range silent {
		if took := closedAfter(t, conn, begin); took < limit/2 || took > 15*time.Second {
			t.Fatalf("closed after %s, want %s", took, limit)
		}
	}
	eventually(t, "no silent connection", func() bool { return r.metric("nameplane_tcp_connections") <= 1 })
}

// Where there is no more room, those idle longest make some, be it before their handshake.
func TestEvictionByTLS(t *testing.T) {
	t.Parallel()
	const room = 8
	c := newCertified(t)
	r, addr := c.start(t, Options{Connections: room, Timeouts: plugin.Timeouts{Read: time.Hour}})
	for range room {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	eventually(t, "a full house", func() bool { return r.metric("nameplane_tcp_connections") == room })
	for range 3 {
		roundTrip(t, c.dial(t, addr, c.authority.Client(t, "dns.example")))
	}
	if n := r.metric("nameplane_tcp_evicted_total"); n != 3 {
		t.Errorf("nameplane_tcp_evicted_total is %v, want 3", n)
	}
}

// A stop ends connections that shake hands still.
func TestStopByTLS(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	r, addr := c.start(t, Options{Timeouts: plugin.Timeouts{Read: time.Hour, Idle: time.Hour}})
	silent, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	conn := c.dial(t, addr, c.authority.Client(t, "dns.example"))
	roundTrip(t, conn)
	begin := time.Now()
	if err := r.stop(); err != nil || time.Since(begin) > 4*time.Second {
		t.Errorf("stopped after %s: %v", time.Since(begin), err)
	}
	if _, err := conn.Conn.Read(make([]byte, 1)); err != io.EOF { // RFC 8446, section 6.1: the end is told
		t.Errorf("the connection ended by %v, want EOF", err)
	}
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	for _, test := range []struct{ name, text, want string }{
		{name: "no certificate", text: "tls://. {\n answer x\n}", want: `Corefile:1: cannot serve . on port 853 by tls://: no certificate is given; write "tls CERT KEY" into the block`},
		{name: "two certificates", text: "tls://a {\n tls one\n answer x\n}\ntls://b {\n tls two\n answer x\n}",
			want: "Corefile:5: cannot serve b. on port 853 by tls://: the block at Corefile:1 has another tls directive for the same address"},
		{name: "the same certificate", text: "tls://a {\n tls one\n answer x\n}\ntls://b {\n tls one\n answer x\n}"},
		{name: "other addresses", text: "tls://a {\n bind 127.0.0.1\n tls one\n answer x\n}\ntls://b {\n bind 127.0.0.2\n tls two\n answer x\n}"},
		{name: "a port for both", text: "a:853 {\n answer x\n}\ntls://b {\n tls\n answer x\n}",
			want: "Corefile:4: cannot serve b. on port 853 by tls://: the port is served by dns:// at Corefile:1"},
		{name: "the other way round", text: "tls://a:53 {\n tls\n answer x\n}\na {\n bind 127.0.0.1\n answer x\n}",
			want: "Corefile:5: cannot serve a. on port 53 by dns://: the port is served by tls:// at Corefile:1"},
		{name: "a port for both, on two hosts", text: "tls://a:53 {\n bind 127.0.0.2\n tls\n answer x\n}\na {\n bind 127.0.0.1\n answer x\n}"},
		{name: "both in one block", text: "a tls://a {\n tls\n answer x\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(parse(t, test.text), Options{Specs: []plugin.Spec{bindSpec(), c.spec(), answerSpec()}})
			if got := fmt.Sprint(err); got != test.want && !(err == nil && test.want == "") {
				t.Errorf("error is\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// securePage is a page that is served by TLS, or not.
type securePage struct {
	http.Handler
	secure *plugin.TLS
}

func (p securePage) TLS() *plugin.TLS { return p.secure }

// An HTTP listener goes from one to the other with the instance, without being closed.
func TestWebByTLS(t *testing.T) {
	t.Parallel()
	c, addr := newCertified(t), freeAddr(t)
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") })
	page := plugin.Spec{Name: "page", Build: func(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		p := securePage{Handler: hello}
		if len(lines[0].Args) > 0 {
			var err error
			p.secure, err = plugin.NewTLS(plugin.TLSFiles{Cert: c.cert, Key: c.key}, new(tls.Config), time.Now, slog.New(slog.DiscardHandler))
			if err != nil {
				return nil, err
			}
			p.secure.Text = "secure"
		}
		return nil, env.Web.Handle(lines[0].Pos, addr, "/"+lines[0].Name, p)
	}}
	other := page
	other.Name = "other"
	clients := map[string]*http.Client{
		"http":  {Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		"https": {Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: c.authority.Client(t, "dns.example")}},
	}
	served := func(scheme string) bool {
		response, err := clients[scheme].Get(scheme + "://" + addr + "/page")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	oneBlock := func(body string) string { return ". {\n bind 127.0.0.1\n" + body + "\n answer x\n}\n" }
	r := start(t, oneBlock("page"), Options{}, page, other)
	for _, step := range []struct {
		body  string
		https bool
	}{{"page", false}, {"page secure", true}, {"page secure\nother secure", true}, {"page", false}} {
		if err := r.Reload(t.Context(), parse(t, oneBlock(step.body))); err != nil {
			t.Fatal(err)
		}
		if served("https") != step.https || served("http") == step.https {
			t.Errorf("%q: by TLS %v, in the clear %v", step.body, served("https"), served("http"))
		}
	}
	err := r.Reload(t.Context(), parse(t, oneBlock("page secure\nother")))
	if want := "Corefile:4: other: " + addr + " is served by page at Corefile:3, with another tls option or without one"; err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}
