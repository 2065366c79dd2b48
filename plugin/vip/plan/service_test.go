package plan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

type spec = cluster.ServiceSpec

// serviceTest is one service and what it becomes.
type serviceTest struct {
	name   string
	spec   func(*spec)
	slices []cluster.SliceSpec
	policy func(*Policy)
	node   func(*cluster.Node)
	want   []string
}

func runServices(t *testing.T, tests []serviceTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			policy, node, s := testPolicy(), testNode(), web()
			if test.policy != nil {
				test.policy(policy)
			}
			if test.node != nil {
				test.node(node)
			}
			if test.spec != nil {
				test.spec(s)
			}
			v := view{policy, node}
			got := v.service(record(s, test.slices...))
			if !slices.Equal(lines(got), test.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(lines(got), "\n  "), strings.Join(test.want, "\n  "))
			}
		})
	}
}

// Which services are taken (KEP-2447 for the label; kube-proxy's selectors).
func TestTakes(t *testing.T) {
	t.Parallel()
	one := []cluster.SliceSpec{slice("http:8080", "10.1.0.1")}
	forwarded := []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"}
	runServices(t, []serviceTest{
		{name: "ours by label", slices: one, want: forwarded},
		{name: "kube-proxy's", slices: one, spec: func(s *spec) { s.Forwarding.ProxyName = "" }},
		{name: "somebody else's", slices: one, spec: func(s *spec) { s.Forwarding.ProxyName = "other" }},
		{name: "all takes kube-proxy's", slices: one, want: forwarded,
			spec: func(s *spec) { s.Forwarding.ProxyName = "" }, policy: func(p *Policy) { p.All = true }},
		{name: "all takes ours", slices: one, want: forwarded, policy: func(p *Policy) { p.All = true }},
		{name: "all leaves others'", slices: one,
			spec: func(s *spec) { s.Forwarding.ProxyName = "other" }, policy: func(p *Policy) { p.All = true }},
		{name: "no name is no label", slices: one,
			spec: func(s *spec) { s.Forwarding.ProxyName = "" }, policy: func(p *Policy) { p.ProxyName = "" }},
		{name: "headless", slices: one, spec: func(s *spec) { s.Type = cluster.Headless; s.ClusterIPs = nil }},
		{name: "ExternalName", slices: one, spec: func(s *spec) { s.Type = cluster.ExternalName; s.ExternalName = "a.example" }},
		{name: "no virtual IP yet", slices: one, spec: func(s *spec) { s.ClusterIPs = nil }},
		{name: "nothing known of its forwarding", slices: one, spec: func(s *spec) { s.Forwarding = nil }},
		{name: "no ports", slices: one, spec: func(s *spec) { s.Ports = nil }},
	})
}

