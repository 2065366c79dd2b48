package netns

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/test/peer"
)

// foreign is what others have in the kernel: their rules must be the same to the byte afterwards.
const foreign = `
table ip foreign {
	set some { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.7 } }
	map more { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.10 . tcp . 80 : drop } }
	chain prerouting { type nat hook prerouting priority dstnat; policy accept; ip daddr @some counter accept; }
	chain forward { type filter hook forward priority filter; policy accept; ip daddr @some drop; }
}
table ip6 foreign {
	chain forward { type filter hook forward priority filter; policy accept; }
}
table inet nameplane-of-others {
	chain output { type filter hook output priority filter; policy accept; }
}
`

func foreignTables() []string {
	return []string{"ip foreign", "ip6 foreign", "inet nameplane-of-others"}
}

// strangers puts the rules of others into the kernel for the time of a test.
func (w *world) strangers(t *testing.T) {
	t.Helper()
	w.node.feed(t, foreign, "nft", "-f", "-")
	t.Cleanup(func() {
		for _, table := range foreignTables() {
			w.node.run(t, append([]string{"nft", "delete", "table"}, strings.Fields(table)...)...)
		}
	})
}

// snapshot is everything that the subject could have changed of the node, and what others have there.
func (w *world) snapshot(t *testing.T) string {
	t.Helper()
	all := []string{w.node.run(t, "nft", "list", "tables")}
	for _, table := range foreignTables() {
		all = append(all, w.node.run(t, append([]string{"nft", "-s", "list", "table"}, strings.Fields(table)...)...))
	}
	for _, what := range []string{"-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule", "-o addr"} {
		all = append(all, withoutLifetimes(w.node.run(t, append([]string{"ip"}, strings.Fields(what)...)...)))
	}
	return strings.Join(all, "\n")
}

// withoutLifetimes drops what the kernel counts or keeps for clients.
func withoutLifetimes(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "cache") {
			kept = append(kept, strings.TrimRight(line, " \n"))
		}
	}
	return strings.Join(kept, "\n")
}

// TestNFTablesLifecycle is what must not happen to clients while the program comes and goes.
func TestNFTablesLifecycle(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	w.strangers(t)
	before := w.snapshot(t)
	s := newSubject(t, w, options{mode: nftables})
	e := newExam(w, nftables, s.folder)
	begunBefore(t, e, s)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *exam, *subject)
	}{
		{"no connection fails while endpoints change", churn},
		{"a crash keeps traffic", crash},
		{"a restart resets nothing", restart},
		{"a reload touches nothing", reload},
		{"what somebody deleted comes back", deleted},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e, s) })
	}
	s.kill(t)
	if _, err := s.command(t, "cleanup"); err != nil {
		t.Fatal(err)
	}
	if left := cmp.Diff(before, w.snapshot(t)); left != "" {
		t.Errorf("what cleanup leaves is not what was there before (-before +after):\n%s", left)
	}
}

// begunBefore: a client has been asking from one port since before the program ran. For the kernel that is a flow to an
// address like any other, and its rules are asked no more.
func begunBefore(t *testing.T, e *exam, s *subject) {
	service := e.service(udp(53, 8080)).to(e.up(e.a)...).publish(t)
	if err := e.flow(t, service).nobody(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	e.soon(t, func() error { return e.flow(t, service).only("a") })
}

// TestRelayLifecycle: what sockets need of the machine goes with them, or is cleaned up.
func TestRelayLifecycle(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	w.strangers(t)
	before := w.snapshot(t)
	s := newSubject(t, w, options{mode: relay}).start(t)
	e := newExam(w, relay, s.folder)
	service := e.service(tcp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	six := e.in(v6)
	service6 := six.service(tcp(80, 8080)).to(six.up(e.a, e.b)...).publish(t)
	served := func() error {
		return first(e.client.ask(t, "tcp", service.vip(0), short).one(), e.client.ask(t, "tcp", service6.vip(0), short).one())
	}
	e.soon(t, served)
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.process.Done()
	if left := cmp.Diff(before, w.snapshot(t)); left != "" {
		t.Errorf("what a stop leaves is not what was there before (-before +after):\n%s", left)
	}
	s.start(t)
	e.soon(t, served)
	s.kill(t)
	s.start(t) // on what a crash has left
	e.soon(t, served)
	s.kill(t)
	if _, err := s.command(t, "cleanup"); err != nil {
		t.Fatal(err)
	}
	if left := cmp.Diff(before, w.snapshot(t)); left != "" {
		t.Errorf("what cleanup leaves is not what was there before (-before +after):\n%s", left)
	}
}

// begin asks in the background; the result waits for the end.
func (h *host) begin(t testing.TB, target netip.AddrPort, options ...func(*Probe)) func() *Tally {
	t.Helper()
	p := Probe{Network: "tcp", Target: target.String()}
	for _, o := range options {
		o(&p)
	}
	tally := new(Tally)
	done := h.rpc.Go("Agent.Ask", p, tally, nil)
	return func() *Tally {
		t.Helper()
		<-done.Done
		if done.Error != nil {
			t.Fatal(done.Error)
		}
		return tally
	}
}

// churn: ten thousand connects while a service's endpoints change two hundred times.
func churn(t *testing.T, e *exam, _ *subject) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	six := e.in(v6)
	s6 := six.service(tcp(80, 8080)).to(six.up(e.a, e.b)...).publish(t)
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", s.vip(0), short).one(), e.client.ask(t, "tcp", s6.vip(0), short).one())
	})
	const connects = 5000
	slow := func(p *Probe) { p.Count, p.Workers, p.Pace = connects, 4, 12*time.Millisecond }
	wait, wait6 := e.client.begin(t, s.vip(0), slow), e.client.begin(t, s6.vip(0), slow)
	hosts := []*host{e.a, e.b, e.c, e.remote}
	for range 200 {
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
		some := hosts[:1+rand.IntN(len(hosts))]
		s.to(e.up(some...)...).publish(t)
		s6.to(six.up(some...)...).publish(t)
		pause(t, 65*time.Millisecond)
	}
	for _, answers := range []*Tally{wait(), wait6()} {
		t.Logf("%s; the slowest took %s", answers, answers.Slowest)
		if err := answers.only("a", "b", "c", "remote"); err != nil {
			t.Error(err)
		}
	}
}

