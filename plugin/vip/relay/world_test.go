package relay

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); !so(); <-look.C {
		if time.Now().After(end) {
			t.Fatalf("not so within %v: %s", patience, what)
		}
	}
}

// openPolicy lets in clients on this node, which all clients of these tests are.
func openPolicy() *plan.Policy { return &plan.Policy{AllowNode: true} }

// newRelay is a relay that runs until the test ends.
func newRelay(t testing.TB, o Options) *Relay {
	t.Helper()
	r := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := r.Adopt(t.Context(), openPolicy(), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func apply(t testing.TB, r *Relay, changed ...*plan.Service) {
	t.Helper()
	if err := r.Apply(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
}

// virtual is an address and port that nobody has yet. All of 127.0.0.0/8 is the machine's on Linux alone.
func virtual(t testing.TB) netip.AddrPort {
	t.Helper()
	host := "127.0.0.1:0"
	if runtime.GOOS == "linux" {
		host = "127.96.0.10:0"
	}
	l, err := net.Listen("tcp4", host)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// front is a ClusterIP's frontend.
func front(at netip.AddrPort, protocol cluster.Protocol, backends ...netip.AddrPort) plan.Frontend {
	f := plan.Frontend{Key: plan.Key{Addr: at.Addr(), Port: at.Port(), Protocol: protocol}, Port: "p"}
	f.Inside = plan.Target{Verdict: plan.Reject}
	if len(backends) > 0 {
		f.Inside = plan.Target{Backends: slices.Clone(backends)}
	}
	f.Outside = f.Inside
	if protocol == cluster.UDP {
		f.Serving = f.Inside.Backends
	}
	return f
}

func service(name string, fronts ...plan.Frontend) *plan.Service {
	return &plan.Service{Namespace: "default", Name: name, Frontends: fronts}
}

// backend is a TCP server which counts its connections.
type backend struct {
	addr  netip.AddrPort
	l     *net.TCPListener
	taken atomic.Int64
}

func newBackend(t testing.TB, handle func(c *net.TCPConn)) *backend {
	t.Helper()
	return serve(t, "127.0.0.1:0", handle)
}

func serve(t testing.TB, at string, handle func(c *net.TCPConn)) *backend {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: l.Addr().(*net.TCPAddr).AddrPort(), l: l.(*net.TCPListener)}
	t.Cleanup(b.stop)
	go func() {
		for {
			c, err := b.l.AcceptTCP()
			if err != nil {
				return
			}
			b.taken.Add(1)
			go handle(c)
		}
	}()
	return b
}

func (b *backend) stop() { _ = b.l.Close() }

// echo sends back what comes until it ends.
func echo(c *net.TCPConn) {
	defer c.Close()
	_, _ = io.Copy(c, c)
}

// hangUp accepts and closes.
func hangUp(c *net.TCPConn) { _ = c.Close() }

// refusing is an address at which nobody listens.
func refusing(t testing.TB) netip.AddrPort {
	t.Helper()
	b := newBackend(t, hangUp)
	b.stop()
	return b.addr
}

func dial(t testing.TB, at netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// exchange sends a word and wants it back.
func exchange(t testing.TB, c net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != word {
		t.Fatalf("got %q, want %q", got, word)
	}
}