// The join of ports and endpoints (vip.md section 1, Join; KEP-752).
func TestJoin(t *testing.T) {
	t.Parallel()
	runServices(t, []serviceTest{
		{
			name:   "by name and protocol",
			spec:   func(s *spec) { s.Ports = ports("dns:53/udp dns-tcp:53/tcp") },
			slices: []cluster.SliceSpec{slice("dns:5353/udp dns-tcp:5354/tcp", "10.1.0.2", "10.1.0.1")},
			want: []string{
				"ClusterIP 10.96.0.10:53/tcp: 10.1.0.1:5354 10.1.0.2:5354",
				"ClusterIP 10.96.0.10:53/udp: 10.1.0.1:5353 10.1.0.2:5353; serving [10.1.0.1:5353 10.1.0.2:5353]",
			},
		},
		{
			name:   "the same name of another protocol is another port",
			slices: []cluster.SliceSpec{slice("http:8080/udp", "10.1.0.1")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: reject"},
		},
		{
			name:   "no name joins no name",
			spec:   func(s *spec) { s.Ports = ports(":80") },
			slices: []cluster.SliceSpec{slice(":8080 http:1", "10.1.0.1")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name:   "a port that the slice does not know",
			slices: []cluster.SliceSpec{slice("http:0", "10.1.0.1"), slice("http:8080", "10.1.0.2")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.2:8080"},
		},
		{
			name:   "a named target port differs by slice",
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1"), slice("http:9090", "10.1.0.2", "10.1.0.1")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080 10.1.0.1:9090 10.1.0.2:9090"},
		},
		{
			name:   "a service port of number 0 costs no other",
			spec:   func(s *spec) { s.Ports = ports("bad:0 http:80") },
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080", `refused port "bad": its number is 0, want 1 to 65535`},
		},
		{
			name:   "the same number twice",
			spec:   func(s *spec) { s.Ports = ports("a:80 b:80") },
			slices: []cluster.SliceSpec{slice("a:1 b:2", "10.1.0.1")},
			want: []string{
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:1",
				`refused cluster IP 10.96.0.10, port 80/tcp, port "b": port "a" of the same service has it already`,
			},
		},
		{
			name:   "sctp",
			spec:   func(s *spec) { s.Ports = ports("s:99/sctp") },
			slices: []cluster.SliceSpec{slice("s:100/sctp", "10.1.0.1")},
			want:   []string{"ClusterIP 10.96.0.10:99/sctp: 10.1.0.1:100"},
		},
		{
			name:   "in two slices: the one that does not end wins",
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1 unready terminating"), slice("http:8080", "10.1.0.1"), slice("http:8080", "10.1.0.1 unready")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name: "families are apart",
			spec: func(s *spec) {
				s.ClusterIPs = addrs("10.96.0.10 fd00:96::10")
				s.Forwarding.NodePorts = []uint16{30080}
			},
			slices: []cluster.SliceSpec{
				slice("http:8080", "10.1.0.1"), slice("http:8080", "fd00:1::1"),
			},
			want: []string{
				"NodePort 0.0.0.0:30080/tcp: 10.1.0.1:8080",
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080",
				"NodePort [::]:30080/tcp: [fd00:1::1]:8080",
				"ClusterIP [fd00:96::10]:80/tcp: [fd00:1::1]:8080",
			},
		},
		{
			name:   "a family without endpoints",
			spec:   func(s *spec) { s.ClusterIPs = addrs("10.96.0.10 fd00:96::10") },
			slices: []cluster.SliceSpec{slice("http:8080", "fd00:1::1")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: reject", "ClusterIP [fd00:96::10]:80/tcp: [fd00:1::1]:8080"},
		},
	})
}

// Ready, ending, local and hinted endpoints (KEP-1669, KEP-2086, KEP-2433, KEP-3015).
func TestChoice(t *testing.T) {
	t.Parallel()
	internalLocal := func(s *spec) { s.Forwarding.InternalLocal = true }
	runServices(t, []serviceTest{
		{name: "no slices", want: []string{"ClusterIP 10.96.0.10:80/tcp: reject"}},
		{
			name:   "none ready",
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1 unready", "10.1.0.2 unready unserving terminating")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: reject"},
		},
		{
			name:   "ready ones, not those that end",
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1 unready terminating", "10.1.0.2")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.2:8080"},
		},
		{
			name:   "those that end but serve, when none is ready",
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1 unready terminating", "10.1.0.2 unready", "10.1.0.3 unready unserving terminating")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name:   "ready although it ends (publishNotReadyAddresses)",
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1 unserving terminating")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name:   "Local",
			spec:   internalLocal,
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1", "10.1.0.2@n2", "10.1.0.3")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name:   "Local, only one that ends: it is local before it is ready elsewhere",
			spec:   internalLocal,
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1 unready terminating", "10.1.0.2@n2")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name:   "Local, none local: drop, for there are some elsewhere",
			spec:   internalLocal,
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1 unready", "10.1.0.2@n2")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: drop"},
		},
		{
			name:   "Local, some that end elsewhere: drop",
			spec:   internalLocal,
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.2@n2 unready terminating")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: drop"},
		},
		{
			name:   "Local, none anywhere: reject",
			spec:   internalLocal,
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1 unready", "10.1.0.2@n2 unready")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: reject"},
		},
		{
			name:   "no name of a node is no node",
			spec:   internalLocal,
			policy: func(p *Policy) { p.Node = "" }, node: func(n *cluster.Node) { n.Name = "" },
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: drop"},
		},
		{
			name:   "the name that the operator gave",
			spec:   internalLocal,
			node:   func(n *cluster.Node) { n.Name = "n2" },
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1", "10.1.0.2@n2")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
		{
			name:   "the node's own name, where the operator gave none",
			spec:   internalLocal,
			policy: func(p *Policy) { p.Node = "" },
			slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1", "10.1.0.2@n2")},
			want:   []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"},
		},
	})
}