// crash: the rules are the kernel's, not the process's.
func crash(t *testing.T, e *exam, s *subject) {
	service := e.service(tcp(80, 8080), udp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", service.vip(0), short).one() })
	line := e.client.open(t, service.vip(0))
	s.kill(t)
	defer s.start(t)
	for i, network := range []string{"tcp", "udp"} {
		if err := e.client.ask(t, network, service.vip(i), many).evenly("a", "b"); err != nil {
			t.Error(err)
		}
	}
	if err := e.client.say(line); err != nil {
		t.Error(err)
	}
}

// restart: nobody notices, and what changed meanwhile is made up for.
func restart(t *testing.T, e *exam, s *subject) {
	kept := e.service(tcp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	changed := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	gone := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	late := e.service(tcp(80, 8080)).to(e.up(e.c)...)
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", kept.vip(0), short).one(), e.client.ask(t, "tcp", gone.vip(0), short).one())
	})
	line, doomed := e.client.open(t, kept.vip(0)), e.client.open(t, gone.vip(0))
	wait := e.client.begin(t, kept.vip(0), func(p *Probe) { p.Count, p.Workers, p.Pace = 1500, 4, 5*time.Millisecond })
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.process.Done()
	changed.to(e.up(e.b)...).publish(t)
	gone.withdraw(t)
	late.publish(t)
	s.start(t)
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", changed.vip(0), short).only("b"), e.client.ask(t, "tcp", gone.vip(0), short).nobody(),
			e.client.ask(t, "tcp", late.vip(0), short).only("c"))
	})
	if err := wait().evenly("a", "b"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(e.client.say(line), e.client.say(doomed)); err != nil {
		t.Error(err)
	}
}

// ruleset is all of nftables with the handles, which tell whether a rule was made anew.
func (e *exam) ruleset(t *testing.T) string {
	t.Helper()
	return e.node.run(t, "nft", "-a", "-s", "list", "ruleset")
}

// reload: a Corefile that says the same of the forwarder changes no rule.
func reload(t *testing.T, e *exam, s *subject) {
	service := e.service(tcp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", service.vip(0), short).one() })
	before, from := e.ruleset(t), len(s.log())
	wait := e.client.begin(t, service.vip(0), func(p *Probe) { p.Count, p.Workers, p.Pace = 500, 4, 5*time.Millisecond })
	if err := s.process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, func() error {
		if !strings.Contains(s.log()[from:], "reloaded") {
			return errors.New("not reloaded")
		}
		return nil
	})
	if err := wait().evenly("a", "b"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, e.ruleset(t)); diff != "" {
		t.Errorf("the rules are not those of before (-before +after):\n%s", diff)
	}
	service.to(e.up(e.c)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", service.vip(0), short).only("c") })
}

// deleted: what an administrator's mistake takes away is made again, by the next change or by itself.
func deleted(t *testing.T, e *exam, _ *subject) {
	service := e.service(tcp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	six := e.in(v6)
	service6 := six.service(tcp(80, 8080)).to(six.up(e.a, e.b)...).publish(t)
	other := e.service(tcp(80, 8080))
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", service.vip(0), short).one(), e.client.ask(t, "tcp", service6.vip(0), short).one())
	})
	for _, change := range []bool{true, false} {
		e.deleteTables(t)
		if err := e.client.ask(t, "tcp", service.vip(0), short).nobody(); err != nil {
			t.Fatal(err)
		}
		if change {
			other.to(e.up(e.c)...).publish(t)
		}
		within(t, 15*time.Second, func() error {
			return first(e.client.ask(t, "tcp", other.vip(0), short).only("c"), e.client.ask(t, "tcp", service.vip(0), many).evenly("a", "b"),
				e.client.ask(t, "tcp", service6.vip(0), many).evenly("a", "b"))
		})
	}
}

func (e *exam) deleteTables(t *testing.T) {
	t.Helper()
	var ours []string
	for table := range strings.Lines(e.node.run(t, "nft", "list", "tables")) {
		if name := strings.TrimPrefix(strings.TrimSpace(table), "table "); strings.HasSuffix(name, " nameplane") {
			ours = append(ours, name)
		}
	}
	if len(ours) != 2 {
		t.Fatalf("tables %v, want one for each family", ours)
	}
	for _, table := range ours {
		e.node.run(t, append([]string{"nft", "delete", "table"}, strings.Fields(table)...)...)
	}
}
