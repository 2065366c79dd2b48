package nftables

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

func prefixes(text string) (list []netip.Prefix) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(word))
	}
	return list
}

func backends(text string) (list []netip.AddrPort) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParseAddrPort(word))
	}
	return list
}

func forward(text string) plan.Target { return plan.Target{Backends: backends(text)} }

func testPolicy() *plan.Policy {
	return &plan.Policy{
		All: true, AllowPods: true, AllowNode: true,
		ServiceCIDRs: prefixes("10.96.0.0/16 fd00:96::/112"), PodCIDRs: prefixes("10.1.0.0/16 fd00:1::/32"),
		NodePortAddrs: prefixes("192.168.50.1/32 fd00:50::1/128"),
	}
}

// clusterIP is a frontend for all clients alike.
func clusterIP(key string, target plan.Target) plan.Frontend {
	k, err := plan.ParseKey(key)
	if err != nil {
		panic(err)
	}
	return plan.Frontend{Key: k, Inside: target}
}

// nodePort is a frontend on the node's addresses, with externalTrafficPolicy Cluster.
func nodePort(key string, target plan.Target) plan.Frontend {
	f := clusterIP(key, target)
	f.Kind, f.Outside, f.Masquerade = plan.NodePort, target, true
	return f
}

// local is a frontend with externalTrafficPolicy Local.
func local(f plan.Frontend, outside plan.Target) plan.Frontend {
	f.Outside, f.Masquerade = outside, false
	return f
}

func loadBalancer(key string, target plan.Target, sources string) plan.Frontend {
	f := nodePort(key, target)
	f.Kind, f.Sources = plan.LoadBalancer, prefixes(sources)
	return f
}

func named(name string, frontends ...plan.Frontend) *plan.Service {
	return &plan.Service{Namespace: "default", Name: name, Frontends: frontends}
}