// Hints (KEP-2433 for zones, KEP-3015 for nodes).
func TestHints(t *testing.T) {
	t.Parallel()
	both := []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080 10.1.0.2:8080"}
	first := []string{"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080"}
	list := func(endpoints ...string) []cluster.SliceSpec {
		return []cluster.SliceSpec{slice("http:8080", endpoints...)}
	}
	runServices(t, []serviceTest{
		{name: "zone", slices: list("10.1.0.1 zones=a,c", "10.1.0.2 zones=b"), want: first},
		{name: "zone, one endpoint without", slices: list("10.1.0.1 zones=a", "10.1.0.2"), want: both},
		{name: "zone, none for ours", slices: list("10.1.0.1 zones=b", "10.1.0.2 zones=c"), want: both},
		{name: "zone, ours is not known", node: func(n *cluster.Node) { n.Zone = "" }, slices: list("10.1.0.1 zones=a", "10.1.0.2 zones=b"), want: both},
		{name: "an unready one need not have a hint", slices: list("10.1.0.1 zones=a", "10.1.0.2 zones=b", "10.1.0.3 unready"), want: first},
		{name: "ours has only an unready one", slices: list("10.1.0.1 zones=b", "10.1.0.2 zones=b", "10.1.0.3 unready zones=a"), want: both},
		{name: "node before zone", slices: list("10.1.0.1 zones=b for=n1", "10.1.0.2 zones=a for=n2"), want: first},
		{name: "node, none for ours: zone", slices: list("10.1.0.1 zones=a for=n3", "10.1.0.2 zones=b for=n2"), want: first},
		{name: "node, one endpoint without: zone", slices: list("10.1.0.1 zones=a", "10.1.0.2 zones=b for=n1"), want: first},
		{
			name: "last resort looks at no hint", want: both,
			slices: list("10.1.0.1 unready terminating zones=b", "10.1.0.2 unready terminating zones=a"),
		},
		{
			name: "Local looks at no hint", spec: func(s *spec) { s.Forwarding.InternalLocal = true }, want: both,
			slices: list("10.1.0.1@n1 zones=b", "10.1.0.2@n1 zones=a"),
		},
		{
			name: "each port for itself", spec: func(s *spec) { s.Ports = ports("http:80 more:81") },
			slices: []cluster.SliceSpec{slice("http:8080 more:8081", "10.1.0.1 zones=a", "10.1.0.2 zones=b"), slice("more:8081", "10.1.0.3")},
			want: []string{
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080",
				"ClusterIP 10.96.0.10:81/tcp: 10.1.0.1:8081 10.1.0.2:8081 10.1.0.3:8081",
			},
		},
	})
}

