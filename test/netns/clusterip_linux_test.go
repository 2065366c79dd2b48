package netns

import (
	"errors"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func clusterIPCases() []theCase {
	return []theCase{
		{name: "all ready backends, evenly", run: readyEvenly, core: true},
		{name: "from the node", run: fromNode, core: true},
		{name: "a backend asks its own service", run: hairpin, core: true},
		{name: "a backend on another node", run: onAnotherNode},
		{name: "slices with ports of their own", run: manySlices},
		{name: "an address in two slices", run: repeated},
		{name: "one port number in two protocols", run: twoProtocols},
		{name: "many ports", run: manyPorts},
		{name: "no endpoints", run: noEndpoints, core: true},
		{name: "policy Local", run: internalLocal},
		{name: "a port that the service does not have", run: wrongPort},
		{name: "an address that no service has", run: noService, gaps: gaps{relay: "an address that it does not take is nobody's"}},
		{name: "hints: this zone, this node", run: hinted},
		{name: "backends that end", run: terminating, core: true},
		{name: "connections outlive their backend's endpoint", run: established},
		{name: "labels for others", run: foreignLabels},
		{name: "deleted and made again", run: madeAgain},
		{name: "another address", run: otherAddress, files: true},
		{name: "other types", run: otherTypes, files: true},
		{name: "what the node serves is not at virtual IPs", run: nodePortsOfItsOwn, core: true},
		{name: "clients outside are let out", run: outsideDenied, gaps: gaps{kubeProxy: "it lets all clients in"}},
	}
}

// many is enough to judge a spread by.
func many(p *Probe) { p.Count, p.Workers = 300, 4 }

func short(p *Probe) { p.Timeout = silence }

func readyEvenly(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080), udp(80, 8080))
	s.to(append(e.up(e.a, e.b), e.down(e.c)...)...).publish(t)
	for i, network := range []string{"tcp", "udp"} {
		e.soon(t, func() error { return e.client.ask(t, network, s.vip(i), short).one() })
		answers := e.client.ask(t, network, s.vip(i), many)
		if err := first(answers.evenly("a", "b"), e.keepsSource(answers, e.client.addr(e.family))); err != nil {
			t.Error(network, err)
		}
	}
}

func fromNode(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080), udp(80, 8080)).to(e.up(e.a, e.b)...).publish(t)
	for i, network := range []string{"tcp", "udp"} {
		e.soon(t, func() error { return e.node.ask(t, network, s.vip(i), short).one() })
		answers := e.node.ask(t, network, s.vip(i), many)
		if err := first(answers.evenly("a", "b"), answers.seenAs(e.nodeAddrs(e.family)...)); err != nil {
			t.Error(network, err)
		}
	}
}

func hairpin(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080), udp(80, 8080)).to(e.up(e.a)...).publish(t)
	for i, network := range []string{"tcp", "udp"} {
		e.soon(t, func() error { return e.a.ask(t, network, s.vip(i), short).only("a") })
		if err := e.a.ask(t, network, s.vip(i), many).seenAs(e.nodeAddrs(e.family)...); err != nil {
			t.Error(network, err)
		}
	}
	s.to(e.up(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.a.ask(t, "tcp", s.vip(0), many).evenly("a", "b") })
}

func onAnotherNode(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.remote, e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "remote") })
	if err := e.keepsSource(e.client.ask(t, "tcp", s.vip(0), many), e.client.addr(e.family)); err != nil {
		t.Error(err)
	}
}

func manySlices(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).also(8081, e.up(e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b:8081") })
}

func repeated(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).also(0, e.up(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b") })
}

func twoProtocols(t *testing.T, e *exam) {
	s := e.service(tcp(53, 8080), udp(53, 8081)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", s.vip(0)).only("a"), e.client.ask(t, "udp", s.vip(1)).only("a:8081"))
	})
}

func manyPorts(t *testing.T, e *exam) {
	var ports []corev1.ServicePort
	for i := range int32(20) {
		ports = append(ports, tcp(1000+i, 8080+i%2))
	}
	s := e.service(ports...).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error {
		for i := range ports {
			if err := e.client.ask(t, "tcp", s.vip(i)).only([]string{"a", "a:8081"}[i%2]); err != nil {
				return err
			}
		}
		return nil
	})
}

func noEndpoints(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080), udp(80, 8080)).publish(t)
	for _, client := range []*host{e.client, e.node} {
		e.soon(t, func() error { return client.ask(t, "tcp", s.vip(0)).failed("refused") })
		e.soon(t, func() error { return client.ask(t, "udp", s.vip(1)).failed("refused", "prohibited") })
	}
	s.to(e.down(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0)).failed("refused") })
	s.to(e.up(e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("b") })
}

func internalLocal(t *testing.T, e *exam) {
	local := corev1.ServiceInternalTrafficPolicyLocal
	s := e.service(tcp(80, 8080), udp(80, 8080))
	s.Spec.InternalTrafficPolicy = &local
	s.to(e.up(e.a, e.remote)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	if err := e.client.ask(t, "tcp", s.vip(0), many).only("a"); err != nil {
		t.Error(err)
	}
	s.to(e.up(e.remote)...).publish(t)
	if e.mode == relay { // a connection that it has taken it can only close
		e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).nobody() })
		return
	}
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", s.vip(0), short).failed("timeout"), e.client.ask(t, "udp", s.vip(1), short).failed("timeout"))
	})
}

func wrongPort(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0)).only("a") })
	for _, client := range []*host{e.client, e.node} {
		for _, network := range []string{"tcp", "udp"} {
			if err := client.ask(t, network, netip.AddrPortFrom(s.vip(0).Addr(), 81)).failed("refused", "prohibited"); err != nil {
				t.Error(client.name, network, err)
			}
		}
	}
}

