package plan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// town is the plan that these tests ask about.
func town(change func(*Policy)) *State {
	policy, w := testPolicy(), newWorld()
	if change != nil {
		change(policy)
	}
	s := NewState(policy, testNode())
	s.Put(w.service(web(func(s *spec) {
		s.Ports = ports("http:80 dns:53/udp")
		s.Forwarding.NodePorts, s.Forwarding.Balancers = []uint16{30080, 0}, addrs("203.0.113.5")
		s.Forwarding.ExternalLocal, s.Forwarding.HealthPort, s.Forwarding.Affinity = true, 32000, 3*time.Hour
		s.Forwarding.SourceRanges = prefixes("198.51.100.0/24 10.1.0.0/16")
	}),
		slice("http:8080", "10.1.0.1@n1/a", "10.1.0.2@n2/b", "10.1.0.3@n2/b unready", "10.1.0.4@n1/a unready terminating", "10.1.0.2@n2/b unready", "fd00:1::1@n1/a"),
		slice("dns:5353/udp", "10.1.0.9@n3/c"),
	))
	s.Put(w.service(&spec{
		Namespace: "default", Name: "idle", Type: cluster.ClusterIP, ClusterIPs: addrs("10.96.0.11 fd00:96::11"), Ports: ports(":80"),
		Forwarding: &cluster.Forwarding{ProxyName: mine, InternalLocal: true, ExternalIPs: addrs("198.51.100.7")},
	}, slice(":80", "10.1.0.1@n2/b")))
	s.Put(w.service(&spec{
		Namespace: "default", Name: "zonal", Type: cluster.ClusterIP, ClusterIPs: addrs("10.96.0.12"), Ports: ports("http:80"),
		Forwarding: &cluster.Forwarding{ProxyName: mine, Balancers: addrs("203.0.113.5")},
	}, slice("http:80", "10.1.0.1@n1/a zones=a", "10.1.0.2@n2/b zones=b", "10.1.0.3@n1/a zones=a")))
	s.Put(w.service(&spec{
		Namespace: "other", Name: "second", Type: cluster.ClusterIP, ClusterIPs: addrs("10.96.0.12"), Ports: ports("a:80 b:81"),
		Forwarding: &cluster.Forwarding{ProxyName: mine, Balancers: addrs("127.0.0.1")},
	}))
	return s
}

