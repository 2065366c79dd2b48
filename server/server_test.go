package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// get fetches a page.
func get(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return string(body), err
}

// freeAddr is an address of loopback that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	port, err := FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func TestStartLines(t *testing.T) {
	t.Parallel()
	out := new(buffer)
	r := start(t, "z.example a_b {\n bind 127.0.0.1 ::1\n answer x\n}\n. {\n bind 127.0.0.1\n answer x\n}\n10.0.0.0/8 {\n bind 127.0.0.1\n answer x\n}", Options{Out: out})
	want := strings.ReplaceAll(`.:PORT on 127.0.0.1
10.in-addr.arpa.:PORT on 127.0.0.1
Warning: Domain "a_b." does not follow RFC1035 preferred syntax
a_b.:PORT on 127.0.0.1
z.example.:PORT on 127.0.0.1
Warning: Domain "a_b." does not follow RFC1035 preferred syntax
a_b.:PORT on ::1
z.example.:PORT on ::1
`, "PORT", fmt.Sprint(r.port))
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// All Starters run at once before the first query is answered; each error comes with its place, and what was built is
// given back.
func TestStarters(t *testing.T) {
	t.Parallel()
	var closed atomic.Int64
	failing := &double{name: "failing", start: func(context.Context) error { return errors.New("no such thing") },
		closed: func() error { closed.Add(1); return nil }}
	other := &double{name: "other", start: func(context.Context) error { return errors.New("nor this") },
		closed: func() error { closed.Add(1); return errors.New("cannot be closed") }}
	r := prepare(t, ". {\n bind 127.0.0.1\n other\n failing\n}", Options{}, failing.spec(), other.spec())
	err := r.Run(context.Background())
	want := "Corefile:3: other: nor this\nCorefile:4: failing: no such thing\nCorefile:3: other: cannot be closed"
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	if closed.Load() != 2 {
		t.Errorf("%d were closed", closed.Load())
	}
	if conn, err := net.Dial("tcp", r.addr("127.0.0.1")); err == nil {
		conn.Close()
		t.Error("a socket was opened")
	}
}

// A stop while the server starts is no error.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	waiting := &double{name: "waiting", start: func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	r := prepare(t, ". {\n bind 127.0.0.1\n waiting\n}", Options{}, waiting.spec())
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
}

// A Runner's error ends the server and says where it comes from.
func TestRunnerFails(t *testing.T) {
	t.Parallel()
	failing := &double{name: "failing", run: func(context.Context) error { return errors.New("lost") }}
	steady := &double{name: "steady", run: func(ctx context.Context) error { <-ctx.Done(); return nil },
		drain: func(context.Context) { t.Error("drained") }}
	r := prepare(t, ". {\n bind 127.0.0.1\n steady\n failing\n}", Options{}, failing.spec(), steady.spec())
	if err := r.Run(t.Context()); err == nil || err.Error() != "Corefile:4: failing: lost" {
		t.Errorf("error %v", err)
	}
}

// An address that is taken is an error with its place. With SO_REUSEPORT alone it would be half of the other's queries.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := start(t, ". {\n bind 127.0.0.1\n answer first\n}", Options{})
	for _, network := range []string{"tcp", "udp"} {
		second := prepare(t, ". {\n bind 127.0.0.1\n answer second\n}", Options{})
		for _, s := range second.made.sites {
			s.address.port = first.port
		}
		if network == "udp" { // with TCP alone taken, and then UDP alone
			port := freePortOf(t, "udp")
			for _, s := range second.made.sites {
				s.address.port = port
			}
		}
		err := second.Run(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "Corefile:1: listen "+network) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: error %v", network, err)
		}
	}
	for range 20 {
		if got := text(first.ask("udp", "a.", dns.TypeA)); got != "first" {
			t.Fatal(got)
		}
	}
}

