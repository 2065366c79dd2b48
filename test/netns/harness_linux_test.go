package netns

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// handmade is a forwarder of the smallest possible form, for port 80 of some virtual IPs: fair, unfair, refusing, silent.
const handmade = `
table ip handmade {
	chain prerouting { type nat hook prerouting priority -105; jump vips; }
	chain output { type nat hook output priority -105; jump vips; }
	chain vips {
		ip daddr 10.96.9.1 tcp dport 80 dnat to numgen random mod 2 map { 0 : A . 8080, 1 : B . 8080 }
		ip daddr 10.96.9.1 udp dport 80 dnat to numgen random mod 2 map { 0 : A . 8080, 1 : B . 8080 }
		ip daddr 10.96.9.2 tcp dport 80 dnat to numgen random mod 10 map { 0-6 : A . 8080, 7-9 : B . 8080 }
		ip daddr 10.96.9.5 tcp dport 80 dnat to R:8080
	}
	chain postrouting { type nat hook postrouting priority 95; ct status dnat ip saddr . ip daddr { A . A } masquerade; }
	chain forward { type filter hook forward priority 0; jump verdicts; }
	chain outgoing { type filter hook output priority 0; jump verdicts; }
	chain verdicts { ip daddr 10.96.9.3 reject; ip daddr 10.96.9.4 drop; }
}
`

// TestHarness proves the instruments, with rules made by hand: that they tell apart what they are to tell apart.
func TestHarness(t *testing.T) {
	w := theWorld(t)
	rules := strings.NewReplacer("A", w.a.v4.String(), "B", w.b.v4.String(), "R", w.remote.v4.String()).Replace(handmade)
	w.node.feed(t, rules, "nft", "-f", "-")
	t.Cleanup(func() { w.node.run(t, "nft", "delete table ip handmade") })
	vip := func(n byte) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, 9, n}), 80) }
	short := patience(300 * time.Millisecond)
	some := []func(*Probe){times(600), workers(8)}

	for _, test := range []struct {
		name string
		ask  func() *Tally
		good func(*Tally) error // finds nothing
		bad  func(*Tally) error // finds something
	}{
		{
			name: "fair TCP",
			ask:  func() *Tally { return w.client.ask(t, "tcp", vip(1), some...) },
			good: func(a *Tally) error { return errors.Join(a.evenly("a", "b"), a.seenAs(w.client.v4)) },
			bad:  func(a *Tally) error { return a.only("a", "b", "c") },
		},
		{
			name: "fair UDP",
			ask:  func() *Tally { return w.client.ask(t, "udp", vip(1), some...) },
			good: func(a *Tally) error { return errors.Join(a.evenly("a", "b"), a.seenAs(w.client.v4)) },
			bad:  func(a *Tally) error { return a.only("a") },
		},
		{
			name: "unfair",
			ask:  func() *Tally { return w.client.ask(t, "tcp", vip(2), some...) },
			good: func(a *Tally) error { return a.spread(map[string]float64{"a": 0.7, "b": 0.3}) },
			bad:  func(a *Tally) error { return a.evenly("a", "b") },
		},
		{
			name: "refused TCP",
			ask:  func() *Tally { return w.client.ask(t, "tcp", vip(3), times(20)) },
			good: func(a *Tally) error { return a.failed("refused") },
			bad:  func(a *Tally) error { return a.failed("timeout") },
		},
		{
			name: "refused UDP, from the node",
			ask:  func() *Tally { return w.node.ask(t, "udp", vip(3)) },
			good: func(a *Tally) error { return a.failed("refused", "prohibited") },
			bad:  func(a *Tally) error { return a.only("a") },
		},
		{
			name: "silent",
			ask:  func() *Tally { return w.client.ask(t, "tcp", vip(4), short) },
			good: func(a *Tally) error { return a.failed("timeout") },
			bad:  func(a *Tally) error { return a.failed("refused") },
		},
		{
			name: "hairpin",
			ask:  func() *Tally { return w.a.ask(t, "tcp", vip(2), times(50)) },
			good: func(a *Tally) error { return errors.Join(a.only("a", "b"), a.seenAs(w.a.v4, w.node.v4)) },
			bad:  func(a *Tally) error { return a.seenAs(w.a.v4) },
		},
		{
			name: "to another node, from a pod",
			ask:  func() *Tally { return w.client.ask(t, "tcp", vip(5)) },
			good: func(a *Tally) error { return errors.Join(a.only("remote"), a.seenAs(w.client.v4)) },
			bad:  func(a *Tally) error { return a.seenAs(w.node.v4) },
		},
		{
			name: "to another node, from outside, not masqueraded",
			ask:  func() *Tally { return w.ext.ask(t, "tcp", vip(5), short) },
			good: func(a *Tally) error { return a.failed("timeout") },
			bad:  func(a *Tally) error { return a.only("remote") },
		},
		{
			name: "without a virtual IP",
			ask:  func() *Tally { return w.client.ask(t, "tcp", w.remote.at(v6, 8081)) },
			good: func(a *Tally) error { return errors.Join(a.only("remote:8081"), a.seenAs(w.client.v6)) },
			bad:  func(a *Tally) error { return a.only("remote") },
		},
		{
			name: "nobody listens",
			ask:  func() *Tally { return w.node.ask(t, "tcp", w.a.at(v6, 9)) },
			good: func(a *Tally) error { return a.failed("refused") },
			bad:  func(a *Tally) error { return a.only("a") },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			answers := test.ask()
			if err := test.good(answers); err != nil {
				t.Error(err)
			}
			if test.bad(answers) == nil {
				t.Errorf("%s: what is wrong is not noticed", answers)
			}
		})
	}
}
