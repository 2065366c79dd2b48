package netns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/nameplane/nameplane/test/peer"
)

// TestBadInput: what cannot be served is refused on its own, with a line in the log, and costs nothing else.
func TestBadInput(t *testing.T) {
	peer.E2E(t)
	for _, mode := range []string{nftables, relay} {
		t.Run(mode, func(t *testing.T) {
			w := theWorld(t)
			s := newSubject(t, w, options{mode: mode}).start(t)
			e := newExam(w, mode, s.folder)
			good := e.service(tcp(80, 8080)).to(e.up(e.a)...).publish(t)
			e.soon(t, func() error { return e.client.ask(t, "tcp", good.vip(0), short).only("a") })
			for _, test := range badInputs() {
				t.Run(test.name, func(t *testing.T) {
					from := len(s.log())
					test.give(t, e, good)
					after := e.service(tcp(80, 8080)).to(e.up(e.b)...).publish(t)
					within(t, 2*e.limit, func() error {
						return first(e.client.ask(t, "tcp", good.vip(0), short).only("a"), e.client.ask(t, "tcp", after.vip(0), short).only("b"))
					})
					within(t, e.limit, func() error {
						if log := s.log()[from:]; !strings.Contains(log, test.log) {
							return fmt.Errorf("%q is not in the log:\n%s", test.log, log)
						}
						return nil
					})
					if test.check != nil {
						test.check(t, e)
					}
				})
			}
			if page := s.metrics(t); !strings.Contains(page, "nameplane_vip_") {
				t.Errorf("no metrics nameplane_vip_ in\n%s", page)
			}
		})
	}
}

type badInput struct {
	name  string
	give  func(t *testing.T, e *exam, good *service)
	log   string // what the log says of it; empty for nothing
	check func(t *testing.T, e *exam)
}

// at publishes a service with a virtual IP of its own choice.
func (e *exam) at(t *testing.T, ip string) *service {
	t.Helper()
	s := e.service(tcp(80, 8080), tcp(kubelet, 8080)).to(e.up(e.c)...)
	s.Spec.ClusterIP, s.Spec.ClusterIPs = ip, []string{ip}
	return s.publish(t)
}