// freePortOf takes a UDP port and holds it.
func freePortOf(t *testing.T, network string) uint16 {
	t.Helper()
	conn, err := net.ListenPacket(network, freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// The HTTP listeners are open while Starters wait, and until the end of a drain; their errors have a place.
func TestWeb(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	page := pageSpec("health", addr, "/health", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") }))
	check := func(when string) {
		if body, err := get("http://" + addr + "/health"); body != "OK" {
			t.Errorf("%s: %q %v", when, body, err)
		}
	}
	slow := &double{name: "slow", start: func(context.Context) error { check("starting"); return nil },
		drain: func(context.Context) { check("draining") }}
	r := start(t, ". {\n bind 127.0.0.1\n health\n slow\n}", Options{}, page, slow.spec())
	check("serving")
	other := prepare(t, ". {\n bind 127.0.0.1\n answer x\n\n health\n}", Options{}, page)
	if err := other.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "Corefile:5: health: listen tcp "+addr) {
		t.Errorf("error %v", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if _, err := get("http://" + addr + "/health"); err == nil {
		t.Error("still open")
	}
}

// At the end the server answers on while Drainers take their time, its Runners still running; then queries under way
// are finished, and then handlers are closed.
func TestDrain(t *testing.T) {
	t.Parallel()
	var order []string
	var mu sync.Mutex
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	draining, finish := make(chan struct{}), make(chan struct{})
	d := &double{name: "drainer",
		drain:  func(context.Context) { close(draining); <-finish; note("drained") },
		run:    func(ctx context.Context) error { <-ctx.Done(); note("runner ended"); return nil },
		closed: func() error { note("closed"); return nil },
	}
	g := newGate()
	d.serve = func(ctx context.Context, x *plugin.Exchange) error {
		err := x.Next(ctx)
		if x.Blocked() {
			note("answered")
		}
		return err
	}
	r := start(t, ". {\n bind 127.0.0.1\n drainer\n gate\n answer x\n}", Options{}, d.spec(), g.double().spec())
	replies := make(chan string, 2)
	for _, network := range []string{"udp", "tcp"} {
		go func() {
			client := dns.Client{Net: network, Timeout: 20 * time.Second}
			got, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.wait.", dns.TypeA), r.addr("127.0.0.1"))
			if err != nil {
				replies <- err.Error()
				return
			}
			replies <- text(got)
		}()
		<-g.arrived
	}
	r.cancel()
	<-draining
	for _, network := range []string{"udp", "tcp"} {
		if got := text(r.ask(network, "a.", dns.TypeA)); got != "x" {
			t.Errorf("%s while draining: %s", network, got)
		}
	}
	close(finish)
	eventually(t, "no new connections", func() bool {
		conn, err := net.DialTimeout("tcp", r.addr("127.0.0.1"), time.Second)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(g.open)
	for range 2 {
		if got := <-replies; got != "x" {
			t.Errorf("a query under way: %s", got)
		}
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(order, ", "); got != "drained, answered, answered, runner ended, closed" {
		t.Error(got)
	}
}

// Reload swaps the instance between two queries: none is lost, sockets that stay are not closed, and the old instance is
// closed when no query is in its hands any more.
func TestReload(t *testing.T) {
	t.Parallel()
	g := newGate()
	var closed atomic.Int64
	d := g.double()
	d.closed = func() error { closed.Add(1); return nil }
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer 0\n}", Options{}, d.spec())
	conn := r.dial()
	sendFrame(t, conn.Conn, new(dns.Msg).SetQuestion("a.wait.", dns.TypeA))
	<-g.arrived

	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, network := range []string{"udp", "tcp"} {
		clients.Go(func() {
			for last := ""; ; {
				select {
				case <-stop:
					return
				default:
				}
				client := dns.Client{Net: network, Timeout: 10 * time.Second}
				got, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.", dns.TypeA), r.addr("127.0.0.1"))
				if err != nil || text(got) < last {
					t.Errorf("%s after %q: %v %v", network, last, err, got)
					return
				}
				last = text(got)
			}
		})
	}
	for i := 1; i < 10; i++ {
		reloaded := make(chan error, 1)
		go func() {
			reloaded <- r.Reload(t.Context(), parse(t, fmt.Sprintf(". {\n bind 127.0.0.1\n gate\n answer %d\n}", i)))
		}()
		if i == 1 { // the query that waits is in the hands of the first instance
			eventually(t, "the new instance answers", func() bool { return text(r.ask("udp", "a.", dns.TypeA)) == "1" })
			select {
			case err := <-reloaded:
				t.Fatalf("the old instance was closed over a query that waits: %v", err)
			default:
			}
			if closed.Load() != 0 {
				t.Error("closed too early")
			}
			close(g.open)
		}
		if err := <-reloaded; err != nil {
			t.Fatal(err)
		}
		if got := text(r.ask("tcp", "b.", dns.TypeA)); got != fmt.Sprint(i) {
			t.Errorf("reload %d: %s", i, got)
		}
	}
	close(stop)
	clients.Wait()
	if got, err := conn.ReadMsg(); err != nil || text(got) != "0" {
		t.Errorf("the query that waited: %v %v", got, err)
	}
	if closed.Load() != 9 {
		t.Errorf("%d instances were closed", closed.Load())
	}
}

// Addresses come and go with a reload; a file that is not good leaves everything as it was.
func TestReloadOfAddresses(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("127.0.0.2 may not exist")
	}
	pages := freeAddr(t)
	starting := &double{name: "starting", start: func(context.Context) error { return errors.New("not today") }}
	body := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	r := start(t, ". {\n bind 127.0.0.1\n answer one\n first\n}", Options{},
		pageSpec("first", pages, "/page", body("first")), pageSpec("second", pages, "/page", body("second")), starting.spec())
	client := dns.Client{Timeout: 300 * time.Millisecond}
	answer := func(host string) string {
		m, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.", dns.TypeA), r.addr(host))
		if err != nil {
			return "none"
		}
		return text(m)
	}
	for _, step := range []struct{ name, text, err, one, two, page string }{
		{name: "another address", text: ". {\n bind 127.0.0.1 127.0.0.2\n answer two\n second\n}", one: "two", two: "two", page: "second"},
		{name: "syntax", text: ". {\n nonsense\n}", err: "Corefile:2: unknown directive", one: "two", two: "two", page: "second"},
		{name: "start", text: ". {\n bind 127.0.0.1\n answer three\n starting\n first\n}", err: "Corefile:4: starting: not today", one: "two", two: "two", page: "second"},
		{name: "bind", text: ". {\n bind 127.0.0.1 192.0.2.1\n answer three\n}", err: "cannot assign", one: "two", two: "two", page: "second"},
		{name: "one less", text: ". {\n bind 127.0.0.2\n answer four\n}", one: "none", two: "four"},
	} {
		err := r.Reload(t.Context(), parse(t, step.text))
		if step.err == "" && err != nil || step.err != "" && (err == nil || !strings.Contains(err.Error(), step.err)) {
			t.Errorf("%s: error %v, want %q", step.name, err, step.err)
		}
		if one, two := answer("127.0.0.1"), answer("127.0.0.2"); one != step.one || two != step.two {
			t.Errorf("%s: %s and %s", step.name, one, two)
		}
		if page, _ := get("http://" + pages + "/page"); page != step.page {
			t.Errorf("%s: page %q", step.name, page)
		}
	}
}

func TestReloadOfStoppedServer(t *testing.T) {
	t.Parallel()
	r := prepare(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{})
	if err := r.Reload(t.Context(), parse(t, ". {\n answer y\n}")); err == nil {
		t.Error("no error")
	}
}

// Nothing is left of a server: sockets, connections, queries that wait, tasks. Not parallel: it counts goroutines.
func TestNoLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		t.Run("life", func(t *testing.T) {
			g := newGate()
			d := g.double()
			d.run = func(ctx context.Context) error { <-ctx.Done(); return nil }
			page := pageSpec("page", freeAddr(t), "/", http.NotFoundHandler())
			r := start(t, ". {\n bind 127.0.0.1 ::1\n gate\n page\n answer x\n}", Options{Grace: 20 * time.Millisecond}, d.spec(), page)
			conns := []*dns.Conn{r.dial(), r.dial()}
			for _, c := range conns {
				sendFrame(t, c.Conn, new(dns.Msg).SetQuestion("a.wait.", dns.TypeA))
				<-g.arrived
			}
			if err := r.Reload(t.Context(), parse(t, ". {\n bind 127.0.0.1\n answer y\n}")); err != nil {
				t.Error(err)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}
