package relay

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

func addrs(list []*backend) (at []netip.AddrPort) {
	for _, b := range list {
		at = append(at, b.addr)
	}
	return at
}

// fetch connects and reads to the end.
func fetch(t testing.TB, at netip.AddrPort) {
	t.Helper()
	c := dial(t, at)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// try sends a byte and wants it back.
func try(at netip.AddrPort) error {
	c, err := net.DialTimeout("tcp", at.String(), patience)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// Each backend gets its share, and one that the plan does not have gets nothing.
func TestUniform(t *testing.T) {
	t.Parallel()
	const connections = 1200
	var list []*backend
	for range 4 {
		list = append(list, newBackend(t, hangUp))
	}
	unready := newBackend(t, hangUp)
	r, at := newRelay(t, Options{}), virtual(t)
	apply(t, r, service("a", front(at, cluster.TCP, addrs(list)...)))
	for range connections {
		fetch(t, at)
	}
	// Five standard deviations of a binomial distribution: sqrt(1200 * 1/4 * 3/4) is 15.
	for i, b := range list {
		if n := b.taken.Load(); n < 225 || n > 375 {
			t.Errorf("backend %d took %d of %d connections", i, n, connections)
		}
	}
	if n := unready.taken.Load(); n != 0 {
		t.Errorf("the unready backend took %d connections", n)
	}
	if s := r.Stats(); s.Connections != connections || s.Failed+s.Shed+s.Denied != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A client that has no more to send still gets its answer, and so does a backend.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	late := newBackend(t, func(c *net.TCPConn) { // answers when all was read
		defer c.Close()
		all, _ := io.ReadAll(c)
		_, _ = c.Write(all)
	})
	early := newBackend(t, func(c *net.TCPConn) { // ends first, and goes on reading
		defer c.Close()
		_, _ = io.WriteString(c, "bye")
		_ = c.CloseWrite()
		all, _ := io.ReadAll(c)
		if !bytes.Equal(all, sent) {
			t.Errorf("the backend read %d bytes, want %d", len(all), len(sent))
		}
		late.taken.Add(100)
	})
	r, one, two := newRelay(t, Options{}), virtual(t), virtual(t)
	apply(t, r, service("a", front(one, cluster.TCP, late.addr), front(two, cluster.TCP, early.addr)))

	c := dial(t, one)
	_, _ = c.Write(sent)
	_ = c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes and %v, want %d", len(got), err, len(sent))
	}

	c = dial(t, two)
	got, err = io.ReadAll(c)
	if err != nil || string(got) != "bye" {
		t.Errorf("got %q and %v", got, err)
	}
	_, _ = c.Write(sent)
	_ = c.Close()
	eventually(t, "the backend read all", func() bool { return late.taken.Load() == 101 })
	eventually(t, "no session is left", func() bool { return r.Stats().Open == 0 })
	if s := r.Stats(); s.BytesIn != 2*uint64(len(sent)) || s.BytesOut != uint64(len(sent))+3 {
		t.Errorf("bytes in %d and out %d", s.BytesIn, s.BytesOut)
	}
}

// A reset is passed on in both directions, and is no end of data.
func TestReset(t *testing.T) {
	t.Parallel()
	seen := make(chan error, 1)
	watching := newBackend(t, func(c *net.TCPConn) {
		defer c.Close()
		_, _ = c.Write([]byte("x"))
		_, err := io.Copy(io.Discard, c)
		seen <- err
	})
	resetting := newBackend(t, func(c *net.TCPConn) {
		one := make([]byte, 1)
		_, _ = c.Read(one)
		reset(c)
	})
	r, one, two := newRelay(t, Options{}), virtual(t), virtual(t)
	apply(t, r, service("a", front(one, cluster.TCP, watching.addr), front(two, cluster.TCP, resetting.addr)))

	c := dial(t, one)
	_, _ = c.Read(make([]byte, 1))
	reset(c)
	if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the backend saw %v, want a reset", err)
	}
	c = dial(t, two)
	_, _ = c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v, want a reset", err)
	}
	eventually(t, "no session is left", func() bool { return r.Stats().Open == 0 })
}

// A backend that does not listen costs the client nothing while there is another; without any it is told at once.
func TestRetry(t *testing.T) {
	t.Parallel()
	good, bad := newBackend(t, echo), []netip.AddrPort{refusing(t), refusing(t)}
	r, at, none := newRelay(t, Options{}), virtual(t), virtual(t)
	apply(t, r, service("a", front(at, cluster.TCP, append(bad, good.addr)...), front(none, cluster.TCP, bad...)))
	for range 60 {
		exchange(t, dial(t, at), "hello")
	}
	if s := r.Stats(); s.Connections != 60 || s.Failed != 0 || s.Retried == 0 {
		t.Errorf("stats %+v", s)
	}
	if err := try(none); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("without a backend: %v, want a reset", err)
	}
	eventually(t, "the failure is counted", func() bool { return r.Stats().Failed == 1 })
}

// Where nobody may be led anywhere there is no socket, so that the kernel refuses, and a socket comes with the first backend.
func TestReject(t *testing.T) {
	t.Parallel()
	good := newBackend(t, echo)
	r, at := newRelay(t, Options{}), virtual(t)
	refused := func() {
		t.Helper()
		if err := try(at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v, want to be refused", err)
		}
	}
	drop := front(at, cluster.TCP)
	drop.Inside.Verdict = plan.Drop
	for _, s := range []*plan.Service{service("a", front(at, cluster.TCP)), service("a", drop)} {
		apply(t, r, s)
		refused()
		apply(t, r, service("a", front(at, cluster.TCP, good.addr)))
		exchange(t, dial(t, at), "hello")
	}
	established := dial(t, at)
	exchange(t, established, "before")
	apply(t, r, service("a"))
	refused()
	exchange(t, established, "connections outlive the plan")
}

// Clients that the policy does not let in are reset.
func TestPolicy(t *testing.T) {
	t.Parallel()
	good := newBackend(t, echo)
	r, at, balancer := newRelay(t, Options{}), virtual(t), virtual(t)
	lb := front(balancer, cluster.TCP, good.addr)
	lb.Kind, lb.Sources = plan.LoadBalancer, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for _, test := range []struct {
		name   string
		policy plan.Policy
		at     netip.AddrPort
		want   bool
	}{
		{name: "nobody", at: at},
		{name: "the node", policy: plan.Policy{AllowNode: true}, at: at, want: true},
		{name: "pods only", policy: plan.Policy{AllowPods: true, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, at: at},
		{name: "a range", policy: plan.Policy{AllowFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, at: at, want: true},
		{name: "source ranges", policy: plan.Policy{AllowNode: true}, at: balancer},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := r.Adopt(t.Context(), &test.policy, []*plan.Service{service("a", front(at, cluster.TCP, good.addr), lb)}); err != nil {
				t.Fatal(err)
			}
			if err := try(test.at); (err == nil) != test.want {
				t.Errorf("%v, want to be let in: %v", err, test.want)
			}
		})
	}
}
