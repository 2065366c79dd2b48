//go:build linux

package nftables

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// events are what happens to the kernel's rules, one line of "nft monitor" each, up to a mark.
type events struct {
	t     *testing.T
	lines chan string
}

func monitor(t *testing.T) *events {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nft", "monitor")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
	e := &events{t: t, lines: make(chan string)}
	go func() {
		defer close(e.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			e.lines <- s.Text()
		}
	}()
	e.until("begin") // from when on it hears
	return e
}

// until are the events up to now: it makes an event of its own, over and over until that is heard.
func (e *events) until(mark string) (list []string) {
	e.t.Helper()
	deadline := time.After(10 * time.Second)
	for n := 0; ; n++ {
		must(e.t, "nft", "add", "table", "ip", fmt.Sprintf("mark-%s-%d", mark, n))
		timer := time.NewTimer(time.Second)
		for heard := true; heard; {
			select {
			case line := <-e.lines:
				if strings.Contains(line, "mark-"+mark) {
					return list
				}
				if !strings.HasPrefix(line, "#") && !strings.Contains(line, "mark-") {
					list = append(list, strings.TrimSpace(line))
				}
			case <-timer.C:
				heard = false
			case <-deadline:
				e.t.Fatal("nft monitor says nothing")
			}
		}
	}
}

// A second process finds what the first one left, and changes only what is otherwise by now.
func TestAdopt(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	foreign(t)
	before := foreigners(t)
	sticky := clusterIP("10.96.0.12:80/tcp", forward("10.1.1.2:8080 10.1.2.2:8080"))
	sticky.Affinity = time.Hour
	web := named("web", clusterIP("10.96.0.10:80/tcp", forward("10.1.1.2:8080 10.1.2.2:8080 10.1.3.2:8080")),
		clusterIP("[fd00:96::10]:53/udp", forward("[fd00:1:1::2]:8080")))
	all := []*plan.Service{
		web, named("sticky", sticky), named("none", clusterIP("10.96.0.11:80/tcp", plan.Target{Verdict: plan.Reject})),
		named("node", local(nodePort("0.0.0.0:30001/sctp", forward("10.1.1.2:8080")), plan.Target{Verdict: plan.Drop})),
		named("balanced", loadBalancer("203.0.113.1:80/tcp", forward("10.1.1.2:8080"), "0.0.0.0/0 192.168.0.0/16 10.0.0.0/8"),
			loadBalancer("[2001:db8::1]:80/tcp", forward("[fd00:1:1::2]:8080"), "::/0 2001:db8::/32")),
	}
	l.adopt(t, all...)
	e := monitor(t)

	again, err := Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.plane = again
	l.adopt(t, all...)
	if list := e.until("nothing"); len(list) > 0 {
		t.Errorf("nothing is otherwise, but adoption did %q", list)
	}

	fewer := named("web", clusterIP("10.96.0.10:80/tcp", forward("10.1.2.2:8080 10.1.3.2:8080")), web.Frontends[1])
	all[0] = fewer
	l.adopt(t, all...)
	want := []string{
		"delete element ip nameplane svc { 10.96.0.10 . tcp . 80 : goto lb-3 }",
		"delete element ip nameplane ep-tcp { 10.96.0.10 . 80 . 0 : 10.1.1.2 . 8080 }",
		"delete element ip nameplane ep-tcp { 10.96.0.10 . 80 . 2 : 10.1.3.2 . 8080 }",
		"add element ip nameplane ep-tcp { 10.96.0.10 . 80 . 0 : 10.1.3.2 . 8080 }",
		"add element ip nameplane svc { 10.96.0.10 . tcp . 80 : goto lb-2 }",
	}
	sameLines(t, "with one endpoint less, adoption did", elementsOf(e.until("fewer")), want)

	must(t, "nft", "delete", "element", "ip", "nameplane", "svc", "{ 10.96.0.11 . tcp . 80 }")
	must(t, "nft", "add", "element", "ip", "nameplane", "svc", "{ 10.96.9.9 . tcp . 80 : drop }")
	e.until("drift")
	l.adopt(t, all...)
	sameLines(t, "with drift, adoption did", elementsOf(e.until("mended")), []string{
		"add element ip nameplane svc { 10.96.0.11 . tcp . 80 : goto refuse }",
		"delete element ip nameplane svc { 10.96.9.9 . tcp . 80 : drop }",
	})

	l.apply(t, named("web"), all[2])
	l.apply(t, all[0])
	if list := e.until("applied"); len(list) == 0 {
		t.Error("a service that went and came changed nothing")
	}
	if after := foreigners(t); after != before {
		t.Errorf("others' tables were\n%s\nand are\n%s", before, after)
	}
}

// foreign makes what is not ours, and must stay as it is.
func foreign(t *testing.T) {
	t.Helper()
	must(t, "nft", `add table ip kube-proxy; add map ip kube-proxy svc { type ipv4_addr : verdict ; }
		add chain ip kube-proxy nat { type nat hook prerouting priority dstnat ; }
		add rule ip kube-proxy nat ip daddr vmap @svc
		add table inet nameplane; add set inet nameplane other { type ipv6_addr ; elements = { fd00::1 } ; }`)
}

