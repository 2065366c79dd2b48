package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func outsideCases() []theCase {
	return []theCase{
		{name: "NodePort", run: nodePort, core: true},
		{name: "NodePort: not on every address of the node", run: nodePortAddresses},
		{name: "NodePort: policy Local", run: nodePortLocal, gaps: gaps{relay: "the client's address is lost"}},
		{name: "load balancer", run: loadBalancer},
		{name: "load balancer: source ranges", run: sourceRanges},
		{name: "load balancer: health checks", run: healthCheck},
		{name: "external IPs are not served", run: externalIPs, gaps: gaps{kubeProxy: "it serves them"}},
	}
}

func (e *exam) nodePortService() (*service, uint16) {
	s := e.service(tcp(80, 8080), udp(80, 8080))
	s.Spec.Type = corev1.ServiceTypeNodePort
	number := e.nodePort()
	s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = number, number
	return s, uint16(number)
}

func nodePort(t *testing.T, e *exam) {
	s, number := e.nodePortService()
	s.to(e.up(e.a, e.remote)...).publish(t)
	target := e.node.at(e.family, number)
	for _, network := range []string{"tcp", "udp"} {
		for _, client := range []*host{e.ext, e.client, e.node} {
			e.soon(t, func() error { return client.ask(t, network, target, short).one() })
			answers := client.ask(t, network, target, many)
			if err := answers.evenly("a", "remote"); err != nil {
				t.Error(client.name, network, err)
			}
			if client != e.client { // what may go to another node must come back this way
				if err := answers.seenAs(e.nodeAddrs(e.family)...); err != nil {
					t.Error(client.name, network, err)
				}
			}
		}
	}
	s.to().publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target).failed("refused") })
	s.to(e.up(e.b)...).publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target, short).only("b") })
	s.Spec.Ports[0].NodePort = e.nodePort()
	s.publish(t)
	e.soon(t, func() error {
		return first(e.ext.ask(t, "tcp", e.node.at(e.family, uint16(s.Spec.Ports[0].NodePort)), short).only("b"),
			e.ext.ask(t, "tcp", target, short).nobody())
	})
}

func nodePortAddresses(t *testing.T, e *exam) {
	s, number := e.nodePortService()
	s.to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", e.node.at(e.family, number), short).only("a") })
	loopback, second := "127.0.0.1", "192.168.60.1"
	if e.family == v6 {
		loopback, second = "::1", "fd00:192:168:60::1"
	}
	err := errors.Join(
		e.node.ask(t, "tcp", netip.AddrPortFrom(netip.MustParseAddr(loopback), number), short).nobody(),
		e.node2.ask(t, "tcp", netip.AddrPortFrom(netip.MustParseAddr(second), number), short).nobody())
	if err != nil {
		t.Error(err)
	}
}

func nodePortLocal(t *testing.T, e *exam) {
	s, number := e.nodePortService()
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	s.to(e.up(e.a, e.b, e.remote)...).publish(t)
	target := e.node.at(e.family, number)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target, many).evenly("a", "b") })
	for _, network := range []string{"tcp", "udp"} {
		if err := e.ext.ask(t, network, target, many).seenAs(e.ext.addr(e.family)); err != nil {
			t.Error(network, err)
		}
		inside := e.client.ask(t, network, target, many)
		if err := first(inside.evenly("a", "b", "remote"), inside.seenAs(e.client.addr(e.family))); err != nil {
			t.Error("from a pod", network, err)
		}
		own := e.node.ask(t, network, target, many)
		if err := first(own.evenly("a", "b", "remote"), own.seenAs(e.nodeAddrs(e.family)...)); err != nil {
			t.Error("from the node", network, err)
		}
	}
	s.to(e.up(e.remote)...).publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target, short).failed("timeout") })
	if err := e.client.ask(t, "tcp", target).only("remote"); err != nil {
		t.Error("from a pod", err)
	}
}

