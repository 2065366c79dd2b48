package netns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

const (
	manyServices = 10_000
	// What ten thousand services with four endpoints each may cost on two busy processors. Measured it is a fraction.
	coldBudget   = 10 * time.Second       // all rules, from none
	changeBudget = 250 * time.Millisecond // one service's
)

// TestScale holds the budgets of a big cluster.
func TestScale(t *testing.T) {
	peer.E2E(t)
	w := theWorld(t)
	s := newSubject(t, w, options{mode: nftables})
	writeMany(t, w, string(s.folder))
	begin := time.Now()
	s.start(t)
	e := newExam(w, nftables, s.folder)
	last := newService(s.folder, v4, "last", manyAddr(manyServices-1), tcp(80, 8080))
	within(t, 2*time.Minute, func() error { return e.client.ask(t, "tcp", last.vip(0), short).only("a") })
	t.Logf("%d services, 4 endpoints each: reachable after %s, of it %s in rules", manyServices, time.Since(begin).Round(time.Millisecond), s.seconds(t, "full"))
	if took := s.seconds(t, "full"); took > coldBudget {
		t.Errorf("all rules took %s, want %s at most", took, coldBudget)
	}
	var slowest time.Duration
	const changes = 20
	before := s.seconds(t, "partial")
	one := e.service(tcp(80, 8080))
	for i := range changes {
		h := []*host{w.a, w.b}[i%2]
		one.to(e.up(h)...).publish(t)
		at := time.Now()
		e.soon(t, func() error { return e.client.ask(t, "tcp", one.vip(0), short).only(h.name) })
		slowest = max(slowest, time.Since(at))
	}
	took := (s.seconds(t, "partial") - before) / changes
	t.Logf("a change of one more: %s in rules, reachable after %s at most", took.Round(10*time.Microsecond), slowest.Round(time.Millisecond))
	if took > changeBudget {
		t.Errorf("a change took %s, want %s at most", took, changeBudget)
	}
	if resident, _, err := s.process.Memory(); err == nil {
		t.Logf("resident: %d MiB", resident/1024)
	}
	begin = time.Now()
	s.kill(t)
	s.start(t)
	one.to(e.up(w.c)...).publish(t)
	within(t, 2*time.Minute, func() error { return e.client.ask(t, "tcp", one.vip(0), short).only("c") })
	t.Logf("a restart: up to date after %s, of it %s in rules", time.Since(begin).Round(time.Millisecond), s.seconds(t, "full"))
}

// seconds are those that the program says it spent on passes of a kind.
func (s *subject) seconds(t *testing.T, kind string) time.Duration {
	t.Helper()
	name := "kubeproxy_sync_" + kind + "_proxy_rules_duration_seconds_sum "
	_, after, found := strings.Cut(s.metrics(t), "\n"+name)
	text, _, _ := strings.Cut(after, "\n")
	seconds, err := strconv.ParseFloat(text, 64)
	if !found || err != nil {
		t.Fatalf("metric %s: %q: %v", name, text, err)
	}
	return time.Duration(seconds * float64(time.Second))
}

func manyAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 100, byte(i >> 8), byte(i)}) }

// writeMany writes the services; all of the endpoints are pods of the world under other ports, but for the first.
func writeMany(t *testing.T, w *world, dir string) {
	t.Helper()
	const perFile = 1000
	var text strings.Builder
	for i := range manyServices {
		fmt.Fprintf(&text, `---
{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"many","name":"m%[1]d"},"spec":{"clusterIP":"%[2]s","ports":[{"name":"http","port":80}]}}
---
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":"many","name":"m%[1]d-1","labels":{"kubernetes.io/service-name":"m%[1]d"}},"addressType":"IPv4","ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["%[3]s"]}`,
			i, manyAddr(i), w.a.v4)
		for k := range 3 { // nobody is there
			fmt.Fprintf(&text, `,{"addresses":["10.244.%d.%d"],"conditions":{"ready":%v}}`, 100+i>>8, (i+k)&255, i != manyServices-1)
		}
		text.WriteString("]}\n")
		if (i+1)%perFile == 0 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("many-%d.yaml", i/perFile)), []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			text.Reset()
		}
	}
}
