package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// inNamespace runs the test again in a process with a network of its own, as root there, and tells whether this is that
// process. Where none can be made the test is skipped with the reason, which is an error where CI says that it must be
// possible.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "NAMEPLANE_TEST_NAMESPACE"
	if os.Getenv(mark) != "" {
		run(t, "ip", "link", "set", "lo", "up")
		return true
	}
	for _, program := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			cannot(t, err)
		}
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=120s")
	again.Env = append(os.Environ(), mark+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		again.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	again.Stdout, again.Stderr = &out, &out
	if err := again.Start(); err != nil {
		cannot(t, err)
	}
	if err := again.Wait(); err != nil {
		t.Errorf("in a namespace: %v\n%s", err, out.String())
	}
	return false
}

func cannot(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true, so this must run: %v", err)
	}
	t.Skipf("no network namespace: %v", err)
}

func run(t *testing.T, name string, args ...string) (output string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// outside is a host that is joined with this one: 192.0.2.1 is here, 192.0.2.2 there. What it is given it runs there.
func outside(t *testing.T) (there func(func())) {
	t.Helper()
	work, ready := make(chan func()), make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- 0
			return
		}
		ready <- unix.Gettid()
		for f := range work {
			f()
		}
	}()
	thread := <-ready
	if thread == 0 {
		t.Fatal("no second namespace")
	}
	t.Cleanup(func() { close(work) })
	there = func(f func()) {
		done := make(chan struct{})
		work <- func() { defer close(done); f() }
		<-done
	}
	run(t, "ip", "link", "add", "ext", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(thread))
	run(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "ext")
	run(t, "ip", "link", "set", "ext", "up")
	there(func() {
		run(t, "ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
		run(t, "ip", "link", "set", "eth0", "up")
		run(t, "ip", "route", "add", "default", "via", "192.0.2.1")
	})
	return there
}

// left are the routes and tables that are ours.
func left(t *testing.T) string {
	t.Helper()
	four := run(t, "ip", "-4", "route", "show", "table", "local", "proto", fmt.Sprint(routeProtocol))
	six := run(t, "ip", "-6", "route", "show", "table", "local", "proto", fmt.Sprint(routeProtocol))
	return four + six + run(t, "nft", "list", "tables")
}

// Addresses that the machine lacks are given to it, answer on what is forwarded and on nothing else, and go again.
func TestForeignAddresses(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	there := outside(t)
	serve(t, ":10250", echo) // whatever listens on all addresses
	tcp, udp := newBackend(t, echo), newDatagrams(t)
	four, six := netip.MustParseAddrPort("10.96.0.10:80"), netip.MustParseAddrPort("[fd00:96::10]:80")
	services := []*plan.Service{
		service("a", front(four, cluster.TCP, tcp.addr), front(four, cluster.UDP, udp.addr), front(six, cluster.TCP, tcp.addr)),
		service("b", front(netip.MustParseAddrPort("10.96.0.11:80"), cluster.TCP)),
	}
	r := New(Options{})
	if err := r.Adopt(t.Context(), openPolicy(), services); err != nil {
		t.Fatal(err)
	}
	if list := r.Refused(); len(list) > 0 {
		t.Fatalf("refused: %v", list)
	}
	works := func() {
		t.Helper()
		for _, at := range []netip.AddrPort{four, six} {
			if err := try(at); err != nil {
				t.Errorf("%v: %v", at, err)
			}
		}
		ask(t, client(t, four))
	}
	works()
	for _, at := range []string{"10.96.0.10:10250", "10.96.0.10:81", "10.96.0.11:80", "[fd00:96::10]:10250"} {
		if err := try(netip.MustParseAddrPort(at)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s from the node: %v, want to be refused", at, err)
		}
	}
	there(func() {
		if err := try(netip.MustParseAddrPort("192.0.2.1:10250")); err != nil {
			t.Errorf("the node's own address is guarded, too: %v", err)
		}
		for _, at := range []string{"10.96.0.10:10250", "10.96.0.10:80"} {
			if err := try(netip.MustParseAddrPort(at)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s from outside: %v, want to be refused", at, err)
			}
		}
	})
	for _, breaking := range [][]string{{"nft", "delete", "table", "inet", "nameplane-relay"}, {"ip", "route", "del", "local", "10.96.0.11", "table", "local"}} {
		run(t, breaking[0], breaking[1:]...)
		if err := r.Check(t.Context()); err == nil {
			t.Errorf("nothing was noticed after %v", breaking)
		}
		if err := r.Adopt(t.Context(), openPolicy(), services); err != nil {
			t.Error(err)
		}
		if err := r.Check(t.Context()); err != nil {
			t.Error(err)
		}
		works()
	}
	apply(t, r, service("b"))
	if now := left(t); strings.Contains(now, "10.96.0.11") || !strings.Contains(now, "10.96.0.10") {
		t.Errorf("one of the two services left, and there is\n%s", now)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if now := left(t); now != "" {
		t.Errorf("after Close there is\n%s", now)
	}
}

// What a process left that was killed is taken over as far as it is still wanted; Cleanup removes it, and nobody else's.
func TestLeftovers(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	run(t, "nft", "add table inet nameplane-relay-not; add table ip kube-proxy")
	run(t, "ip", "route", "add", "local", "10.96.0.99", "dev", "lo")
	foreign := left(t)
	b := newBackend(t, echo)
	at := netip.MustParseAddrPort("10.96.0.10:80")
	gone := netip.MustParseAddrPort("10.96.0.11:80")
	killed := New(Options{})
	if err := killed.Adopt(t.Context(), openPolicy(), []*plan.Service{service("a", front(at, cluster.TCP, b.addr)), service("b", front(gone, cluster.TCP, b.addr))}); err != nil {
		t.Fatal(err)
	}
	killed.mu.Lock()
	for _, d := range killed.doors { // a process that is killed closes its sockets, and does no more
		d.shut()
	}
	killed.mu.Unlock()
	r := newRelay(t, Options{})
	if err := r.Adopt(t.Context(), openPolicy(), []*plan.Service{service("a", front(at, cluster.TCP, b.addr))}); err != nil {
		t.Fatal(err)
	}
	if err := try(at); err != nil {
		t.Error(err)
	}
	if now := left(t); strings.Contains(now, "10.96.0.11") {
		t.Errorf("there is\n%s", now)
	}
	removed, err := Cleanup(t.Context())
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %q, %v", removed, err)
	}
	if now := left(t); now != foreign {
		t.Errorf("there was\n%snow\n%s", foreign, now)
	}
	if !strings.Contains(run(t, "ip", "route", "show", "table", "local"), "10.96.0.99") {
		t.Error("somebody else's route is gone")
	}
	if removed, err := Cleanup(t.Context()); err != nil || len(removed) != 0 {
		t.Errorf("the second time: %q, %v", removed, err)
	}
}

