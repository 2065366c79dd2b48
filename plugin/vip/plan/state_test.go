package plan

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/cluster"
)

// script drives a State step by step; each step says what it returned.
type script struct {
	*State
	world *world
}

func newScript() *script {
	return &script{State: NewState(testPolicy(), testNode()), world: newWorld()}
}

// put adds a service "namespace/name" as change makes it, with one endpoint.
func (s *script) put(name string, change func(*spec)) []*Service {
	sp := web(change)
	sp.Namespace, sp.Name, _ = strings.Cut(name, "/")
	return s.Put(s.world.service(sp, slice("http:8080", "10.1.0.1@n1")))
}

// check compares what changed with "namespace/name: line | line".
func check(t *testing.T, step string, changed []*Service, want ...string) {
	t.Helper()
	var got []string
	for _, c := range changed {
		got = append(got, c.Namespace+"/"+c.Name+": "+strings.Join(lines(c), " | "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: changed\n  %s\nwant\n  %s", step, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func clusterIP(ip string) func(*spec) { return func(s *spec) { s.ClusterIPs = addrs(ip) } }

// What stays as it was is not told again, whatever led to it.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	s := newScript()
	check(t, "first", s.put("default/web", clusterIP("10.96.0.1")), "default/web: ClusterIP 10.96.0.1:80/tcp: 10.1.0.1:8080")
	check(t, "again", s.put("default/web", clusterIP("10.96.0.1")))
	check(t, "an unready endpoint", s.Put(s.world.service(web(clusterIP("10.96.0.1")), slice("http:8080", "10.1.0.1@n1", "10.1.0.2 unready"))))
	if e := s.entries["\x03web\x07default"]; e.wants != e.gets {
		t.Error("two copies are kept of what is the same")
	}
	check(t, "not ours", s.put("default/other", func(sp *spec) { sp.Forwarding.ProxyName = "" }))
	check(t, "not ours, deleted", s.Delete("default", "other"))
	check(t, "never seen", s.Delete("default", "ghost"))
	check(t, "no name at all", s.Delete("", "a.b"))
	check(t, "no longer ours", s.put("default/web", func(sp *spec) { sp.Forwarding.ProxyName = "" }), "default/web: ")
	check(t, "deleted", s.Delete("default", "web"))
	if all := s.All(); len(all) != 0 || len(s.claims) != 0 || len(s.entries) != 0 {
		t.Errorf("left: %v, %v, %v", all, s.claims, s.entries)
	}
}

// Every field counts when two outcomes are compared: a field that is added must be in equal, and here.
func TestEqual(t *testing.T) {
	t.Parallel()
	backends := []netip.AddrPort{netip.MustParseAddrPort("10.1.0.1:80")}
	frontend := map[string]func(*Frontend){
		"Key":        func(f *Frontend) { f.Key.Port++ },
		"Kind":       func(f *Frontend) { f.Kind++ },
		"Port":       func(f *Frontend) { f.Port += "x" },
		"Affinity":   func(f *Frontend) { f.Affinity++ },
		"Inside":     func(f *Frontend) { f.Inside.Backends = backends },
		"Outside":    func(f *Frontend) { f.Outside.Verdict++ },
		"Masquerade": func(f *Frontend) { f.Masquerade = !f.Masquerade },
		"Sources":    func(f *Frontend) { f.Sources = prefixes("10.0.0.0/8") },
		"Serving":    func(f *Frontend) { f.Serving = backends },
	}
	service := map[string]func(*Service){
		"Namespace": func(s *Service) { s.Namespace += "x" },
		"Name":      func(s *Service) { s.Name += "x" },
		"Frontends": func(s *Service) { s.Frontends = nil },
		"Health":    func(s *Service) { s.Health = &HealthCheck{Port: 1} },
		"Refused":   func(s *Service) { s.Refused = []Refusal{{}} },
	}
	for name, change := range frontend {
		service["Frontend."+name] = func(s *Service) { change(&s.Frontends[0]) }
	}
	if want := reflect.TypeFor[Frontend]().NumField() + reflect.TypeFor[Service]().NumField(); len(service) != want {
		t.Errorf("%d changes for %d fields", len(service), want)
	}
	for name, change := range service {
		a, b := &Service{Frontends: make([]Frontend, 1)}, &Service{Frontends: make([]Frontend, 1)}
		if !a.equal(b) {
			t.Error("the same are not equal")
		}
		if change(b); a.equal(b) || b.equal(a) {
			t.Errorf("%s is not looked at", name)
		}
	}
}

// What a UDP flow may keep is told, where nothing else changed.
func TestServingChanges(t *testing.T) {
	t.Parallel()
	s := newScript()
	dns := web(func(sp *spec) { sp.Ports = ports("dns:53/udp") })
	const to = "default/web: ClusterIP 10.96.0.10:53/udp: 10.1.0.1:53; serving "
	check(t, "one ends", s.Put(s.world.service(dns, slice("dns:53/udp", "10.1.0.1", "10.1.0.2 unready terminating"))), to+"[10.1.0.1:53 10.1.0.2:53]")
	check(t, "and is gone", s.Put(s.world.service(dns, slice("dns:53/udp", "10.1.0.1", "10.1.0.2 unready unserving terminating"))), to+"[10.1.0.1:53]")
}

// A key belongs to one service. The rule does not depend on the order in which they come.
func TestOwnership(t *testing.T) {
	t.Parallel()
	const (
		has   = "ClusterIP 10.96.0.1:80/tcp: 10.1.0.1:8080"
		lacks = "refused cluster IP 10.96.0.1, port 80/tcp: "
	)
	s := newScript()
	check(t, "b alone", s.put("x/b", clusterIP("10.96.0.1")), "x/b: "+has)
	check(t, "c loses", s.put("x/c", clusterIP("10.96.0.1")), "x/c: "+lacks+"x/b has it already")
	check(t, "a takes over", s.put("x/a", clusterIP("10.96.0.1")),
		"x/a: "+has, "x/b: "+lacks+"x/a has it already", "x/c: "+lacks+"x/a has it already")
	check(t, "a loser goes, nobody else is told", s.Delete("x", "c"), "x/c: ")
	check(t, "the owner goes", s.Delete("x", "a"), "x/a: ", "x/b: "+has)
	check(t, "another namespace is another name", s.put("w/z", clusterIP("10.96.0.1")), "w/z: "+has, "x/b: "+lacks+"w/z has it already")
	check(t, "the owner moves away", s.put("w/z", clusterIP("10.96.0.2")),
		"w/z: ClusterIP 10.96.0.2:80/tcp: 10.1.0.1:8080", "x/b: "+has)
	check(t, "and takes its first one back", s.put("w/z", clusterIP("10.96.0.1 10.96.0.2")),
		"w/z: "+has+" | ClusterIP 10.96.0.2:80/tcp: 10.1.0.1:8080", "x/b: "+lacks+"w/z has it already")
}

// Whatever may be wanted twice: ports of the node, load balancers' addresses, health checks.
func TestSharing(t *testing.T) {
	t.Parallel()
	shared := func(ip string, port uint16, nodePort, health uint16) func(*spec) {
		return func(s *spec) {
			s.ClusterIPs, s.Ports[0].Number = addrs(ip), port
			s.Forwarding.Balancers, s.Forwarding.NodePorts = addrs("203.0.113.5"), []uint16{nodePort}
			s.Forwarding.HealthPort, s.Forwarding.ExternalLocal = health, health > 0
		}
	}
	s := newScript()
	check(t, "first", s.put("x/b", shared("10.96.0.1", 80, 30080, 0)),
		"x/b: NodePort 0.0.0.0:30080/tcp: 10.1.0.1:8080 | ClusterIP 10.96.0.1:80/tcp: 10.1.0.1:8080 | LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080")
	check(t, "another port of the same load balancer", s.put("x/c", shared("10.96.0.2", 81, 30081, 0)),
		"x/c: NodePort 0.0.0.0:30081/tcp: 10.1.0.1:8080 | ClusterIP 10.96.0.2:81/tcp: 10.1.0.1:8080 | LoadBalancer 203.0.113.5:81/tcp: 10.1.0.1:8080")
	check(t, "the same port of both", s.put("x/d", shared("10.96.0.3", 80, 30080, 0)),
		"x/d: ClusterIP 10.96.0.3:80/tcp: 10.1.0.1:8080 | refused node port 30080/tcp: x/b has it already | "+
			"refused load balancer IP 203.0.113.5, port 80/tcp: x/b has it already")
	check(t, "a cluster IP is stronger, whatever the names", s.put("z/z", func(sp *spec) {
		sp.ClusterIPs, sp.Ports[0].Number = addrs("203.0.113.5"), 81
	}), "z/z: refused cluster IP 203.0.113.5: it is outside of the service CIDRs (10.96.0.0/16, fd00:96::/112)")
	policy := testPolicy()
	policy.ServiceCIDRs = nil
	check(t, "with no service CIDRs", s.SetPolicy(policy),
		"x/c: NodePort 0.0.0.0:30081/tcp: 10.1.0.1:8080 | ClusterIP 10.96.0.2:81/tcp: 10.1.0.1:8080 | "+
			"refused load balancer IP 203.0.113.5, port 81/tcp: z/z has it already",
		"z/z: ClusterIP 203.0.113.5:81/tcp: 10.1.0.1:8080")

	s = newScript()
	check(t, "health", s.put("x/b", shared("10.96.0.1", 80, 0, 32000)),
		"x/b: ClusterIP 10.96.0.1:80/tcp: 10.1.0.1:8080 | LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080; not masqueraded | health 32000: 1")
	check(t, "health twice", s.put("x/c", shared("10.96.0.2", 81, 0, 32000)),
		"x/c: ClusterIP 10.96.0.2:81/tcp: 10.1.0.1:8080 | LoadBalancer 203.0.113.5:81/tcp: 10.1.0.1:8080; not masqueraded | "+
			"refused health check port 32000: x/b has it already")
	check(t, "health is free", s.Delete("x", "b"), "x/b: ",
		"x/c: ClusterIP 10.96.0.2:81/tcp: 10.1.0.1:8080 | LoadBalancer 203.0.113.5:81/tcp: 10.1.0.1:8080; not masqueraded | health 32000: 1")
}

// What is known of the node counts for all services, and each is told only when it became another.
func TestSetNode(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.put("x/a", clusterIP("10.96.0.1"))
	s.put("x/b", clusterIP("10.96.0.2"))
	hinted := slice("http:8080", "10.1.0.1 zones=a", "10.1.0.2 zones=b")
	s.Put(s.world.service(&spec{
		Namespace: "x", Name: "z", Type: cluster.ClusterIP, ClusterIPs: addrs("10.96.0.3"), Ports: ports("http:80"),
		Forwarding: &cluster.Forwarding{ProxyName: mine},
	}, hinted))
	node := testNode()
	node.Leaving = true
	check(t, "what does not count", s.SetNode(node))
	node = testNode()
	node.Zone = "b"
	check(t, "the zone", s.SetNode(node), "x/z: ClusterIP 10.96.0.3:80/tcp: 10.1.0.2:8080")
	node = testNode()
	node.Zone, node.Addrs = "b", addrs("10.96.0.2")
	check(t, "the address", s.SetNode(node), "x/b: refused cluster IP 10.96.0.2: it is this node's own address")
	check(t, "not known", s.SetNode(nil), "x/b: ClusterIP 10.96.0.2:80/tcp: 10.1.0.1:8080", "x/z: ClusterIP 10.96.0.3:80/tcp: 10.1.0.1:8080 10.1.0.2:8080")
}

// A plane is told the addresses on which NodePorts answer: what the operator said, else the node's first of each family.
func TestPolicyForPlanes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, given, node, want string }{
		{name: "given", given: "192.168.0.0/24", node: "192.168.0.1", want: "192.168.0.0/24"},
		{name: "primary", node: "192.168.0.1 192.168.9.1 fd00:168::1 fd00:168::2", want: "192.168.0.1/32 fd00:168::1/128"},
		{name: "no node"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			policy, node := testPolicy(), testNode()
			policy.NodePortAddrs, node.Addrs = prefixes(test.given), addrs(test.node)
			if got := NewState(policy, node).Policy().NodePortAddrs; !slices.Equal(got, prefixes(test.want)) {
				t.Errorf("%v, want %s", got, test.want)
			}
		})
	}
	if got := NewState(testPolicy(), nil).Policy().NodePortAddrs; len(got) != 0 {
		t.Errorf("%v of no node", got)
	}
}
