package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// family is an IP version.
type family int

const (
	v4 family = 4
	v6 family = 6
)

func (f family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

// The networks of the exam. Services have those of package kube's control plane, too.
const (
	serviceCIDRs = "10.96.0.0/12 fd00:10:96::/112"
	podCIDRs     = "10.244.0.0/16 fd00:10:244::/48"
	nodeName     = "node1"
	remoteName   = "node2"
	kubelet      = 10250 // what the node itself serves, on all of its addresses
)

// world is a node with pods, another node with one, and a machine outside of the cluster:
//
//	a, b, c, client ── node ── ext      192.168.50.0/24, the node's way out
//	                     └──── node2    192.168.60.0/24 ── remote
//
// Pods hang on routed veth pairs, without a bridge: what a pod sends passes the node's routing even if its goal is the
// next pod. The other node knows the way to this node and its pods, but not to ext: an answer to a client outside whose
// address was not replaced is lost.
type world struct {
	node, ext, node2        *host
	a, b, c, client, remote *host
	pods                    int
}

// theWorld is the one that all tests of this process share: to build it takes longer than most of them.
func theWorld(t testing.TB) *world {
	t.Helper()
	need(t)
	building.Lock()
	defer building.Unlock()
	if built == nil {
		built = newWorld(t)
	}
	return built
}

var (
	building sync.Mutex
	built    *world
)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{}
	w.node = newHost(t, "node", false)
	quiet(t, w.node)
	w.node.feed(t, "link set lo up\n", "ip", "-batch", "-")
	w.ext = w.machine(t, "ext", "192.168.50.1", "192.168.50.100", "fd00:192:168:50::1", "fd00:192:168:50::100")
	w.node2 = w.machine(t, "node2", "192.168.60.1", "192.168.60.2", "fd00:192:168:60::1", "fd00:192:168:60::2")
	w.node.v4, w.node.v6 = netip.MustParseAddr("192.168.50.1"), netip.MustParseAddr("fd00:192:168:50::1")
	w.node.feed(t, lines(
		"route add default via 192.168.50.100", "route add ::/0 via fd00:192:168:50::100",
		"route add 10.244.2.0/24 via 192.168.60.2", "route add fd00:10:244:2::/64 via fd00:192:168:60::2",
	), "ip", "-batch", "-")
	// What the node lets out to it is lost there, and not sent back.
	w.ext.must(t, "Sysctl", map[string]string{"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}, &Nothing{})
	w.ext.feed(t, lines("route add default via 192.168.50.1", "route add ::/0 via fd00:192:168:50::1"), "ip", "-batch", "-")
	w.node2.feed(t, lines("route add 10.244.1.0/24 via 192.168.60.1", "route add fd00:10:244:1::/64 via fd00:192:168:60::1",
		"route add 192.168.50.1 via 192.168.60.1", "route add fd00:192:168:50::1 via fd00:192:168:60::1"), "ip", "-batch", "-")
	w.a, w.b, w.c, w.client = w.pod(t, "a"), w.pod(t, "b"), w.pod(t, "c"), w.pod(t, "client")
	w.remote = w.podOn(t, w.node2, "remote", 2)
	for _, h := range []*host{w.a, w.b, w.c, w.remote} {
		h.must(t, "Serve", Ports{TCP: []int{8080, 8081}, UDP: []int{8080, 8081}}, &Nothing{})
	}
	w.node.must(t, "Serve", Ports{TCP: []int{kubelet}, UDP: []int{kubelet}}, &Nothing{})
	return w
}

func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }

// quiet makes a router of h whose kernel adds no delays and no limits of its own.
func quiet(t testing.TB, h *host) {
	t.Helper()
	values := map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1",
		"net/ipv4/icmp_ratelimit": "0", "net/ipv6/icmp/ratelimit": "0", // probes are refused many times a second
	}
	for _, scope := range []string{"all", "default"} {
		values["net/ipv4/conf/"+scope+"/rp_filter"] = "0"
		values["net/ipv4/conf/"+scope+"/send_redirects"] = "0"
		values["net/ipv6/conf/"+scope+"/accept_dad"] = "0" // else an address is of no use for its first second
		values["net/ipv6/conf/"+scope+"/disable_ipv6"] = "0"
	}
	h.must(t, "Sysctl", values, &Nothing{})
}

// machine is a new machine beside the node, on a wire of its own.
func (w *world) machine(t testing.TB, name, near4, far4, near6, far6 string) *host {
	t.Helper()
	h := newHost(t, name, true)
	quiet(t, h)
	h.v4, h.v6 = netip.MustParseAddr(far4), netip.MustParseAddr(far6)
	w.node.feed(t, lines(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", name, h.pid),
		fmt.Sprintf("link set %s up", name),
		fmt.Sprintf("addr add %s/24 dev %s", near4, name),
		fmt.Sprintf("addr add %s/64 dev %s nodad", near6, name),
	), "ip", "-batch", "-")
	h.feed(t, lines("link set lo up", "link set eth0 up",
		fmt.Sprintf("addr add %s/24 dev eth0", far4), fmt.Sprintf("addr add %s/64 dev eth0 nodad", far6)), "ip", "-batch", "-")
	return h
}

// pod is a new pod of the node.
func (w *world) pod(t testing.TB, name string) *host {
	t.Helper()
	return w.podOn(t, w.node, name, 1)
}

// podOn is a new pod of a node: routed, its gateway a fixed neighbour, as network plugins do it.
func (w *world) podOn(t testing.TB, node *host, name string, number int) *host {
	t.Helper()
	w.pods++
	h := newHost(t, name, true)
	quiet(t, h)
	h.v4 = netip.MustParseAddr(fmt.Sprintf("10.244.%d.%d", number, 10+w.pods))
	h.v6 = netip.MustParseAddr(fmt.Sprintf("fd00:10:244:%d::%x", number, 10+w.pods))
	gateway, wire := fmt.Sprintf("02:00:00:00:%02x:%02x", number, w.pods), fmt.Sprintf("pod%d", w.pods)
	node.feed(t, lines(
		fmt.Sprintf("link add %s address %s type veth peer name eth0 netns %d", wire, gateway, h.pid),
		fmt.Sprintf("link set %s up", wire),
		fmt.Sprintf("route add %s dev %s", h.v4, wire),
		fmt.Sprintf("route add %s dev %s", h.v6, wire),
	), "ip", "-batch", "-")
	h.feed(t, lines("link set lo up", "link set eth0 up",
		fmt.Sprintf("addr add %s/32 dev eth0", h.v4), fmt.Sprintf("addr add %s/128 dev eth0 nodad", h.v6),
		fmt.Sprintf("neigh add 169.254.1.1 lladdr %s dev eth0 nud permanent", gateway),
		fmt.Sprintf("neigh add fe80::1 lladdr %s dev eth0 nud permanent", gateway),
		"route add 169.254.1.1 dev eth0 scope link", "route add default via 169.254.1.1",
		"route add ::/0 via fe80::1 dev eth0",
	), "ip", "-batch", "-")
	return h
}

// nodeAddrs are the addresses under which the node may appear to others.
func (w *world) nodeAddrs(f family) []netip.Addr {
	if f == v6 {
		return []netip.Addr{w.node.v6, netip.MustParseAddr("fd00:192:168:60::1")}
	}
	return []netip.Addr{w.node.v4, netip.MustParseAddr("192.168.60.1")}
}