func TestElements(t *testing.T) {
	t.Parallel()
	refuse, away := plan.Target{Verdict: plan.Reject}, plan.Target{Verdict: plan.Drop}
	for _, test := range []struct {
		name     string
		frontend plan.Frontend
		want     string
	}{
		{"two endpoints", clusterIP("10.96.0.1:80/tcp", forward("10.1.0.1:8080 10.1.0.2:8081")), `
			svc { 10.96.0.1 . tcp . 80 : goto lb-2 }
			ep-tcp { 10.96.0.1 . 80 . 0 : 10.1.0.1 . 8080 }
			ep-tcp { 10.96.0.1 . 80 . 1 : 10.1.0.2 . 8081 }`},
		{"none", clusterIP("10.96.0.1:53/udp", refuse), `svc { 10.96.0.1 . udp . 53 : goto refuse }`},
		{"none here", clusterIP("10.96.0.1:99/sctp", away), `svc { 10.96.0.1 . sctp . 99 : drop }`},
		{"the other family", clusterIP("[fd00::1]:80/tcp", refuse), ``},
		{"NodePort", nodePort("0.0.0.0:30001/udp", forward("10.1.0.1:53")), `
			np { udp . 30001 : goto np-lb-1 }
			np-ep-udp { 30001 . 0 : 10.1.0.1 . 53 }
			np-masq-udp { 30001 : goto masq-pods-node-outside }`},
		{"NodePort, local", local(nodePort("0.0.0.0:30001/tcp", forward("10.1.0.1:80 10.1.0.2:80")), forward("10.1.0.2:80")), `
			np { tcp . 30001 : goto np-lb-2 }
			np-ep-tcp { 30001 . 0 : 10.1.0.1 . 80 }
			np-ep-tcp { 30001 . 1 : 10.1.0.2 . 80 }
			np-out { tcp . 30001 : goto np-lb-out-1 }
			np-ep-out-tcp { 30001 . 0 : 10.1.0.2 . 80 }
			np-masq-tcp { 30001 : goto masq-node }`},
		{"NodePort, local, none here", local(nodePort("0.0.0.0:30001/tcp", forward("10.1.0.1:80")), away), `
			np { tcp . 30001 : goto np-lb-1 }
			np-ep-tcp { 30001 . 0 : 10.1.0.1 . 80 }
			np-out { tcp . 30001 : drop }
			np-masq-tcp { 30001 : goto masq-node }`},
		{"balancer, local", local(loadBalancer("203.0.113.1:80/tcp", forward("10.1.0.1:80"), ""), away), `
			svc { 203.0.113.1 . tcp . 80 : goto lb-1 }
			ep-tcp { 203.0.113.1 . 80 . 0 : 10.1.0.1 . 80 }
			svc-out { 203.0.113.1 . tcp . 80 : drop }
			masq-tcp { 203.0.113.1 . 80 : goto masq-node }`},
		{"balancer with ranges that overlap, of both families",
			loadBalancer("203.0.113.1:80/tcp", refuse, "10.0.0.0/8 10.9.0.0/16 192.0.2.7/32 fd00::/8 192.0.2.7/32"), `
			svc { 203.0.113.1 . tcp . 80 : goto refuse }
			restricted { 203.0.113.1 . tcp . 80 }
			sources { 203.0.113.1 . tcp . 80 . 10.0.0.0/8 }
			sources { 203.0.113.1 . tcp . 80 . 192.0.2.7 }`},
		{"balancer with ranges of the other family only: for nobody", loadBalancer("203.0.113.1:80/tcp", refuse, "fd00::/8"), `
			svc { 203.0.113.1 . tcp . 80 : goto refuse }
			restricted { 203.0.113.1 . tcp . 80 }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newService(families()[0], named("s", test.frontend), (*service)(nil).slots)
			var got []string
			s.elements(families()[0], func(e element) { got = append(got, e.String()) })
			want := strings.FieldsFunc(test.want, func(r rune) bool { return r == '\n' || r == '\t' })
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, old, want, slots string }{
		{"first", "", "1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1"},
		{"the same", "1.1.1.2:1 1.1.1.1:1", "1.1.1.1:1 1.1.1.2:1", "1.1.1.2:1 1.1.1.1:1"},
		{"one more", "1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1", "1.1.1.2:1 1.1.1.1:1"},
		{"the first goes: the last takes its slot", "1.1.1.1:1 1.1.1.2:1 1.1.1.3:1", "1.1.1.2:1 1.1.1.3:1", "1.1.1.3:1 1.1.1.2:1"},
		{"the last goes", "1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1", "1.1.1.1:1"},
		{"one for another", "1.1.1.1:1 1.1.1.2:1 1.1.1.3:1", "1.1.1.1:1 1.1.1.3:1 1.1.1.4:1", "1.1.1.1:1 1.1.1.4:1 1.1.1.3:1"},
		{"another port", "1.1.1.1:1", "1.1.1.1:2", "1.1.1.1:2"},
		{"all go", "1.1.1.1:1", "", ""},
		{"twice in the kernel", "1.1.1.1:1 1.1.1.1:1", "1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := assign(backends(test.old), backends(test.want)); !slices.Equal(got, backends(test.slots)) {
				t.Errorf("%v, want %s", got, test.slots)
			}
		})
	}
}

// Whatever was, the slots are those wanted, each once, and nobody moves without need.
func FuzzAssign(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{2, 3})
	f.Add([]byte{1, 1, 0}, []byte{9, 1})
	f.Fuzz(func(t *testing.T, was, want []byte) {
		list := func(b []byte) (list []netip.AddrPort) {
			for _, n := range b {
				list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 80))
			}
			return list
		}
		old, wanted := list(was), list(want)
		slices.SortFunc(wanted, netip.AddrPort.Compare)
		wanted = slices.Compact(wanted)
		slots := assign(old, wanted)
		sorted := slices.Clone(slots)
		slices.SortFunc(sorted, netip.AddrPort.Compare)
		if !slices.Equal(sorted, wanted) {
			t.Fatalf("from %v: slots %v, want those of %v", old, slots, wanted)
		}
		for i, b := range slots {
			first := slices.Index(old, b)
			if first >= 0 && first < len(slots) && i != first {
				t.Fatalf("from %v to %v: %v moved", old, slots, b)
			}
		}
	})
}

func TestSplits(t *testing.T) {
	t.Parallel()
	f := frontend{Frontend: &plan.Frontend{Kind: plan.ClusterIP, Inside: forward("10.1.0.1:80"), Outside: plan.Target{Verdict: plan.Drop}}}
	if f.splits() {
		t.Error("a cluster IP has one target")
	}
}

// Names of affinity tell what is in it: any other timeout, endpoint or order is another chain.
func TestStickyNames(t *testing.T) {
	t.Parallel()
	name := func(timeout time.Duration, port, targets string) string {
		front := clusterIP("10.96.0.1:80/tcp", forward(targets))
		front.Affinity, front.Port = timeout, port
		s := newService(families()[0], named("s", front), (*service)(nil).slots)
		return s.sticky(families()[0], &s.frontends[0], s.frontends[0].inside).chain
	}
	seen := map[string]bool{}
	for _, n := range []string{
		name(time.Hour, "http", "10.1.0.1:80 10.1.0.2:80"), name(time.Minute, "http", "10.1.0.1:80 10.1.0.2:80"),
		name(time.Hour, "web", "10.1.0.1:80 10.1.0.2:80"), name(time.Hour, "http", "10.1.0.1:80"), name(time.Hour, "http", "10.1.0.1:81"),
	} {
		if seen[n] {
			t.Errorf("%s means two things", n)
		}
		seen[n] = true
	}
	if again := name(time.Hour, "http", "10.1.0.1:80 10.1.0.2:80"); !seen[again] {
		t.Errorf("%s is not what it was", again)
	}
}
