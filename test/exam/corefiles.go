package exam

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/test/world"
)

// corefile is a configuration that both servers run with.
type corefile struct {
	name string
	text string // with placeholders, see fill
	// cache tells that CoreDNS runs the text as it stands, with "cache", of which Nameplane has none.
	cache bool

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

const source = "kubeconfig {KUBECONFIG}\n"

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

// stock is what kubeadm installs; addresses are loopback's.
const stock = `.:{PORT} {
	bind 127.0.0.1
	errors
	health 127.0.0.1:{HEALTH} {
		lameduck 5s
	}
	ready 127.0.0.1:{READY}
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		` + source + `
		pods insecure
		fallthrough in-addr.arpa ip6.arpa
		ttl 30
	}
	prometheus 127.0.0.1:{METRICS}
	forward . {UPSTREAM} {
		max_concurrent 1000
	}
	cache 30 {
		disable success cluster.local
		disable denial cluster.local
	}
	loop
	reload
	loadbalance
}
`

func stockCorefiles() []corefile {
	kubeadm := corefile{
		name: "kubeadm", text: withoutCache(stock), pods: "insecure",
		falls: []string{"in-addr.arpa.", "ip6.arpa."}, relays: true,
	}
	cached := kubeadm
	cached.name, cached.text, cached.cache = "kubeadm-with-cache", stock, true
	return []corefile{kubeadm, cached}
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
	return []corefile{
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

var later = regexp.MustCompile(`(?m)^\s*(loop|reload)\n|^\s*cache[^\n{]*\{[^}]*\}\n|^\s*cache[^\n{]*\n`)

// withoutCache leaves out the directives that Nameplane does not have yet: cache, loop and reload.
func withoutCache(text string) string { return later.ReplaceAllString(text, "") }