func noService(t *testing.T, e *exam) {
	for _, client := range []*host{e.client, e.node} {
		e.soon(t, func() error { return client.ask(t, "tcp", e.unallocated(80), short).failed("timeout") })
	}
}

// hinted: hints count when every ready backend has some, and one of them means this node or its zone.
func hinted(t *testing.T, e *exam) {
	zones := func(b discoveryv1.Endpoint, zone string) discoveryv1.Endpoint {
		b.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: zone}}}
		return b
	}
	a, b, c := e.up(e.a)[0], e.up(e.b)[0], e.up(e.c)[0]
	s := e.service(tcp(80, 8080)).to(zones(a, "zone-a"), zones(b, "zone-b"), zones(c, "zone-a")).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "c") })
	s.to(zones(a, "zone-a"), zones(b, "zone-b"), c).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b", "c") })
	s.to(zones(a, "zone-b"), zones(b, "zone-b")).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b") })
	nodes := func(b discoveryv1.Endpoint, node string) discoveryv1.Endpoint {
		b = zones(b, "zone-a")
		b.Hints.ForNodes = []discoveryv1.ForNode{{Name: node}}
		return b
	}
	s.to(nodes(a, remoteName), nodes(b, nodeName), nodes(c, remoteName)).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).only("b") })
}

// terminating: those that are ready first; without any, those that end but serve.
func terminating(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(append(e.ending(e.a), e.down(e.c)...)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	s.to(append(e.ending(e.a), e.up(e.b)...)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).only("b") })
	s.to(e.ending(e.a, e.b)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b") })
}

// established: a backend that is taken off the list may still finish what it has begun.
func established(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	line := e.client.open(t, s.vip(0))
	for _, backends := range [][]*host{{e.b}, nil, {e.b, e.c}} {
		s.to(e.up(backends...)...).publish(t)
		if len(backends) == 0 {
			e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0)).failed("refused") })
		} else {
			e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), times(20)).only(hostNames(backends)...) })
		}
		if err := e.client.say(line); err != nil {
			t.Fatalf("with backends %v: %v", hostNames(backends), err)
		}
	}
	s.withdraw(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).nobody() })
	if err := e.client.say(line); err != nil {
		t.Fatalf("without the service: %v", err)
	}
}

func hostNames(hosts []*host) (names []string) {
	for _, h := range hosts {
		names = append(names, h.name)
	}
	return names
}

// foreignLabels: what is labelled for another forwarder, or headless, is left alone as soon as it is, and no longer.
func foreignLabels(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	for _, label := range []string{"service.kubernetes.io/service-proxy-name", corev1.IsHeadlessService} {
		e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
		s.label(label, "other")
		s.publish(t)
		e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).nobody() })
		s.label(label, "")
		s.publish(t)
	}
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
}

func madeAgain(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	before := s.vip(0)
	s.withdraw(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", before, short).nobody() })
	s.Spec.ClusterIP = e.unallocated(80).Addr().String()
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	s.publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	if err := e.client.ask(t, "tcp", before, short).nobody(); err != nil {
		t.Error(err)
	}
}

func otherAddress(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	old, fresh := s.vip(0), e.unallocated(80)
	s.Spec.ClusterIP, s.Spec.ClusterIPs = fresh.Addr().String(), []string{fresh.Addr().String()}
	s.publish(t)
	e.soon(t, func() error {
		return first(e.client.ask(t, "tcp", fresh, short).only("a"), e.client.ask(t, "tcp", old, short).nobody())
	})
}

func otherTypes(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	vip, virtual := s.vip(0), s.Spec
	for _, change := range []func(*corev1.ServiceSpec){
		func(spec *corev1.ServiceSpec) { spec.ClusterIP, spec.ClusterIPs = "None", []string{"None"} },
		func(spec *corev1.ServiceSpec) {
			*spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com", Ports: spec.Ports}
		},
	} {
		e.soon(t, func() error { return e.client.ask(t, "tcp", vip, short).only("a") })
		change(&s.Spec)
		s.publish(t)
		e.soon(t, func() error { return e.client.ask(t, "tcp", vip, short).nobody() })
		s.Spec = virtual
		s.publish(t)
	}
	e.soon(t, func() error { return e.client.ask(t, "tcp", vip, short).only("a") })
}

// nodePortsOfItsOwn: a virtual IP is not one more address of the node, at which everything that listens there answers.
func nodePortsOfItsOwn(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	if err := e.ext.ask(t, "tcp", e.node.at(e.family, kubelet)).only("node:10250"); err != nil {
		t.Fatalf("the node's own service is to be seen at its own address: %v", err)
	}
	for _, client := range []*host{e.client, e.ext, e.node, e.remote} {
		for _, network := range []string{"tcp", "udp"} {
			for _, target := range []netip.AddrPort{netip.AddrPortFrom(s.vip(0).Addr(), kubelet), e.unallocated(kubelet)} {
				if err := client.ask(t, network, target, short).nobody(); err != nil {
					t.Error(client.name, network, target, err)
				}
			}
		}
	}
}

func outsideDenied(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080), udp(80, 8080)).to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	err := errors.Join(e.ext.ask(t, "tcp", s.vip(0), short).nobody(), e.ext.ask(t, "udp", s.vip(1), short).nobody(),
		e.ext.ask(t, "tcp", e.a.at(e.family, 8080)).only("a"))
	if err != nil {
		t.Error(err)
	}
	s.to().publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0)).failed("refused") })
	if err := e.ext.ask(t, "tcp", s.vip(0), short).nobody(); err != nil {
		t.Error(err)
	}
}