// Who may not change the machine, or could not guard what it has then, serves what it can, says once what it can not, and
// takes that up when it can.
func TestUnable(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, test := range []struct {
		name  string
		spoil func(*linuxMachine)
		want  string
	}{
		{name: "no privilege", spoil: func(m *linuxMachine) { m.capable = func() bool { return false } }, want: "CAP_NET_ADMIN"},
		{name: "no nft", want: "nft", spoil: func(m *linuxMachine) {
			m.guard.nft = func(context.Context, string) (string, error) { return "", exec.ErrNotFound }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBackend(t, echo)
			good, bad := virtual(t), netip.MustParseAddrPort("10.96.0.10:8080")
			var log bytes.Buffer
			r := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			defer r.Close()
			test.spoil(r.machine.(*linuxMachine))
			services := []*plan.Service{service("a", front(good, cluster.TCP, b.addr)), service("b", front(bad, cluster.TCP, b.addr))}
			for range 3 {
				if err := r.Adopt(t.Context(), openPolicy(), services); err != nil {
					t.Fatal(err)
				}
			}
			if err := try(good); err != nil {
				t.Error(err)
			}
			list := r.Refused()
			if len(list) != 1 || list[0].What != bad.String()+"/tcp" || !strings.Contains(list[0].Why, test.want) {
				t.Errorf("refused %v", list)
			}
			if n := strings.Count(log.String(), "cannot be served"); n != 1 {
				t.Errorf("it was said %d times:\n%s", n, log.String())
			}
			run(t, "ip", "addr", "add", "10.96.0.10/32", "dev", "lo")
			r.retry(t.Context())
			if err := try(bad); err != nil {
				t.Errorf("after the address came: %v", err)
			}
			run(t, "ip", "addr", "del", "10.96.0.10/32", "dev", "lo")
			if now := left(t); now != "" {
				t.Errorf("there is\n%s", now)
			}
		})
	}
}

// A node port is on the node's addresses for it alone; on which, may change.
func TestNodePorts(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	there := outside(t)
	run(t, "ip", "addr", "add", "203.0.113.7/32", "dev", "ext")
	b := newBackend(t, echo)
	f := front(netip.MustParseAddrPort("0.0.0.0:30080"), cluster.TCP, b.addr)
	f.Kind = plan.NodePort
	r := newRelay(t, Options{})
	at := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 30080) }
	answers := func(addr string, want bool) {
		t.Helper()
		there(func() {
			if err := try(at(addr)); (err == nil) != want {
				t.Errorf("%s: %v, want an answer: %v", addr, err, want)
			}
		})
	}
	run(t, "ip", "route", "add", "default", "via", "192.0.2.2")
	if err := r.Adopt(t.Context(), &plan.Policy{}, []*plan.Service{service("a", f)}); err != nil {
		t.Fatal(err)
	}
	answers("192.0.2.1", true)
	answers("203.0.113.7", false)
	if err := try(at("127.0.0.1")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("on loopback: %v, want to be refused", err)
	}
	some := &plan.Policy{NodePortAddrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	if err := r.Adopt(t.Context(), some, []*plan.Service{service("a", f)}); err != nil {
		t.Fatal(err)
	}
	answers("192.0.2.1", false)
	answers("203.0.113.7", true)
	run(t, "ip", "addr", "add", "203.0.113.8/32", "dev", "ext")
	r.retry(t.Context())
	answers("203.0.113.8", true)
}

func BenchmarkGuard(b *testing.B) {
	want := map[netip.Addr][]bind{}
	for n := range 10_000 {
		a := netip.AddrFrom4([4]byte{10, 96, byte(n >> 8), byte(n)})
		want[a] = []bind{{netip.AddrPortFrom(a, 80), "tcp"}}
	}
	for b.Loop() {
		g := guard{nft: func(context.Context, string) (string, error) { return "", nil }}
		if err := g.set(b.Context(), want); err != nil {
			b.Fatal(err)
		}
	}
}
