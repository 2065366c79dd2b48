package relay

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// Whatever services do with their addresses, and whoever takes over whose, clients meet the present owner's backend, and a
// socket that stays is the same all the while.
func TestRandomUpdates(t *testing.T) {
	t.Parallel()
	const services, steps = 5, 150
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var at []netip.AddrPort
	for range 8 {
		at = append(at, virtual(t))
	}
	var owners []*backend
	for n := range services {
		owners = append(owners, newBackend(t, func(c *net.TCPConn) { fmt.Fprint(c, n); hangUp(c) }))
	}
	r := newRelay(t, Options{})
	owned, ready := make([]int, len(at)), make([]bool, len(at)) // by address; an owner of -1 for none
	make1 := func(n int) *plan.Service {
		s := service(fmt.Sprint(n))
		for i, a := range at {
			if owned[i] == n && ready[i] {
				s.Frontends = append(s.Frontends, front(a, cluster.TCP, owners[n].addr))
			} else if owned[i] == n {
				s.Frontends = append(s.Frontends, front(a, cluster.TCP))
			}
		}
		return s
	}
	for i := range owned {
		owned[i] = -1
	}
	for step := range steps {
		stays, changed := map[bind]socket{}, map[int]bool{}
		for i := range at {
			served := owned[i] >= 0 && ready[i]
			if random.IntN(3) == 0 {
				changed[owned[i]] = true
				owned[i], ready[i] = random.IntN(services+1)-1, random.IntN(4) > 0
				changed[owned[i]] = true
			}
			if served && owned[i] >= 0 && ready[i] {
				b := bind{at[i], "tcp"}
				stays[b] = r.socketAt(b)
			}
		}
		delete(changed, -1)
		var list []*plan.Service
		for n := range services {
			if whole := step%10 == 9; whole || changed[n] {
				list = append(list, make1(n))
			}
		}
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		var err error
		if step%10 == 9 {
			err = r.Adopt(t.Context(), openPolicy(), list)
		} else {
			err = r.Apply(t.Context(), list)
		}
		if err != nil {
			t.Fatal(err)
		}
		for b, before := range stays {
			if r.socketAt(b) != before {
				t.Fatalf("seed %d, step %d: the socket of %v is another one", seed, step, b)
			}
		}
		for i, a := range at {
			want := "refused"
			if owned[i] >= 0 && ready[i] {
				want = fmt.Sprint(owned[i])
			}
			if got := whoIs(a); got != want {
				t.Fatalf("seed %d, step %d: %v is %s, want %s", seed, step, a, got, want)
			}
		}
	}
}

func (r *Relay) socketAt(b bind) socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doors[b].socket
}

func whoIs(at netip.AddrPort) string {
	c, err := net.Dial("tcp4", at.String())
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	name, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(name)
}

// A frontend that cannot be served says why and costs the others nothing; it is served as soon as it can be.
func TestRefused(t *testing.T) {
	t.Parallel()
	b, good, taken := newBackend(t, echo), virtual(t), virtual(t)
	other, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", taken.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r := newRelay(t, Options{})
	sctp := front(good, cluster.SCTP, b.addr)
	apply(t, r, service("a", front(taken, cluster.TCP, b.addr), front(good, cluster.TCP, b.addr), sctp))
	if err := try(good); err != nil {
		t.Error(err)
	}
	var whats []string
	for _, refused := range r.Refused() {
		whats = append(whats, refused.What)
		if !strings.Contains(refused.Why, "in use") && !strings.Contains(refused.Why, "SCTP") {
			t.Errorf("%v", refused)
		}
	}
	want := []string{taken.String() + "/tcp", good.String() + "/sctp"}
	slices.Sort(whats)
	slices.Sort(want)
	if !slices.Equal(whats, want) {
		t.Errorf("refused %v, want %v", whats, want)
	}
	_ = other.Close()
	r.retry(t.Context())
	if err := try(taken); err != nil {
		t.Errorf("after the port is free: %v", err)
	}
	if s := r.Stats(); s.Frontends != 2 || s.Refused != 1 {
		t.Errorf("stats %+v", s)
	}
}

// Reasons say what would be right.
func TestReason(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		syscall.EACCES:        "CAP_NET_BIND_SERVICE",
		syscall.EADDRINUSE:    "in use",
		syscall.EADDRNOTAVAIL: "not an address of this machine",
		syscall.EMFILE:        "too many open files",
	} {
		if got := reason(&net.OpError{Op: "listen", Err: err}); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// BenchmarkAdopt is 5,000 services with sockets, and then a change of one.
func BenchmarkAdopt(b *testing.B) {
	const services = 5000
	to := newBackend(b, echo)
	r := newRelay(b, Options{})
	var all []*plan.Service
	for n := range services {
		a := netip.AddrFrom4([4]byte{127, 96, byte(1 + n>>8), byte(n)})
		all = append(all, service(fmt.Sprint(n), front(netip.AddrPortFrom(a, 18080), cluster.TCP, to.addr)))
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if err := r.Adopt(b.Context(), openPolicy(), all); err != nil {
				b.Fatal(err)
			}
			if s := r.Stats(); s.Frontends != services {
				b.Fatalf("stats %+v, %v", s, r.Refused()[0])
			}
			b.StopTimer()
			if err := r.Adopt(b.Context(), openPolicy(), nil); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("one", func(b *testing.B) {
		if err := r.Adopt(b.Context(), openPolicy(), all); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			apply(b, r, all[7])
		}
	})
}