func badInputs() []badInput {
	var all []badInput
	for _, ip := range []string{"192.0.2.7", "127.0.0.1", "169.254.7.7", "224.0.0.251", "0.0.0.0", "255.255.255.255", "10.244.1.11", "::1", "ff02::1", "fe80::7"} {
		all = append(all, badInput{
			name: "virtual IP " + ip, log: ip,
			give: func(t *testing.T, e *exam, _ *service) { e.at(t, ip) },
			check: func(t *testing.T, e *exam) {
				addr := netip.MustParseAddr(ip)
				if addr.IsMulticast() || addr.IsUnspecified() || addr == e.a.v4 || addr.IsLinkLocalUnicast() {
					return
				}
				if err := e.client.ask(t, "tcp", netip.AddrPortFrom(addr, 80), short).nobody(); err != nil {
					t.Error(err)
				}
			},
		})
	}
	return append(all, []badInput{
		{
			name: "a virtual IP that is the node's address", log: "192.168.50.1",
			give: func(t *testing.T, e *exam, _ *service) { e.at(t, "192.168.50.1") },
			check: func(t *testing.T, e *exam) {
				if err := e.ext.ask(t, "tcp", e.node.at(v4, kubelet), times(20)).only("node:10250"); err != nil {
					t.Error(err)
				}
			},
		},
		{
			name: "a virtual IP that another service has", log: "has it already",
			give: func(t *testing.T, e *exam, good *service) { e.at(t, good.Spec.ClusterIP) },
		},
		{
			name: "a node port that another service has", log: "node port",
			give: func(t *testing.T, e *exam, _ *service) {
				one, number := e.nodePortService()
				one.to(e.up(e.a)...).publish(t)
				e.soon(t, func() error { return e.ext.ask(t, "tcp", e.node.at(v4, number), short).only("a") })
				two, _ := e.nodePortService()
				two.Spec.Ports[0].NodePort, two.Spec.Ports[1].NodePort = int32(number), int32(number)
				two.to(e.up(e.c)...).publish(t)
				t.Cleanup(func() {
					if err := e.ext.ask(t, "tcp", e.node.at(v4, number), times(20)).only("a"); err != nil {
						t.Error(err)
					}
				})
			},
		},
		{
			name: "a health check port that somebody listens on", log: "10250",
			give: func(t *testing.T, e *exam, _ *service) {
				s, _ := e.balanced("VIP")
				s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = "Local", kubelet
				s.to(e.up(e.a)...).publish(t)
			},
		},
		{
			name: "ports 0 and 70000", log: "70000",
			give: func(t *testing.T, e *exam, _ *service) {
				e.service(tcp(0, 8080), tcp(70000, 8080), tcp(80, 0), tcp(81, 70000)).to(e.up(e.c)...).publish(t)
			},
		},
		{
			name: "slices without ports, names and numbers",
			give: func(t *testing.T, e *exam, _ *service) {
				s := e.service(tcp(80, 8080)).to(e.up(e.a)...).also(0, e.up(e.b)...).also(0, e.up(e.c)...).also(0)
				s.slices[0].Ports = nil
				s.slices[1].Ports[0].Name = nil
				s.slices[2].Ports[0].Port = nil
				s.publish(t)
				e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0)).failed("refused") })
			},
		},
		{
			name: "slices that contradict each other",
			give: func(t *testing.T, e *exam, _ *service) {
				s := e.service(tcp(80, 8080)).to(append(e.up(e.a), e.down(e.b)...)...).also(0, append(e.down(e.a), e.up(e.b)...)...).publish(t)
				e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).evenly("a", "b") })
			},
		},
		{
			name: "endpoints that are no addresses", log: "10.244.1.300",
			give: func(t *testing.T, e *exam, _ *service) {
				s := e.service(tcp(80, 8080)).to(e.up(e.a)...)
				for _, text := range []string{"10.244.1.300", "", "fd00::1", "example.com"} {
					s.slices[0].Endpoints = append(s.slices[0].Endpoints, discoveryv1.Endpoint{Addresses: []string{text}})
				}
				s.slices[0].Endpoints = append(s.slices[0].Endpoints, discoveryv1.Endpoint{})
				s.publish(t)
				e.soon(t, func() error { return e.client.ask(t, "tcp", s.vip(0), many).only("a") })
			},
		},
		{
			name: "a slice of a service that is not there",
			give: func(t *testing.T, e *exam, _ *service) {
				s := e.service(tcp(80, 8080)).to(e.up(e.a)...)
				e.source.put(t, s.Name, s.objects()[1:]...)
			},
		},
		{
			name: "a file that does not parse", log: "broken.yaml",
			give: func(t *testing.T, e *exam, _ *service) {
				dir := string(e.source.(folder))
				e.source.(folder).write(t, filepath.Join(dir, "broken.yaml"), "kind: Service\n  spec: [")
				t.Cleanup(func() { _ = os.Remove(filepath.Join(dir, "broken.yaml")) })
			},
		},
		{name: "five thousand endpoints", give: manyEndpoints},
	}...)
}

// manyEndpoints: a pod that has a whole network stands in for five thousand.
func manyEndpoints(t *testing.T, e *exam, _ *service) {
	e.node.run(t, "ip", "route", "add", "10.245.0.0/16", "via", e.a.v4.String(), "dev", "pod1", "onlink")
	e.a.run(t, "ip", "route", "add", "local", "10.245.0.0/16", "dev", "lo")
	s := e.service(tcp(80, 8080))
	var endpoints []discoveryv1.Endpoint
	for i := range 5000 {
		one := e.up(e.a)[0]
		one.Addresses = []string{fmt.Sprintf("10.245.%d.%d", i/250, i%250+1)}
		endpoints = append(endpoints, one)
	}
	for len(endpoints) > 0 {
		s.also(0, endpoints[:1000]...)
		endpoints = endpoints[1000:]
	}
	begin := time.Now()
	s.publish(t)
	within(t, 5*time.Second, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("a") })
	t.Logf("served after %s", time.Since(begin).Round(time.Millisecond))
	if err := e.client.ask(t, "tcp", s.vip(0), times(1000), workers(4)).only("a"); err != nil {
		t.Error(err)
	}
	begin = time.Now()
	s.slices = s.slices[:1]
	s.to(e.up(e.b)...).publish(t)
	within(t, 5*time.Second, func() error { return e.client.ask(t, "tcp", s.vip(0), short).only("b") })
	t.Logf("replaced after %s", time.Since(begin).Round(time.Millisecond))
	e.node.run(t, "ip", "route", "del", "10.245.0.0/16")
	e.a.run(t, "ip", "route", "del", "local", "10.245.0.0/16", "dev", "lo", "table", "local")
}