func TestExplain(t *testing.T) {
	t.Parallel()
	all := func(p *Policy) { p.All = true }
	for _, test := range []struct {
		name      string
		key, from string
		policy    func(*Policy)
		verdict   Verdict
		notOurs   bool
		service   string
		why       string // part of it
		masq      bool
		hairpin   bool
		used      string // endpoints that get a share
		notes     []string
	}{
		{name: "a pod", key: "10.96.0.10:80", from: "10.1.7.7", service: "default/web", used: "10.1.0.1:8080 10.1.0.2:8080"},
		{name: "any pod", key: "10.96.0.10:80", service: "default/web", used: "10.1.0.1:8080 10.1.0.2:8080"},
		{name: "an endpoint itself", key: "10.96.0.10:80", from: "10.1.0.2", service: "default/web", hairpin: true, used: "10.1.0.1:8080 10.1.0.2:8080"},
		{name: "this node", key: "10.96.0.10:80", from: "192.168.0.1", service: "default/web", used: "10.1.0.1:8080 10.1.0.2:8080"},
		{name: "cluster IP from outside", key: "10.96.0.10:80", from: "198.51.100.9", service: "default/web", verdict: Drop, why: "cluster IPs answer only pods (10.1.0.0/16, fd00:1::/48), this node"},
		{name: "cluster IP, let in", key: "10.96.0.10:80", from: "198.51.100.9", policy: func(p *Policy) { p.AllowFrom = prefixes("198.51.100.0/24") },
			service: "default/web", masq: true, used: "10.1.0.1:8080 10.1.0.2:8080"},
		{name: "pods are not let in", key: "10.96.0.10:80", from: "10.1.7.7", policy: func(p *Policy) { p.AllowPods = false },
			service: "default/web", verdict: Drop, why: "cluster IPs answer only this node"},
		{name: "the node is not let in", key: "10.96.0.10:80", from: "127.0.0.1", policy: func(p *Policy) { p.AllowNode = false },
			service: "default/web", verdict: Drop, why: "cluster IPs answer only pods (10.1.0.0/16, fd00:1::/48)"},
		{name: "a load balancer's address, Local", key: "203.0.113.5:80", from: "198.51.100.9", service: "default/web", used: "10.1.0.1:8080",
			notes: []string{"default/zonal wants it as well, and does not get it"}},
		{name: "a load balancer's address from a pod", key: "203.0.113.5:80", from: "10.1.7.7", service: "default/web", used: "10.1.0.1:8080 10.1.0.2:8080",
			notes: []string{"default/zonal wants it as well, and does not get it"}},
		{name: "not in the source ranges", key: "203.0.113.5:80", from: "192.0.2.1", service: "default/web", verdict: Drop, why: "loadBalancerSourceRanges let in only 10.1.0.0/16, 198.51.100.0/24",
			notes: []string{"default/zonal wants it as well, and does not get it"}},
		{name: "Local, none local", key: "203.0.113.5:53/udp", from: "198.51.100.9", service: "default/web", verdict: Drop, why: "the traffic policy is Local"},
		{name: "a node port by the node's address", key: "192.168.0.1:30080", from: "192.0.2.1", service: "default/web", used: "10.1.0.1:8080"},
		{name: "a node port from the node", key: "192.168.0.1:30080", from: "192.168.0.1", service: "default/web", masq: true, used: "10.1.0.1:8080 10.1.0.2:8080"},
		{name: "a node port as the plan has it", key: "0.0.0.0:30080", from: "192.0.2.1", service: "default/web", used: "10.1.0.1:8080"},
		{name: "a node port by another address of the node", key: "192.168.9.1:30080", from: "192.0.2.1", notOurs: true, why: "no virtual IP of ours"},
		{name: "a node port on loopback", key: "127.0.0.1:30080", from: "192.168.0.1", notOurs: true, why: "do not answer on loopback",
			notes: []string{"other/second is refused its load balancer IP 127.0.0.1: a loopback address is every node's own"}},
		{name: "none ready", key: "[fd00:96::11]:80", service: "default/idle", verdict: Reject, why: "no endpoint can be used"},
		{name: "internal Local", key: "10.96.0.11:80", service: "default/idle", verdict: Drop, why: "the traffic policy is Local"},
		{name: "hints", key: "10.96.0.12:80", service: "default/zonal", used: "10.1.0.1:80 10.1.0.3:80",
			notes: []string{"other/second has 10.96.0.12:81/tcp of the same address", "other/second wants it as well, and does not get it"}},
		{name: "wrong port", key: "10.96.0.10:81", verdict: Reject, why: "the cluster IP is that of default/web, which has no port 81/tcp",
			notes: []string{"default/web has 10.96.0.10:53/udp of the same address", "default/web has 10.96.0.10:80/tcp of the same address"}},
		{name: "wrong port of a load balancer's address", key: "203.0.113.5:81", notOurs: true, why: "no virtual IP of ours",
			notes: []string{"default/web has 203.0.113.5:53/udp of the same address", "default/web has 203.0.113.5:80/tcp of the same address"}},
		{name: "nobody's cluster IP may be kube-proxy's", key: "10.96.1.1:80", notOurs: true, why: "no virtual IP of ours"},
		{name: "nobody's cluster IP", key: "10.96.1.1:80", policy: all, verdict: Drop, why: "no service has it"},
		{name: "nobody's address", key: "192.0.2.1:80", policy: all, notOurs: true, why: "no virtual IP of ours"},
		{name: "an external IP, off", key: "198.51.100.7:80", notOurs: true, why: "no virtual IP of ours",
			notes: []string{"default/idle is refused its external IP 198.51.100.7: external IPs are off: whoever may write a service could take over any address (CVE-2020-8554)"}},
		{name: "a health check's port is no frontend", key: "192.168.0.1:32000", notOurs: true, why: "no virtual IP of ours"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client, _ := netip.ParseAddr(test.from)
			x := town(test.policy).Explain(mustKey(t, test.key), client)
			if x.Verdict != test.verdict || x.Ours == test.notOurs || x.Service != test.service || x.Masquerade != test.masq || x.Hairpin != test.hairpin {
				t.Errorf("%+v", x)
			}
			if (x.Why == "") != (test.why == "") || !strings.Contains(x.Why, test.why) {
				t.Errorf("why: %q, want %q", x.Why, test.why)
			}
			var used []string
			for _, e := range x.Endpoints {
				if e.Share > 0 {
					used = append(used, e.At.String())
				}
			}
			if got := strings.Join(used, " "); got != test.used {
				t.Errorf("used: %s, want %s", got, test.used)
			}
			if !slices.Equal(x.Notes, test.notes) {
				t.Errorf("notes: %q, want %q", x.Notes, test.notes)
			}
		})
	}
}

// What people see.
func TestTable(t *testing.T) {
	t.Parallel()
	const want = `
SERVICE        PORT  KIND          ADDRESS               INSIDE      OUTSIDE    OPTIONS
default/idle   -     ClusterIP     10.96.0.11:80/tcp     drop        -
default/idle   -     ClusterIP     [fd00:96::11]:80/tcp  reject      -
default/web    http  NodePort      0.0.0.0:30080/tcp     2 backends  1 backend  affinity 3h, source kept
default/web    dns   ClusterIP     10.96.0.10:53/udp     1 backend   -          affinity 3h
default/web    http  ClusterIP     10.96.0.10:80/tcp     2 backends  -          affinity 3h
default/web    dns   LoadBalancer  203.0.113.5:53/udp    1 backend   drop       affinity 3h, source kept, only from 10.1.0.0/16, 198.51.100.0/24
default/web    http  LoadBalancer  203.0.113.5:80/tcp    2 backends  1 backend  affinity 3h, source kept, only from 10.1.0.0/16, 198.51.100.0/24
default/web    -     HealthCheck   port 32000            -           -          2 local
default/zonal  http  ClusterIP     10.96.0.12:80/tcp     2 backends  -
other/second   b     ClusterIP     10.96.0.12:81/tcp     reject      -

Not served:
  default/idle   external IP 198.51.100.7: external IPs are off: whoever may write a service could take over any address (CVE-2020-8554)
  default/zonal  load balancer IP 203.0.113.5, port 80/tcp: default/web has it already
  other/second   load balancer IP 127.0.0.1: a loopback address is every node's own
  other/second   cluster IP 10.96.0.12, port 80/tcp: default/zonal has it already
`
	same(t, Table(town(nil).All()), want)
	same(t, Table(nil), "\nNo service is forwarded.\n")
}

