package netns

import (
	"fmt"
	"maps"
	"net/netip"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// host is one machine or pod of the exam: a network namespace with an agent in it.
type host struct {
	name   string
	v4, v6 netip.Addr
	pid    int
	rpc    *rpc.Client
}

// newHost starts an agent; own tells whether it gets a network of its own, or the node's. It ends with this process, which
// closes its standard input.
func newHost(t testing.TB, name string, own bool) *host {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", name)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleAgent)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if own {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	h := &host{name: name, pid: cmd.Process.Pid, rpc: rpc.NewClient(stdio{out, in})}
	h.must(t, "Isolate", Nothing{}, &Nothing{})
	return h
}

func (h *host) call(method string, in, out any) error {
	return h.rpc.Call("Agent."+method, in, out)
}

// must is call where nothing may go wrong.
func (h *host) must(t testing.TB, method string, in, out any) {
	t.Helper()
	if err := h.call(method, in, out); err != nil {
		t.Fatalf("%s: %s: %v", h.name, method, err)
	}
}

// addr is the host's address of a family.
func (h *host) addr(f family) netip.Addr {
	if f == v6 {
		return h.v6
	}
	return h.v4
}

// at is a port of the host, as it is dialled.
func (h *host) at(f family, port uint16) netip.AddrPort { return netip.AddrPortFrom(h.addr(f), port) }

// ask probes, and returns what became of it.
func (h *host) ask(t testing.TB, network string, target netip.AddrPort, options ...func(*Probe)) *Tally {
	t.Helper()
	p := Probe{Network: network, Target: target.String()}
	for _, o := range options {
		o(&p)
	}
	tally := new(Tally)
	h.must(t, "Ask", p, tally)
	return tally
}

func times(n int) func(*Probe)              { return func(p *Probe) { p.Count = n } }
func workers(n int) func(*Probe)            { return func(p *Probe) { p.Workers = n } }
func from(port int) func(*Probe)            { return func(p *Probe) { p.Source = port } }
func patience(d time.Duration) func(*Probe) { return func(p *Probe) { p.Timeout = d } }

// run runs a program there that has to succeed, and returns what it printed.
func (h *host) run(t testing.TB, args ...string) string {
	t.Helper()
	var out string
	h.must(t, "Run", Command{Args: args}, &out)
	return out
}

// feed is run with standard input.
func (h *host) feed(t testing.TB, input string, args ...string) {
	t.Helper()
	var out string
	h.must(t, "Run", Command{Args: args, Input: input}, &out)
}

// String is the tally in one line: who answered, whom they saw, what failed.
func (t *Tally) String() string {
	return fmt.Sprintf("answers %v, seen as %v, failures %v", t.Names, t.Peers, t.Failures)
}

// only tells what is wrong unless all of these, and nobody else, answered every question.
func (t *Tally) only(names ...string) error {
	answered := slices.Sorted(maps.Keys(t.Names))
	if len(t.Failures) > 0 || !slices.Equal(answered, slices.Sorted(slices.Values(names))) {
		return fmt.Errorf("%s; want answers of %v", t, names)
	}
	return nil
}

// failed tells what is wrong unless every question failed in one of these ways.
func (t *Tally) failed(ways ...string) error {
	for how := range t.Failures {
		if !slices.Contains(ways, how) {
			return fmt.Errorf("%s; want %v", t, ways)
		}
	}
	if len(t.Names) > 0 {
		return fmt.Errorf("%s; want %v", t, ways)
	}
	return nil
}

// seenAs tells what is wrong unless the servers saw every client under one of these addresses.
func (t *Tally) seenAs(addrs ...netip.Addr) error {
	for seen := range t.Peers {
		found := false
		for _, a := range addrs {
			found = found || a.String() == seen
		}
		if !found {
			return fmt.Errorf("%s; want clients seen as %v", t, addrs)
		}
	}
	return nil
}

// nobody tells what is wrong if anybody answered.
func (t *Tally) nobody() error {
	if len(t.Names) > 0 {
		return fmt.Errorf("%s; want no answer", t)
	}
	return nil
}

// somebody tells what is wrong unless this one is among those that answered, and nothing failed.
func (t *Tally) somebody(name string) error {
	if len(t.Failures) > 0 || t.Names[name] == 0 {
		return fmt.Errorf("%s; want answers of %s, too", t, name)
	}
	return nil
}

// one tells what is wrong unless one server answered everything.
func (t *Tally) one() error {
	if len(t.Failures) > 0 || len(t.Names) != 1 {
		return fmt.Errorf("%s; want one server for all", t)
	}
	return nil
}

// name is one of those that answered; empty when nobody did.
func (t *Tally) name() string {
	for name := range t.Names {
		return name
	}
	return ""
}

// open opens a connection that stays.
func (h *host) open(t testing.TB, target netip.AddrPort) Line {
	t.Helper()
	var line Line
	h.must(t, "Open", Probe{Network: "tcp", Target: target.String()}, &line)
	return line
}

// say tells what is wrong unless the other end of a connection that stays is still there.
func (h *host) say(line Line) error {
	line.Text = fmt.Sprint("still there, ", line.Text, "?")
	var echo Line
	if err := h.call("Say", line, &echo); err != nil {
		return err
	}
	if echo.Text != line.Text {
		return fmt.Errorf("%q came back for %q", echo.Text, line.Text)
	}
	return nil
}
