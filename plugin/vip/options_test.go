package vip

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/server/corefile"
)

func prefixes(text string) (list []netip.Prefix) {
	for _, word := range strings.Fields(text) {
		list = append(list, netip.MustParsePrefix(word))
	}
	return list
}

func TestOptions(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	// plain is what "mode relay" alone means.
	plain := func(change ...func(o *options)) options {
		o := options{mode: modeRelay, policy: plan.Policy{Node: strings.ToLower(host), ProxyName: "nameplane", AllowPods: true, AllowNode: true}}
		for _, c := range change {
			c(&o)
		}
		return o
	}
	for _, test := range []struct {
		name string
		body string // beside "mode relay"
		more string // other server blocks
		want options
	}{
		{name: "nothing", want: plain()},
		{name: "node", body: "node n1", want: plain(func(o *options) { o.policy.Node = "n1" })},
		{name: "node of a variable that is not set", body: "node {$NAMEPLANE_NO_SUCH_VARIABLE}", want: plain()},
		{name: "all services", body: "services all", want: plain(func(o *options) { o.policy.All = true })},
		{name: "another name", body: "services proxy-name=x", want: plain(func(o *options) { o.policy.ProxyName = "x" })},
		{name: "networks", body: "service_cidr 10.96.0.1/12 fd00:10:96::/112\n pod_cidr 10.244.0.0/16", want: plain(func(o *options) {
			o.policy.ServiceCIDRs = prefixes("10.96.0.0/12 fd00:10:96::/112")
			o.policy.PodCIDRs = prefixes("10.244.0.0/16")
			o.origin.ServiceCIDRs = o.policy.ServiceCIDRs
		})},
		{name: "networks in one word", body: "pod_cidr 10.244.0.0/16,fd00:10:244::/56", want: plain(func(o *options) {
			o.policy.PodCIDRs = prefixes("10.244.0.0/16 fd00:10:244::/56")
		})},
		{name: "loopback", body: "service_cidr 127.96.0.0/16", want: plain(func(o *options) {
			o.policy.ServiceCIDRs = prefixes("127.96.0.0/16")
			o.policy.Loopback = o.policy.ServiceCIDRs[0]
			o.origin.ServiceCIDRs = o.policy.ServiceCIDRs
		})},
		{name: "the node alone", body: "allow_from node", want: plain(func(o *options) { o.policy.AllowPods = false })},
		{name: "clients", body: "allow_from pods 192.168.0.0/24 fd00::/64", want: plain(func(o *options) {
			o.policy.AllowNode = false
			o.policy.AllowFrom = prefixes("192.168.0.0/24 fd00::/64")
		})},
		{name: "primary addresses", body: "nodeport_addresses primary", want: plain()},
		{name: "node addresses", body: "nodeport_addresses 192.168.0.0/24", want: plain(func(o *options) { o.policy.NodePortAddrs = prefixes("192.168.0.0/24") })},
		{name: "external addresses", body: "external_ips on", want: plain(func(o *options) { o.policy.ExternalIPs = true })},
		{name: "health", body: "healthz", want: plain(func(o *options) { o.healthz = ":10256" })},
		{name: "health somewhere", body: "healthz 127.0.0.1:10257", want: plain(func(o *options) { o.healthz = "127.0.0.1:10257" })},
		{name: "a source of its own", body: "manifests demo /srv", more: "b {\n kubernetes b {\n  kubeconfig c\n }\n}", want: plain(func(o *options) {
			o.origin.Manifests = []string{"/etc/nameplane/demo", "/srv"}
		})},
		{name: "the source of kubernetes", more: "b {\n kubernetes b {\n  kubeconfig c\n  pods verified\n  labels a=b\n }\n}", want: plain(func(o *options) {
			o.origin = cluster.Origin{Kubeconfig: "/etc/nameplane/c", Labels: "a=b"}
		})},
		{name: "with its networks", more: "b {\n kubernetes b {\n  manifests c\n  service_cidr 10.96.0.0/16\n }\n}", want: plain(func(o *options) {
			o.origin = cluster.Origin{Manifests: []string{"/etc/nameplane/c"}, ServiceCIDRs: prefixes("10.96.0.0/16")}
			o.policy.ServiceCIDRs = o.origin.ServiceCIDRs
		})},
		{name: "with other networks", body: "service_cidr 10.97.0.0/16", more: "b {\n kubernetes b {\n  manifests c\n }\n}", want: plain(func(o *options) {
			o.origin = cluster.Origin{Manifests: []string{"/etc/nameplane/c"}}
			o.policy.ServiceCIDRs = prefixes("10.97.0.0/16")
		})},
		{name: "two of one source", more: "b {\n kubernetes b {\n  kubeconfig c\n }\n}\nc {\n kubernetes c {\n  ttl 7\n  kubeconfig c\n }\n}", want: plain(func(o *options) {
			o.origin = cluster.Origin{Kubeconfig: "/etc/nameplane/c"}
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v, err := newWorld(t).build(". {\n vip {\n mode relay\n " + test.body + "\n }\n}\n" + test.more)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if diff := cmp.Diff(test.want, v.options, cmp.AllowUnexported(options{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Error("(- want, + got)\n", diff)
			}
			if want := (cluster.Needs{Endpoints: true, Zones: true, Forwarding: true, Node: test.want.policy.Node}); v.needs() != want {
				t.Errorf("it needs %+v, want %+v", v.needs(), want)
			}
		})
	}
}

func TestOptionErrors(t *testing.T) {
	t.Parallel()
	const known = "(known options: allow_from, apiserver_burst, apiserver_max_inflight, apiserver_qps, endpoint, external_ips, healthz, kubeconfig, " +
		"labels, manifests, mode, namespace_labels, node, nodeport_addresses, pod_cidr, service_cidr, services, tls)"
	for _, test := range []struct{ name, text, want string }{
		{name: "an argument", text: ". {\n vip 10.96.0.0/12 {\n  mode plan\n }\n}", want: `Corefile:2: vip: takes no argument, but has "10.96.0.0/12"`},
		{name: "unknown option", text: ". {\n vip {\n  mode plan\n  nod x\n }\n}", want: `Corefile:4: vip: unknown option "nod"; did you mean "node"? ` + known},
		{name: "unknown mode", text: ". {\n vip {\n  mode relai\n }\n}", want: `Corefile:3: mode: "relai" is none of nftables, relay, plan; did you mean "relay"?`},
		{name: "option twice", text: ". {\n vip {\n  mode plan\n  mode relay\n }\n}", want: "Corefile:4: mode: given twice in vip; the first one is at Corefile:3"},
		{name: "two nodes", text: ". {\n vip {\n  mode plan\n  node a b\n }\n}", want: `Corefile:4: node: wants at most 1 argument, but has 2; write "node NAME"`},
		{name: "services", text: ". {\n vip {\n  mode plan\n  services al\n }\n}", want: `Corefile:4: services: "al" is neither all nor proxy-name=NAME; did you mean "all"?`},
		{name: "no proxy name", text: ". {\n vip {\n  mode plan\n  services proxy-name=\n }\n}", want: `Corefile:4: services: "proxy-name=" is neither all nor proxy-name=NAME; did you mean "proxy-name="?`},
		{name: "networks", text: ". {\n vip {\n  mode plan\n  service_cidr 10.96.0.0\n  pod_cidr 10.244.0.0/16,10.244.0.0/33,\n }\n}", want: `Corefile:4: service_cidr: "10.96.0.0" is not an address block such as 10.96.0.0/12` + "\n" +
			`Corefile:5: pod_cidr: "10.244.0.0/33" is not an address block such as 10.244.0.0/16` + "\n" +
			`Corefile:5: pod_cidr: "" is not an address block such as 10.244.0.0/16`},
		{name: "clients", text: ". {\n vip {\n  mode plan\n  allow_from pod 10.0.0.1\n }\n}", want: `Corefile:4: allow_from: "pod" is neither pods nor node nor an address block such as 192.168.0.0/24; did you mean "pods"?` + "\n" +
			`Corefile:4: allow_from: "10.0.0.1" is neither pods nor node nor an address block such as 192.168.0.0/24`},
		{name: "node ports", text: ". {\n vip {\n  mode plan\n  nodeport_addresses primry\n }\n}", want: `Corefile:4: nodeport_addresses: "primry" is neither primary nor an address block such as 192.168.0.0/24; did you mean "primary"?`},
		{name: "external", text: ". {\n vip {\n  mode plan\n  external_ips yes\n }\n}", want: `Corefile:4: external_ips: "yes" is none of off, on`},
		{name: "health", text: ". {\n vip {\n  mode plan\n  healthz 10256\n }\n}", want: `Corefile:4: healthz: "10256" is not an address; write HOST:PORT or :PORT`},
		{name: "pods unknown", text: ". {\n vip\n}", want: `Corefile:2: vip: pod_cidr is missing: ClusterIPs answer pods, which are known by their addresses (or else write "allow_from node")`},
		{name: "loopback in the kernel", text: ". {\n vip {\n  pod_cidr 10.244.0.0/16\n  service_cidr 127.96.0.0/16\n }\n}", want: "Corefile:2: vip: service_cidr 127.96.0.0/16: the kernel forwards no loopback address; mode relay does"},
		{name: "twice in a block", text: ". {\n vip {\n  mode plan\n }\n vip {\n  mode plan\n }\n}", want: "Corefile:5: vip: given twice; the first one is at Corefile:2"},
		{name: "sources that differ", text: ". {\n vip {\n  mode plan\n }\n kubernetes a {\n  manifests a\n }\n}\nb {\n kubernetes b\n}",
			want: "Corefile:2: vip: the directives kubernetes at Corefile:5 and Corefile:10 have different sources: say here which one is meant (kubeconfig, endpoint or manifests)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := newWorld(t).build(test.text)
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// A second line in another block is an error there, which names the first.
func TestOnceInAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := parse(t, ". {\n vip {\n  mode plan\n }\n}\nb {\n vip {\n  mode plan\n }\n}\n")
	for i, want := range []string{"", "Corefile:7: vip: given twice; it speaks for the whole process, and stands in one server block: the first one is at Corefile:2"} {
		h, err := w.buildLines(file, file.Lines("vip")[i:i+1])
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("block %d: error is\n%v\nwant\n%s", i, err, want)
		}
		if h != nil {
			h.Close()
		}
	}
}

// What kubernetes got wrong is told by kubernetes.
func TestBrokenKubernetes(t *testing.T) {
	t.Parallel()
	v, err := newWorld(t).build(". {\n vip {\n  mode plan\n }\n kubernetes a {\n  kubeconfig\n }\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
}

// FuzzOptions: whatever stands in the body, the directive is built or refused with a place.
func FuzzOptions(f *testing.F) {
	for _, body := range []string{
		"mode plan", "mode relay\n services all\n service_cidr 10.96.0.0/12 fd00::/112\n pod_cidr 10.0.0.0/8", "allow_from pods 10.0.0.0/8 x",
		"nodeport_addresses primary", "healthz :1", "node {$X}", "endpoint https://[::1]:443 x\n tls a b c", "external_ips on {\n}",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		file, err := corefile.Parse("Corefile", []byte(". {\n vip {\n"+body+"\n }\n}\n"))
		if err != nil || len(file.Lines("vip")) == 0 {
			return
		}
		v, err := newWorld(t).buildLines(file, file.Lines("vip"))
		if err == nil {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		var placed *corefile.Error
		if !errors.As(err, &placed) || placed.Pos.Line < 1 {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
