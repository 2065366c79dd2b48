package world

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// generator makes a world. Everything random comes from rand, nothing from map order or the clock.
type generator struct {
	rand *rand.Rand
	w    *World

	serviceIPs  int          // ClusterIPs given out, of either family
	endpointIPs int          // pod addresses given out, of either family
	nodePorts   int          // node ports given out
	backends    []backend    // every endpoint made so far, to be shared between services
	aliases     []*aliasPlan // ExternalName services that wait for their target
	used        map[string]bool
}

func newGenerator(seed uint64) *generator {
	return &generator{rand: rand.New(rand.NewPCG(seed, 1)), w: &World{seed: seed}, used: map[string]bool{}}
}

func (g *generator) world() *World {
	g.makeNodes()
	for _, name := range g.namespaceNames() {
		g.makeNamespace(name)
	}
	for _, ns := range g.w.namespaces {
		g.makePods(ns.Name)
	}
	g.makeDNSService()
	g.makeServices()
	for _, a := range g.aliases {
		g.aim(a)
	}
	return g.w
}

// chance is true in the given share of cases, in percent.
func (g *generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

// between draws from low to high, both included.
func (g *generator) between(low, high int) int { return low + g.rand.IntN(high-low+1) }

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (g *generator) makeNodes() {
	for i := range 3 {
		zone := string(rune('a' + i))
		g.w.nodes = append(g.w.nodes, &corev1.Node{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: "node-" + zone, Labels: map[string]string{corev1.LabelTopologyZone: "zone-" + zone}},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: g.nodeIPs(i)[0].String()},
				{Type: corev1.NodeInternalIP, Address: g.nodeIPs(i)[1].String()},
			}},
		})
	}
}

// nodeIPs are the addresses of a node, IPv4 first: documentation addresses (RFC 5737, RFC 3849).
func (g *generator) nodeIPs(node int) []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + node)}),
		netip.MustParseAddr(fmt.Sprintf("2001:db8:100::%x", 10+node)),
	}
}

func (g *generator) makeNamespace(name string) {
	g.w.namespaces = append(g.w.namespaces, &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{"team": pick(g.rand, []string{"red", "blue"})},
		},
	})
}

// makePods fills a namespace with pods of every phase. Services choose their endpoints among them, too.
func (g *generator) makePods(namespace string) {
	for range g.between(4, 12) {
		node := g.rand.IntN(len(g.w.nodes))
		p := &corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace,
				Name:      g.fresh("pod/"+namespace, g.podName),
				Labels:    map[string]string{"app": pick(g.rand, words), "tier": pick(g.rand, tiers)},
			},
			Spec: corev1.PodSpec{
				NodeName:   g.w.nodes[node].Name,
				Containers: []corev1.Container{{Name: "main", Image: "registry.example/main:1"}},
			},
		}
		p.Status.Phase = pick(g.rand, []corev1.PodPhase{
			corev1.PodRunning, corev1.PodRunning, corev1.PodRunning, corev1.PodRunning,
			corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending,
		})
		addresses := g.podAddresses(node)
		if p.Status.Phase == corev1.PodPending {
			addresses = nil
		}
		for i, a := range addresses {
			if i == 0 {
				p.Status.PodIP = a.String()
			}
			p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a.String()})
		}
		// Only a pod that runs has a grace period to wait for; any other is gone at once.
		if p.Status.Phase == corev1.PodRunning && g.chance(15) {
			grace := int64(24 * 60 * 60)
			p.DeletionTimestamp = &metav1.Time{Time: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
			p.DeletionGracePeriodSeconds = &grace
		}
		g.w.pods = append(g.w.pods, p)
	}
}

// podAddresses draws the addresses of a pod in the order of its families. One on the host's network has the node's.
func (g *generator) podAddresses(node int) []netip.Addr {
	v4, v6 := g.endpointIP(false), g.endpointIP(true)
	switch n := g.rand.IntN(100); {
	case n < 10:
		return g.nodeIPs(node)
	case n < 50:
		return []netip.Addr{v4}
	case n < 80:
		return []netip.Addr{v4, v6}
	case n < 90:
		return []netip.Addr{v6, v4}
	default:
		return []netip.Addr{v6}
	}
}

// endpointIP returns the next address of the pod network. Some IPv6 addresses end in zeros, because a name made of
// such an address ends in a dash.
func (g *generator) endpointIP(v6 bool) netip.Addr {
	g.endpointIPs++
	n := g.endpointIPs
	if !v6 {
		return netip.AddrFrom4([4]byte{10, 244, byte(n >> 8), byte(n)})
	}
	if g.chance(10) {
		return netip.MustParseAddr(fmt.Sprintf("fd00:10:244:%x::", n))
	}
	return netip.MustParseAddr(fmt.Sprintf("fd00:10:244::%x:%x", g.rand.IntN(3), n))
}

// serviceIP returns the next address of the service network, beyond those that the control plane takes itself.
func (g *generator) serviceIP(v6 bool) string {
	g.serviceIPs++
	n := g.serviceIPs
	if v6 {
		return fmt.Sprintf("fd00:10:96::%x", 0x100+n)
	}
	return netip.AddrFrom4([4]byte{10, 96, byte(1 + n>>8), byte(n)}).String()
}
