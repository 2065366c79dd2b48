package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// While backends come and go no connection fails, also where the plan has some that do not listen. Those that leave the plan go
// on for what they have, as a pod does that ends.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	const connects, updates, workers = 10_000, 200, 8
	r, at := newRelay(t, Options{}), virtual(t)
	live := []*backend{newBackend(t, answer), newBackend(t, answer), newBackend(t, answer)}
	apply(t, r, service("a", front(at, cluster.TCP, addrs(live)...)))
	var done atomic.Int64
	var tasks sync.WaitGroup
	for range workers {
		tasks.Go(func() {
			for done.Add(1) <= connects {
				if err := short(at); err != nil {
					t.Error(err)
				}
			}
		})
	}
	dead := refusing(t)
	for n := range updates {
		eventually(t, "clients connect", func() bool { return done.Load() > int64(n*connects/updates) })
		live[rand.IntN(len(live))] = newBackend(t, answer)
		next := addrs(live)
		if n%2 == 0 {
			next = append(next, dead)
		}
		apply(t, r, service("a", front(at, cluster.TCP, next...)))
	}
	tasks.Wait()
	if s := r.Stats(); s.Failed+s.Denied+s.Shed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// answer says one byte for one byte, and lets the client close first.
func answer(c *net.TCPConn) {
	defer c.Close()
	answerOne(c)
	_, _ = io.Copy(io.Discard, c)
}

// short is one connection for one byte, from any address of this machine.
func short(at netip.AddrPort) error {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialTCP(context.Background(), "tcp4", sourceFor(&d, at.Addr()), at)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	one := []byte("x")
	if _, err := c.Write(one); err != nil {
		return err
	}
	_, err = io.ReadFull(c, one)
	return err
}

// The end that closes first is the one that waits for stray segments, as without a relay in between; after a reset nobody does.
func TestWhoWaits(t *testing.T) {
	const connections = 20
	for _, test := range []struct {
		name         string
		handle       func(*net.TCPConn)
		end          func(*net.TCPConn)
		front, back  int // connections in TIME_WAIT at the relay: towards clients, towards the backend
		client, last int // ... at clients, at the backend
	}{
		{name: "the client closes", handle: answer, end: hangUp, back: connections, client: connections},
		{name: "the backend closes", handle: sayAndHangUp, end: readAndHangUp, front: connections, last: connections},
		{name: "the client resets", handle: answer, end: reset},
		{name: "the backend resets", handle: func(c *net.TCPConn) { answerOne(c); reset(c) }, end: readAndHangUp},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, at := newBackend(t, test.handle), virtual(t)
			for waiting(t, at.Port(), b.addr.Port()) != [4]int{} { // ports that another test's clients had
				b, at = newBackend(t, test.handle), virtual(t)
			}
			r := newRelay(t, Options{})
			apply(t, r, service("a", front(at, cluster.TCP, b.addr)))
			for range connections {
				c := dial(t, at)
				exchange(t, c, "x")
				test.end(c)
			}
			eventually(t, "all sessions are over", func() bool { return r.Stats().Open == 0 })
			want := [4]int{test.front, test.back, test.client, test.last}
			eventually(t, fmt.Sprintf("%v ends wait", want), func() bool { return waiting(t, at.Port(), b.addr.Port()) == want })
		})
	}
}

// answerOne says one byte for one byte.
func answerOne(c *net.TCPConn) {
	one := make([]byte, 1)
	_, _ = c.Read(one)
	_, _ = c.Write(one)
}

func sayAndHangUp(c *net.TCPConn) { answerOne(c); hangUp(c) }

func readAndHangUp(c *net.TCPConn) {
	_, _ = io.Copy(io.Discard, c)
	hangUp(c)
}

// waiting counts connections in TIME_WAIT (state 06 of proc_pid_net(5)): those of the virtual port, to the backend's port, to the
// virtual port, of the backend's port.
func waiting(t *testing.T, virtual, backend uint16) (n [4]int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skipf("connections cannot be listed here: %v", err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if fields[3] != "06" {
			continue
		}
		for i, end := range []struct {
			field int
			port  uint16
		}{{1, virtual}, {2, backend}, {2, virtual}, {1, backend}} {
			if strings.HasSuffix(fields[end.field], fmt.Sprintf(":%04X", end.port)) {
				n[i]++
			}
		}
	}
	return n
}