// From outside of the cluster (vip.md section 1: externalTrafficPolicy, NodePort, LB ingress, source ranges).
func TestOutside(t *testing.T) {
	t.Parallel()
	balanced := func(change ...func(*cluster.Forwarding)) func(*spec) {
		return func(s *spec) {
			s.Forwarding.NodePorts, s.Forwarding.Balancers = []uint16{30080}, addrs("203.0.113.5")
			for _, c := range change {
				c(s.Forwarding)
			}
		}
	}
	local := func(f *cluster.Forwarding) { f.ExternalLocal, f.HealthPort = true, 32000 }
	ranges := func(text string) func(*cluster.Forwarding) {
		return func(f *cluster.Forwarding) { f.SourceRanges = append([]netip.Prefix{}, prefixes(text)...) }
	}
	two := []cluster.SliceSpec{slice("http:8080", "10.1.0.1@n1", "10.1.0.2@n2")}
	const clusterIP, nodePort = "ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080 10.1.0.2:8080", "NodePort 0.0.0.0:30080/tcp: 10.1.0.1:8080 10.1.0.2:8080"
	runServices(t, []serviceTest{
		{
			name: "Cluster", spec: balanced(), slices: two,
			want: []string{nodePort, clusterIP, "LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080"},
		},
		{
			name: "Local keeps the source, and pods the Cluster list", spec: balanced(local), slices: two,
			want: []string{
				nodePort + "; outside: 10.1.0.1:8080; not masqueraded", clusterIP,
				"LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080; outside: 10.1.0.1:8080; not masqueraded",
				"health 32000: 1",
			},
		},
		{
			name: "Local, none local", spec: balanced(local), slices: []cluster.SliceSpec{slice("http:8080", "10.1.0.2@n2")},
			want: []string{
				"NodePort 0.0.0.0:30080/tcp: 10.1.0.2:8080; outside: drop; not masqueraded",
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.2:8080",
				"LoadBalancer 203.0.113.5:80/tcp: 10.1.0.2:8080; outside: drop; not masqueraded",
				"health 32000: 0",
			},
		},
		{
			name: "Local, none at all", spec: balanced(local),
			want: []string{
				"NodePort 0.0.0.0:30080/tcp: reject; not masqueraded", "ClusterIP 10.96.0.10:80/tcp: reject",
				"LoadBalancer 203.0.113.5:80/tcp: reject; not masqueraded", "health 32000: 0",
			},
		},
		{
			name: "internalTrafficPolicy is for cluster IPs alone", spec: balanced(func(f *cluster.Forwarding) { f.InternalLocal = true }), slices: two,
			want: []string{
				nodePort, "ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080", "LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080",
			},
		},
		{
			name: "health counts ready addresses once", slices: []cluster.SliceSpec{
				slice("http:8080 more:81", "10.1.0.1@n1", "10.1.0.3@n1 unready terminating"), slice("http:8080 more:82", "10.1.0.1@n1"),
			},
			spec: func(s *spec) {
				balanced(local)(s)
				s.Forwarding.NodePorts, s.Forwarding.Balancers, s.Ports = nil, nil, ports("http:80 more:81")
			},
			want: []string{
				"ClusterIP 10.96.0.10:80/tcp: 10.1.0.1:8080", "ClusterIP 10.96.0.10:81/tcp: 10.1.0.1:81 10.1.0.1:82", "health 32000: 1",
			},
		},
		{
			name: "source ranges are for load balancers alone", spec: balanced(ranges("198.51.100.0/24 10.0.0.1/8 198.51.100.0/24 2001:db8::/32")), slices: two,
			want: []string{
				nodePort, clusterIP,
				"LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080; from [10.0.0.0/8 198.51.100.0/24]",
			},
		},
		{
			name: "ranges with the node let in the address itself", spec: balanced(ranges("192.168.0.0/24")), slices: two,
			want: []string{
				nodePort, clusterIP,
				"LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080; from [192.168.0.0/24 203.0.113.5/32]",
			},
		},
		{
			name: "a whole family is everyone", spec: balanced(ranges("0.0.0.0/0")), slices: two,
			want: []string{nodePort, clusterIP, "LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080"},
		},
		{
			name: "ranges of the other family let nobody in", spec: balanced(ranges("2001:db8::/32")), slices: two,
			want: []string{nodePort, clusterIP, "refused load balancer IP 203.0.113.5: loadBalancerSourceRanges (2001:db8::/32) let in no client of this family"},
		},
		{
			name: "ranges of which none could be read let nobody in", spec: balanced(ranges("")), slices: two,
			want: []string{nodePort, clusterIP, "refused load balancer IP 203.0.113.5: loadBalancerSourceRanges (none) let in no client of this family"},
		},
		{
			name: "affinity is for all of a service's addresses", slices: two,
			spec: func(s *spec) { balanced()(s); affinity(3 * time.Hour)(s) },
			want: []string{
				nodePort + "; affinity 3h0m0s", clusterIP + "; affinity 3h0m0s",
				"LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080; affinity 3h0m0s",
			},
		},
		{
			name: "external IPs, switched on", slices: two, policy: func(p *Policy) { p.ExternalIPs = true },
			spec: func(s *spec) { s.Forwarding.ExternalIPs = addrs("198.51.100.7") },
			want: []string{clusterIP, "ExternalIP 198.51.100.7:80/tcp: 10.1.0.1:8080 10.1.0.2:8080"},
		},
		{
			name: "an external IP that is the load balancer's keeps its ranges", slices: two, policy: func(p *Policy) { p.ExternalIPs = true },
			spec: balanced(ranges("10.0.0.0/8"), func(f *cluster.Forwarding) { f.ExternalIPs, f.NodePorts = addrs("203.0.113.5"), nil }),
			want: []string{clusterIP, "LoadBalancer 203.0.113.5:80/tcp: 10.1.0.1:8080 10.1.0.2:8080; from [10.0.0.0/8]"},
		},
		{
			name: "what a UDP flow may keep", slices: []cluster.SliceSpec{
				slice("dns:53/udp", "10.1.0.1@n1", "10.1.0.2@n2 unready terminating", "10.1.0.3@n1 unready", "10.1.0.4@n2 unready unserving terminating", "10.1.0.5@n2 unserving"),
			},
			spec: func(s *spec) { s.Ports = ports("dns:53/udp") },
			want: []string{"ClusterIP 10.96.0.10:53/udp: 10.1.0.1:53 10.1.0.5:53; serving [10.1.0.1:53 10.1.0.2:53 10.1.0.5:53]"},
		},
	})
}

// Of one endpoint in several slices the one counts that is most alive, in whatever order they come.
func TestPreference(t *testing.T) {
	t.Parallel()
	best := []candidate{
		{ready: true, serving: true, local: true},
		{ready: true, serving: true, index: 1},
		{ready: true, serving: true, index: 2},
		{ready: true},
		{serving: true},
		{ready: true, serving: true, local: true, terminating: true},
		{serving: true, terminating: true},
	}
	for i := range best {
		for j := range best {
			if got := byPreference(best[i], best[j]); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%+v and %+v: %d", best[i], best[j], got)
			}
		}
	}
}