func foreigners(t *testing.T) string {
	t.Helper()
	return must(t, "nft", "-a", "list", "table", "ip", "kube-proxy") + must(t, "nft", "-a", "list", "table", "inet", "nameplane")
}

func elementsOf(lines []string) (list []string) {
	for _, line := range lines {
		if strings.Contains(line, " element ") {
			list = append(list, line)
		}
	}
	return list
}

func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	missing := map[string]int{}
	for _, line := range want {
		missing[line]++
	}
	for _, line := range got {
		missing[line]--
	}
	for line, n := range missing {
		if n != 0 {
			t.Errorf("%s\n%s\nwant\n%s\n(%q)", what, strings.Join(got, "\n"), strings.Join(want, "\n"), line)
			return
		}
	}
}

// A table of another layout is replaced at one instant: clients notice nothing.
func TestReplace(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	web := named("web", clusterIP("10.96.0.10:80/tcp", forward("10.1.1.2:8080 10.1.2.2:8080")))
	l.adopt(t, web)
	stop := l.connectAll(t, "10.96.0.10:80")
	for range 20 {
		// Without the marker it is a table of another layout.
		must(t, "nft", "delete", "chain", "ip", "nameplane", newLayout(families()[0]).marker)
		l.adopt(t, web)
		if err := l.plane.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
}

// connectAll connects from a pod and from the node, a thousand times a second at most, until it is stopped, and fails at the
// first that does not get through. A client has 14,000 ports before it must use one again, which does not work at once.
func (l *lab) connectAll(t *testing.T, addr string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	count := 0
	clients.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil && !t.Failed() && count < 20_000; count++ {
			<-tick.C
			from := []*host{l.a, l.node}[count%2]
			if got := from.ask("tcp", addr, patience); !strings.HasPrefix(got, "a ") && !strings.HasPrefix(got, "b ") {
				t.Errorf("connection %d: %q", count, got)
			}
		}
	})
	return func() {
		cancel()
		clients.Wait()
		t.Logf("%d connections", count)
		if count < 100 {
			t.Errorf("only %d connections were made meanwhile", count)
		}
	}
}

// Endpoints come and go four hundred times, and so does their number.
func TestSwaps(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	of := func(targets string) *plan.Service {
		return named("web", clusterIP("10.96.0.10:80/tcp", forward(targets)))
	}
	states := []*plan.Service{of("10.1.1.2:8080"), of("10.1.1.2:8080 10.1.2.2:8080"), of("10.1.2.2:8080")}
	l.adopt(t, states[0])
	stop := l.connectAll(t, "10.96.0.10:80")
	for i := range 400 {
		l.apply(t, states[i%len(states)])
	}
	stop()
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	foreign(t)
	before := foreigners(t)
	l.adopt(t, named("web", clusterIP("10.96.0.10:80/tcp", forward("10.1.1.2:8080"))))
	if err := l.plane.Close(); err != nil {
		t.Error(err)
	}
	exchange{l.b, "tcp", "10.96.0.10:80", "a 10.1.2.2"}.one(t)                   // what is closed goes on
	must(t, "nft", "add table ip nameplane-twin; add chain ip nameplane-twin x") // left by who died while it replaced a table
	for _, want := range []string{"table ip nameplane, table ip nameplane-twin, table ip6 nameplane", ""} {
		removed, err := Cleanup(t.Context())
		if got := strings.Join(removed, ", "); err != nil || got != want {
			t.Errorf("removed %q, %v; want %q", got, err, want)
		}
	}
	left := must(t, "nft", "list", "tables")
	if strings.Contains(left, "ip nameplane") || strings.Contains(left, "ip6 nameplane") || foreigners(t) != before {
		t.Errorf("left are\n%s", left)
	}
}

// Check finds what is missing, without a change.
func TestCheck(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	web := named("web", clusterIP("10.96.0.10:80/tcp", forward("10.1.1.2:8080")), clusterIP("[fd00:96::10]:80/tcp", forward("[fd00:1:1::2]:8080")))
	for _, test := range []struct{ name, harm, want string }{
		{name: "nothing"},
		{name: "an element", harm: "delete element ip nameplane svc { 10.96.0.10 . tcp . 80 }", want: "10.96.0.10 . tcp . 80"},
		{name: "a table", harm: "delete table ip6 nameplane", want: "table ip6 nameplane"},
		{name: "all rules", harm: "flush table ip nameplane", want: "ip nameplane"},
		{name: "the rules of a chain", harm: "flush chain ip nameplane prerouting", want: "chain prerouting"},
	} {
		l.adopt(t, web)
		if err := l.plane.Check(t.Context()); err != nil {
			t.Fatalf("%s: before any harm: %v", test.name, err)
		}
		if test.harm == "" {
			continue
		}
		must(t, "nft", test.harm)
		if err := l.plane.Check(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("without %s: %v, want %q", test.name, err, test.want)
		}
		l.adopt(t, web)
		exchange{l.b, "tcp", "10.96.0.10:80", "a 10.1.2.2"}.one(t)
		exchange{l.b, "tcp", "[fd00:96::10]:80", "a fd00:1:2::2"}.one(t)
	}
}
