package exam

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/test/stock"
	"github.com/nameplane/nameplane/test/world"
)

// corefile is a configuration that both servers run with.
type corefile struct {
	name string
	text string // with placeholders, see room.values
	// vendor is whose Corefile it is, in the place of text.
	vendor *stock.Corefile
	// cached tells that a cache stands before all.
	cached bool
	// relayed tells that the cluster's names are asked of another server: nothing may differ but what the cache does.
	relayed bool
	// also are names that mean something under this Corefile, and in no world.
	also []string
	live []string // those of them that stand for names of the cluster

	zone    string                       // cluster zone of the kubernetes directive
	reverse []string                     // its reverse zones
	pods    string                       // mode of pods' names
	labels  bool                         // namespace_labels: CoreDNS does not filter reverse names by it
	shows   func(*corev1.Namespace) bool // whether a namespace is answered; nil: all are
	falls   []string                     // zones that fall through to what is behind kubernetes
	relays  bool                         // a forward directive is behind kubernetes, else nothing
	// unsynced tells that neither server has ever reached its API server.
	unsynced bool
}

// corefileOf is the one of a name.
func corefileOf(name string) corefile {
	all := corefiles()
	return all[slices.IndexFunc(all, func(c corefile) bool { return c.name == name })]
}

const source = "{KUBECONFIG}\n"

func corefiles() []corefile {
	all := append(stockCorefiles(), optionCorefiles()...)
	for i := range all {
		all[i].zone = world.Zone
		if all[i].reverse == nil {
			all[i].reverse = []string{"in-addr.arpa.", "ip6.arpa."}
		}
	}
	return all
}

// stockCorefiles are those that clusters are installed with, see package stock.
func stockCorefiles() []corefile {
	var all []corefile
	for _, vendor := range stock.Corefiles() {
		all = append(all, corefile{
			name: vendor.Name, vendor: &vendor, cached: true, relayed: vendor.Name == "nodelocal", also: alsoNamed(vendor.Name), live: []string{"apps.example."},
			pods: "insecure", falls: []string{"in-addr.arpa.", "ip6.arpa."}, relays: true,
		})
	}
	return all
}

// alsoNamed are names of the files beside a vendor's Corefile, and some that are not in there.
func alsoNamed(vendor string) []string {
	switch vendor {
	case "kops":
		return []string{"api.internal.example.k8s.local.", "kops-controller.internal.example.k8s.local.", "missing.k8s.local.", "k8s.local.",
			"10.32.20.172.in-addr.arpa.", "11.64.20.172.in-addr.arpa.", "localhost."}
	case "k3s":
		return []string{"server-0.", "agent-0.", "agent-1.nodes.example.", "registry.nodes.example.", "agent-2.", "12.1.168.192.in-addr.arpa.",
			"1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "corp.example.net.", "www.corp.example.net.", "alias.corp.example.net."}
	case "aks":
		return []string{"one.onprem.example.", "two.onprem.example.", "three.onprem.example.", "1.0.0.10.in-addr.arpa.", "kubernetes.apps.example.",
			"missing.apps.example.", "internal.cloudapp.net.", "a.b.c.internal.cloudapp.net.", "a.b.c.d.internal.cloudapp.net.", "a.b.c.d.e.internal.cloudapp.net.",
			"reddog.microsoft.com.", "x.reddog.microsoft.com.", "puglife.example.org.", "missing.puglife.example.org.", "many.puglife.example.org."}
	}
	return nil
}

func optionCorefiles() []corefile {
	inNamespaces := func(names ...string) func(*corev1.Namespace) bool {
		return func(ns *corev1.Namespace) bool {
			for _, name := range names {
				if ns.Name == name {
					return true
				}
			}
			return false
		}
	}
	const reverse = " in-addr.arpa ip6.arpa "
	block := func(options string) string {
		return ". {\nbind 127.0.0.1\nkubernetes cluster.local" + reverse + "{\n" + source + options + "\n}\n}\n"
	}
	relay := func(options string) string {
		return ". {\nbind 127.0.0.1\nerrors\nloadbalance\nkubernetes cluster.local" + reverse + "{\n" + source + options + "\n}\nforward . {UPSTREAM}\n}\n"
	}
	cached := func(options string) string {
		return strings.Replace(relay(options), "loadbalance\n", "loadbalance\ncache 30\n", 1)
	}
	return []corefile{
		{name: "ttl-0-cached", text: cached("pods verified\nttl 0"), cached: true, pods: "verified", relays: true},
		{name: "verified", text: block("pods verified\nttl 3600"), pods: "verified"},
		{name: "pod-names", text: strings.Replace(block("pods disabled\nendpoint_pod_names"), ".", "cluster.local in-addr.arpa ip6.arpa", 1)},
		{name: "noendpoints", text: relay("noendpoints"), relays: true},
		{name: "ignore-empty", text: block("ignore empty_service\nttl 0\npods insecure"), pods: "insecure"},
		{name: "namespaces", text: relay("namespaces default svc test-1\npods verified\nfallthrough"), pods: "verified",
			shows: inNamespaces("default", "svc", "test-1"), falls: []string{"."}, relays: true},
		{name: "namespace-labels", text: block("namespace_labels team=red\npods insecure\nttl 1"), pods: "insecure", labels: true,
			shows: func(ns *corev1.Namespace) bool { return ns.Labels["team"] == "red" }},
		{name: "labels", text: relay("labels tier in (front, middle)\npods verified\nendpoint_pod_names"), pods: "verified", relays: true},
		{name: "zonal", text: relay("zonal\nfallthrough cluster.local\npods insecure"), pods: "insecure", falls: []string{world.Zone}, relays: true},
		{name: "blocks", text: blocks, reverse: []string{"10.in-addr.arpa.", "d.f.ip6.arpa."}, pods: "insecure", falls: []string{"10.in-addr.arpa.", "d.f.ip6.arpa."}, relays: true},
		{name: "ports", text: ports, pods: "insecure", falls: []string{"ip6.arpa."}, relays: true},
		// On all addresses, because a block that binds has no NS records.
		{name: "name-servers", text: ".:{PORT} {\nkubernetes cluster.local" + reverse + "{\n" + source + "ttl 3000\n}\n}\n"},
	}
}

// blocks has several server blocks, and zones written as networks.
const blocks = `(common) {
	bind 127.0.0.1
	errors
}
cluster.local 10.0.0.0/8 fd00::/8 {
	import common
	kubernetes cluster.local 10.0.0.0/8 fd00::/8 {
		` + source + `
		pods insecure
		fallthrough 10.in-addr.arpa d.f.ip6.arpa
	}
	forward . {UPSTREAM}
	loadbalance round_robin
}
example.com, 192.0.2.0/24 {
	import common
	whoami
}
mail.example.com {
	import common
	forward . {UPSTREAM}
}
default.svc.cluster.local {
	import common
	forward . {UPSTREAM}
}
.:{PORT} {
	import common
	whoami
}
`

// ports has two servers; the other one is asked.
const ports = `cluster.local in-addr.arpa . {
	bind 127.0.0.1
	whoami
}
.:{OTHER} {
	bind 127.0.0.1
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		` + source + `
		pods insecure
		fallthrough ip6.arpa
	}
	forward . {UPSTREAM}
}
`
