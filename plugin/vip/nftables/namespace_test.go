//go:build linux

package nftables

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace runs the test again in a process with network and mount namespaces of its own, and as root there: as it is,
// or by a user namespace. It tells whether this is that process. Where none can be made, the test is skipped with the reason,
// which is an error where CI says that it must be possible.
func inNamespace(t testing.TB) bool {
	t.Helper()
	const mark = "NAMEPLANE_TEST_NAMESPACE"
	if os.Getenv(mark) != "" {
		return true
	}
	for _, program := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			cannot(t, err)
		}
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v=" + fmt.Sprint(testing.Verbose()), "-test.timeout=120s"}
	if _, ok := t.(*testing.B); ok {
		args = []string{"-test.run=^$", "-test.bench=^" + t.Name() + "$", "-test.benchtime=1x", "-test.timeout=600s"}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cannot(t, fmt.Errorf("no namespaces: %w", err))
	}
	err := cmd.Wait()
	switch {
	case err != nil:
		t.Errorf("in a namespace: %v\n%s", err, out.String())
	case strings.Contains(out.String(), "--- SKIP"):
		t.Skip(out.String())
	default:
		t.Log(out.String())
	}
	return false
}

// cannot skips a test for a reason, if that may be.
func cannot(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI=true, so this must run: %v", err)
	}
	t.Skipf("SKIP %s: %v", t.Name(), err)
}

// host is a network namespace: its functions run on a thread of their own, which is in it.
type host struct {
	name string
	four netip.Addr
	six  netip.Addr
	tid  int
	work chan func()
}

// do runs something in the host's namespace.
func (h *host) do(f func()) {
	var wait sync.WaitGroup
	wait.Add(1)
	h.work <- func() { defer wait.Done(); f() }
	wait.Wait()
}

// newNode makes this process's namespace a node that forwards.
func newNode(t testing.TB) {
	t.Helper()
	must(t, "ip", "link", "set", "lo", "up")
	sysctl(t, "ipv4/ip_forward", "1")
	sysctl(t, "ipv6/conf/all/forwarding", "1")
	sysctl(t, "ipv4/conf/all/send_redirects", "0") // which count as ICMP errors, of which one client gets few
	sysctl(t, "ipv4/conf/default/send_redirects", "0")
	if _, err := Open(t.Context(), nil); err != nil {
		cannot(t, err)
	}
}

// sysctl sets a value of the calling thread's namespace.
func sysctl(t testing.TB, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
		cannot(t, err)
	}
}

// newHost makes a namespace that is joined with the node: its addresses end in 2, the node's in 1. The node's default route
// goes to the last one made.
func newHost(t testing.TB, name, net4, net6 string) *host {
	t.Helper()
	h := &host{
		name: name, four: netip.MustParseAddr(net4 + "2"), six: netip.MustParseAddr(net6 + "2"), work: make(chan func()),
	}
	ready := make(chan error)
	go h.live(ready)
	if err := <-ready; err != nil {
		cannot(t, err)
	}
	t.Cleanup(func() { close(h.work) })
	must(t, "ip", "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(h.tid))
	must(t, "ip", "addr", "add", net4+"1/24", "dev", name)
	must(t, "ip", "addr", "add", net6+"1/64", "dev", name, "nodad")
	must(t, "ip", "link", "set", "dev", name, "up")
	h.do(func() {
		must(t, "ip", "link", "set", "lo", "up")
		must(t, "ip", "addr", "add", net4+"2/24", "dev", "eth0")
		must(t, "ip", "addr", "add", net6+"2/64", "dev", "eth0", "nodad")
		must(t, "ip", "link", "set", "eth0", "up")
		must(t, "ip", "route", "add", "default", "via", net4+"1")
		must(t, "ip", "route", "add", "default", "via", net6+"1")
	})
	must(t, "ip", "route", "replace", "default", "via", net4+"2")
	must(t, "ip", "route", "replace", "default", "via", net6+"2")
	return h
}

// live never unlocks its thread, so that the thread ends with it.
func (h *host) live(ready chan error) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	h.tid = unix.Gettid()
	ready <- err
	for f := range h.work {
		f()
	}
}

// must runs a program of which the test needs that it succeeds.
func must(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// serve answers on a port of both families, TCP and UDP: "name client-address".
func (h *host) serve(t testing.TB, port int) {
	t.Helper()
	h.do(func() {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(); u.Close() })
		go h.acceptAll(l)
		go h.echoAll(u)
	})
}

func (h *host) acceptAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s %v", h.name, addrOf(c.RemoteAddr()))
		c.Close()
	}
}

func (h *host) echoAll(u net.PacketConn) {
	b := make([]byte, 100)
	for {
		_, from, err := u.ReadFrom(b)
		if err != nil {
			return
		}
		u.WriteTo(fmt.Appendf(nil, "%s %v", h.name, addrOf(from)), from)
	}
}

func addrOf(a net.Addr) netip.Addr { return netip.MustParseAddrPort(a.String()).Addr().Unmap() }

// reach waits until the node can talk to the host: an IPv6 address takes its time.
func (h *host) reach(t testing.TB, port uint16) {
	t.Helper()
	for _, a := range []netip.Addr{h.four, h.six} {
		at := netip.AddrPortFrom(a, port).String()
		for deadline := time.Now().Add(patience); !strings.HasPrefix(ask("tcp", at, shortly), h.name); {
			if time.Now().After(deadline) {
				t.Fatalf("%s does not answer at %s", h.name, at)
			}
		}
	}
}

// node runs things in the node's namespace.
func nodeHost() *host {
	h := &host{name: "node", work: make(chan func())}
	go func() {
		for f := range h.work {
			f()
		}
	}()
	return h
}

// patience is for answers that come, however busy the machine is; shortly is for those that must not come.
const (
	patience = 20 * time.Second
	shortly  = 400 * time.Millisecond
)

// ask is what a client on the host hears from an address: "name client-address", or a word for how it failed.
func (h *host) ask(network, addr string, wait time.Duration) (answer string) {
	h.do(func() { answer = ask(network, addr, wait) })
	return answer
}

func ask(network, addr string, wait time.Duration) string {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return failure(err)
	}
	defer c.Close()
	return hear(c, wait)
}

func hear(c net.Conn, wait time.Duration) string {
	c.SetDeadline(time.Now().Add(wait))
	b := make([]byte, 100)
	if c.LocalAddr().Network() == "udp" {
		c.Write([]byte("?"))
	}
	n, err := c.Read(b)
	if err != nil && err != io.EOF {
		return failure(err)
	}
	return string(b[:n])
}

func failure(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "refused"):
		return "refused"
	case strings.Contains(text, "timeout"):
		return "timeout"
	}
	return text
}