// Short connections use up no ports: the last thousands of 20,000 are as quick as the first, though it is the relay's own end
// that waits for each.
func TestShortConnections(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const thousands = 20
	r, at := newRelay(t, Options{}), virtual(t)
	apply(t, r, service("a", front(at, cluster.TCP, newBackend(t, answer).addr)))
	var took []time.Duration
	for range thousands {
		start := time.Now()
		for range 1000 {
			if err := short(at); err != nil {
				t.Fatal(err)
			}
		}
		took = append(took, time.Since(start))
	}
	t.Logf("per thousand: %v", took)
	if first, last := median(took[:5]), median(took[thousands-5:]); last > 5*first {
		t.Errorf("a thousand connections took %v at first, and %v at last", first, last)
	}
}

func median(list []time.Duration) time.Duration {
	sorted := append([]time.Duration(nil), list...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	return sorted[len(sorted)/2]
}

// A client that does not read stops the backend's writing: what is in between is the kernel's buffers, not our heap.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	const most = 64 << 20
	var sent atomic.Int64
	flood := newBackend(t, func(c *net.TCPConn) {
		defer c.Close()
		chunk := make([]byte, 64<<10)
		for sent.Load() < 4*most {
			_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := c.Write(chunk)
			sent.Add(int64(n))
			if errors.Is(err, os.ErrDeadlineExceeded) { // nothing fits any more
				_, _ = io.Copy(io.Discard, c)
				return
			}
		}
	})
	r, at := newRelay(t, Options{}), virtual(t)
	apply(t, r, service("a", front(at, cluster.TCP, flood.addr)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := dial(t, at)
	last, since := int64(0), time.Now()
	eventually(t, "the backend is stopped", func() bool {
		if now := sent.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond && last > 0
	})
	if last > most {
		t.Errorf("%d bytes were sent to a client that does not read", last)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	_ = c.CloseWrite()
	n, err := io.Copy(io.Discard, c)
	if err != nil || n != sent.Load() {
		t.Errorf("the client read %d bytes (%v), the backend sent %d", n, err, sent.Load())
	}
}

// Connections beyond the limits are reset and counted, and the others go on.
func TestLimits(t *testing.T) {
	t.Parallel()
	b := newBackend(t, echo)
	for _, test := range []struct {
		name    string
		options Options
	}{
		{name: "in all", options: Options{MaxConns: 3, MaxPerClient: 100}},
		{name: "of one client", options: Options{MaxConns: 100, MaxPerClient: 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, at := newRelay(t, test.options), virtual(t)
			apply(t, r, service("a", front(at, cluster.TCP, b.addr)))
			var held []*net.TCPConn
			for range 3 {
				c := dial(t, at)
				exchange(t, c, "hello")
				held = append(held, c)
			}
			if err := try(at); err == nil {
				t.Error("a connection too many was served")
			}
			for _, c := range held {
				exchange(t, c, "still here")
			}
			if s := r.Stats(); s.Shed != 1 || s.Open != 3 {
				t.Errorf("stats %+v", s)
			}
			_ = held[0].Close()
			eventually(t, "there is room again", func() bool { return try(at) == nil })
		})
	}
}

// A peer that is gone but for its half-closed connection does not stay for ever.
func TestHalfClosedEnds(t *testing.T) {
	t.Parallel()
	silent := newBackend(t, func(c *net.TCPConn) {
		defer c.Close()
		_, _ = io.WriteString(c, "x")
		_, _ = io.Copy(io.Discard, c)
		eventually(t, "it is reset", func() bool { _, err := c.Write(nil); return err != nil || t.Context().Err() != nil })
	})
	r, at := newRelay(t, Options{HalfClosed: 50 * time.Millisecond}), virtual(t)
	apply(t, r, service("a", front(at, cluster.TCP, silent.addr)))
	c := dial(t, at)
	_, _ = c.Read(make([]byte, 1))
	_ = c.CloseWrite()
	eventually(t, "the session ends", func() bool { return r.Stats().Open == 0 })
}

// After Close nothing is left: no goroutine, no file descriptor, no socket that listens.
func TestNothingIsLeft(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	tcp, udp := newBackend(t, echo), newDatagrams(t)
	r := New(Options{})
	at := virtual(t)
	s := service("a", front(at, cluster.TCP, tcp.addr), front(at, cluster.UDP, udp.addr))
	if err := r.Adopt(t.Context(), openPolicy(), []*plan.Service{s}); err != nil {
		t.Fatal(err)
	}
	var conns []io.Closer
	for range 100 {
		c := dial(t, at)
		exchange(t, c, "hello")
		conns = append(conns, c)
		d := client(t, at)
		ask(t, d)
		conns = append(conns, d)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	if err := try(at); err == nil {
		t.Error("a socket still listens")
	}
	tcp.stop()
	_ = udp.conn.Close()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "no file descriptor is left", func() bool {
		runtime.GC() // pipes for splicing are closed with their pool
		return openFiles(t) <= files
	})
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("file descriptors cannot be counted here: %v", err)
	}
	return len(list)
}