func TestExplainText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ key, from, want string }{
		{"203.0.113.5:80", "198.51.100.9", `
203.0.113.5:80/tcp from 198.51.100.9 (outside): forward to 1 of 7 endpoints

  service   default/web, LoadBalancer, port http
  source    kept
  let in    only clients in 10.1.0.0/16, 198.51.100.0/24
  affinity  the first choice is kept until 3h pass without a new connection
  note      default/zonal wants it as well, and does not get it

SHARE   ENDPOINT          NODE  ZONE  WHY
100.0%  10.1.0.1:8080     n1    a     ready
-       10.1.0.2:8080     n2    b     on another node, and the traffic policy is Local
-       10.1.0.2:8080     n2    b     named more than once
-       10.1.0.3:8080     n2    b     on another node, and the traffic policy is Local
-       10.1.0.4:8080     n1    a     terminating, while others are ready
-       10.1.0.9          n3    c     its slice has no such port
-       [fd00:1::1]:8080  n1    a     of the other address family
`},
		{"10.96.0.10:80", "10.1.0.2", `
10.96.0.10:80/tcp from 10.1.0.2 (a pod): forward to 2 of 7 endpoints

  service   default/web, ClusterIP, port http
  source    kept; masqueraded only when the client is led to itself
  affinity  the first choice is kept until 3h pass without a new connection

SHARE  ENDPOINT          NODE  ZONE  WHY
50.0%  10.1.0.1:8080     n1    a     ready
50.0%  10.1.0.2:8080     n2    b     ready
-      10.1.0.2:8080     n2    b     named more than once
-      10.1.0.3:8080     n2    b     not ready
-      10.1.0.4:8080     n1    a     terminating, while others are ready
-      10.1.0.9          n3    c     its slice has no such port
-      [fd00:1::1]:8080  n1    a     of the other address family
`},
		{"10.96.0.10:53/udp", "192.0.2.1", `
10.96.0.10:53/udp from 192.0.2.1 (outside): drop

  service  default/web, ClusterIP, port dns
  why      cluster IPs answer only pods (10.1.0.0/16, fd00:1::/48), this node

SHARE  ENDPOINT       NODE  ZONE  WHY
-      10.1.0.9:5353  n3    c     ready
-      10.1.0.1       n1    a     its slice has no such port
-      10.1.0.2       n2    b     its slice has no such port
-      10.1.0.2       n2    b     its slice has no such port
-      10.1.0.3       n2    b     its slice has no such port
-      10.1.0.4       n1    a     its slice has no such port
-      fd00:1::1      n1    a     of the other address family
`},
		{"10.96.0.11:80", "", `
10.96.0.11:80/tcp from any pod: drop

  service  default/idle, ClusterIP
  why      the traffic policy is Local, and no endpoint on this node can be used

SHARE  ENDPOINT     NODE  ZONE  WHY
-      10.1.0.1:80  n2    b     on another node, and the traffic policy is Local
`},
		{"10.96.0.12:80", "192.168.0.1", `
10.96.0.12:80/tcp from 192.168.0.1 (this node): forward to 2 of 3 endpoints

  service  default/zonal, ClusterIP, port http
  source   kept
  note     other/second has 10.96.0.12:81/tcp of the same address
  note     other/second wants it as well, and does not get it

SHARE  ENDPOINT     NODE  ZONE  WHY
50.0%  10.1.0.1:80  n1    a     ready
50.0%  10.1.0.3:80  n1    a     ready
-      10.1.0.2:80  n2    b     hinted for other zones
`},
		{"192.0.2.1:80", "10.1.0.2", `
192.0.2.1:80/tcp from 10.1.0.2 (a pod): not forwarded

  why  no virtual IP of ours: it goes where the machine's routes lead
`},
	} {
		t.Run(test.key, func(t *testing.T) {
			t.Parallel()
			client, _ := netip.ParseAddr(test.from)
			same(t, town(nil).Explain(mustKey(t, test.key), client).String(), test.want)
		})
	}
}

// same compares texts; want begins with a line break, to stand well in the source.
func same(t *testing.T, got, want string) {
	t.Helper()
	if "\n"+got != want {
		t.Errorf("got\n%s\nwant%s", got, want)
	}
}
