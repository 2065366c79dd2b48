//go:build linux

package nftables

import (
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

func affine(timeout time.Duration, frontends ...plan.Frontend) *plan.Service {
	for i := range frontends {
		frontends[i].Affinity, frontends[i].Port = timeout, "http"
	}
	return named("sticky", frontends...)
}

// stays asks often, and returns the one that always answered.
func (x exchange) stays(t *testing.T) (name string) {
	t.Helper()
	for range 12 {
		got, _, _ := strings.Cut(x.from.ask(x.network, x.addr, patience), " ")
		if name == "" {
			name = got
		}
		if got != name || got == "timeout" {
			t.Fatalf("from %s to %s %s: first %q, then %q", x.from.name, x.network, x.addr, name, got)
		}
	}
	return name
}

func TestAffinity(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	l := newLab(t)
	four, six := forward("10.1.1.2:8080 10.1.2.2:8080"), forward("[fd00:1:1::2]:8080 [fd00:1:2::2]:8080")
	of := func(timeout time.Duration, four, six plan.Target) *plan.Service {
		return affine(timeout, nodePort("0.0.0.0:30001/tcp", four), clusterIP("10.96.0.10:80/tcp", four), clusterIP("10.96.0.10:80/udp", four),
			clusterIP("[fd00:96::10]:80/tcp", six))
	}
	l.adopt(t, of(time.Hour, four, six))
	cluster := exchange{from: l.node, network: "tcp", addr: "10.96.0.10:80"}
	chosen := cluster.stays(t)
	if again := (exchange{from: l.node, network: "tcp", addr: "192.168.50.1:30001"}).stays(t); again != chosen {
		t.Errorf("%s by the cluster IP, but %s by the NodePort of the same port", chosen, again)
	}
	(exchange{from: l.a, network: "tcp", addr: "[fd00:96::10]:80"}).stays(t)
	(exchange{from: l.a, network: "udp", addr: "10.96.0.10:80"}).stays(t)

	// The endpoint goes, and comes again: the client moves, and then stays where it is.
	gone, moved := map[string]string{"a": "10.1.2.2:8080", "b": "10.1.1.2:8080"}[chosen], map[string]string{"a": "b", "b": "a"}[chosen]
	l.apply(t, of(time.Hour, forward(gone), six))
	if got := cluster.stays(t); got != moved {
		t.Errorf("%s is gone, but %s answers", chosen, got)
	}
	l.apply(t, of(time.Hour, four, six))
	if got := cluster.stays(t); got != moved {
		t.Errorf("the client was at %s, now %s answers", moved, got)
	}
	// A process that comes later leaves the memory alone.
	again, err := Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l.plane = again
	l.adopt(t, of(time.Hour, four, six))
	if got := cluster.stays(t); got != moved {
		t.Errorf("after a restart: the client was at %s, now %s answers", moved, got)
	}

	// It expires: with a second's memory, clients who come less often are led to both in time.
	l.apply(t, of(time.Second, four, six))
	heard := map[string]bool{}
	for deadline := time.Now().Add(30 * time.Second); len(heard) < 2 && time.Now().Before(deadline); <-time.After(1200 * time.Millisecond) {
		name, _, _ := strings.Cut(cluster.from.ask(cluster.network, cluster.addr, patience), " ")
		heard[name] = true
	}
	if !heard["a"] || !heard["b"] {
		t.Errorf("affinity of a second: only %v were heard", heard)
	}

	// Without it, what it needed goes.
	l.apply(t, affine(0, clusterIP("10.96.0.10:80/tcp", four), clusterIP("[fd00:96::10]:80/tcp", six)))
	exchange{l.a, "tcp", "10.96.0.10:80", "a 10.1.1.1|b 10.1.1.2"}.expect(t)
	if err := l.plane.sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for _, family := range []string{"ip", "ip6"} {
		if list := must(t, "nft", "list", "table", family, tableName); strings.Contains(list, stickyPrefix) || strings.Contains(list, endpointPrefix) {
			t.Errorf("affinity is off, and left is\n%s", list)
		}
	}
}