// balanced is a service with an address that a load balancer gave it; ext routes it to the node.
func (e *exam) balanced(mode corev1.LoadBalancerIPMode) (*service, netip.AddrPort) {
	s, _ := e.nodePortService()
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	n := e.serial.Add(1)
	ip := fmt.Sprintf("203.0.%d.%d", 100+n/250, n%250+1)
	if e.family == v6 {
		ip = fmt.Sprintf("2001:db8::%x", n)
	}
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip, IPMode: &mode}}
	return s, netip.AddrPortFrom(netip.MustParseAddr(ip), 80)
}

func loadBalancer(t *testing.T, e *exam) {
	s, target := e.balanced(corev1.LoadBalancerIPModeVIP)
	s.to(e.up(e.a, e.remote)...).publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target, many).evenly("a", "remote") })
	e.soon(t, func() error { return e.client.ask(t, "udp", target, many).evenly("a", "remote") })
	s.to().publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target).failed("refused") })

	proxied, target := e.balanced(corev1.LoadBalancerIPModeProxy)
	proxied.to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", proxied.vip(0), short).only("a") })
	if err := e.ext.ask(t, "tcp", target, short).nobody(); err != nil {
		t.Error("ipMode Proxy:", err)
	}
}

func sourceRanges(t *testing.T, e *exam) {
	s, target := e.balanced(corev1.LoadBalancerIPModeVIP)
	far, near := "198.51.100.0/24", "192.168.50.0/24"
	if e.family == v6 {
		far, near = "2001:db8:ffff::/48", "fd00:192:168:50::/64"
	}
	s.Spec.LoadBalancerSourceRanges = []string{far, near}
	s.to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target, short).only("a") })
	if err := e.client.ask(t, "tcp", target, short).nobody(); err != nil {
		t.Error("a pod outside of the ranges:", err)
	}
	s.Spec.LoadBalancerSourceRanges = []string{far}
	s.publish(t)
	e.soon(t, func() error { return e.ext.ask(t, "tcp", target, short).nobody() })
	// Its other addresses know no ranges.
	err := errors.Join(e.client.ask(t, "tcp", s.vip(0)).only("a"),
		e.ext.ask(t, "tcp", e.node.at(e.family, uint16(s.Spec.Ports[0].NodePort))).only("a"))
	if err != nil {
		t.Error(err)
	}
}

// healthCheck: balancers ask each node whether it has an endpoint of the service.
func healthCheck(t *testing.T, e *exam) {
	s, _ := e.balanced(corev1.LoadBalancerIPModeVIP)
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	s.Spec.HealthCheckNodePort = e.nodePort()
	health := func(code, local int) func() error {
		return func() error {
			var page string
			target := e.node.at(e.family, uint16(s.Spec.HealthCheckNodePort))
			if err := e.ext.call("Fetch", "http://"+target.String()+"/healthz", &page); err != nil {
				return err
			}
			status, body, _ := strings.Cut(page, "\n")
			var said struct {
				Service             struct{ Namespace, Name string }
				LocalEndpoints      int
				ServiceProxyHealthy bool
			}
			if err := json.Unmarshal([]byte(body), &said); err != nil {
				return fmt.Errorf("%q: %w", page, err)
			}
			if status != fmt.Sprint(code) || said.LocalEndpoints != local || said.Service.Name != s.Name || said.Service.Namespace != s.Namespace || !said.ServiceProxyHealthy {
				return fmt.Errorf("%q; want %d and %d local endpoints", page, code, local)
			}
			return nil
		}
	}
	s.to(append(e.up(e.a, e.b, e.remote), e.down(e.c)...)...).publish(t)
	e.soon(t, health(200, 2))
	s.to(e.up(e.remote)...).publish(t)
	e.soon(t, health(503, 0))
}

// externalIPs are a way to take traffic that is meant for others (CVE-2020-8554).
func externalIPs(t *testing.T, e *exam) {
	s := e.service(tcp(80, 8080))
	outside := netip.MustParseAddr("203.0.113.99")
	if e.family == v6 {
		outside = netip.MustParseAddr("2001:db8::ffff")
	}
	s.Spec.ExternalIPs = []string{outside.String()}
	s.to(e.up(e.a)...).publish(t)
	e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	for _, client := range []*host{e.client, e.ext} {
		if err := client.ask(t, "tcp", netip.AddrPortFrom(outside, 80), short).nobody(); err != nil {
			t.Error(client.name, err)
		}
	}
}
