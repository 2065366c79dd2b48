package kubernetes

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

// asked is what a directive wants of its source.
type asked struct {
	origin cluster.Origin
	needs  cluster.Needs
}

// parse builds the directive of a Corefile in /etc/nameplane whose server block is cluster.local.
func parse(t *testing.T, text string, refuse error) (*Kubernetes, asked, string, error) {
	t.Helper()
	log := new(block.Buffer)
	env := block.NewEnv(log)
	env.Zones, env.Dir = zones(t, "cluster.local"), "/etc/nameplane"
	var got asked
	pool := cluster.NewPool(func(origin cluster.Origin, needs cluster.Needs, _ cluster.Telemetry) (cluster.Source, error) {
		got = asked{origin, needs}
		return idle{}, refuse
	}, env.Log)
	h, err := Spec(pool).Build(env, block.Lines(t, ".:53 {\n"+text+"\n}\n", "kubernetes"))
	if err != nil {
		return nil, got, log.String(), err
	}
	k := h.(*Kubernetes)
	t.Cleanup(func() { _ = k.Close() })
	return k, got, log.String(), nil
}

func zones(t *testing.T, names ...string) (all plugin.Zones) {
	t.Helper()
	for _, name := range names {
		found, err := wire.ParseZones(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

func TestOptions(t *testing.T) {
	t.Parallel()
	// plain is what "kubernetes" without a body means.
	type verdict struct {
		zones          plugin.Zones
		primary        string
		pods           string
		namespaces     map[string]struct{}
		filtered       bool
		ignoreEmpty    bool
		zonal          bool
		ttl            uint32
		fall           plugin.Zones
		startupTimeout time.Duration
		asked          asked
	}
	plain := func(change func(v *verdict)) verdict {
		v := verdict{
			zones: zones(t, "cluster.local"), primary: "cluster.local.", pods: podsDisabled, namespaces: map[string]struct{}{}, ttl: 5,
			startupTimeout: 5 * time.Second, asked: asked{needs: cluster.Needs{Endpoints: true, External: true}},
		}
		change(&v)
		return v
	}
	for _, test := range []struct {
		why, corefile string
		want          verdict
	}{
		{why: "zones of the server block", corefile: "kubernetes", want: plain(func(*verdict) {})},
		{why: "an empty body", corefile: "kubernetes cluster.local {\n}", want: plain(func(*verdict) {})},
		{why: "zones of its own", corefile: "kubernetes a.example 10.0.0.0/8 b.example", want: plain(func(v *verdict) {
			v.zones, v.primary = zones(t, "a.example", "10.in-addr.arpa", "b.example"), "a.example."
		})},
		{why: "a reverse zone first", corefile: "kubernetes fd00::/8 a.example", want: plain(func(v *verdict) {
			v.zones, v.primary = zones(t, "d.f.ip6.arpa", "a.example"), "a.example."
		})},
		{why: "pods insecure", corefile: "kubernetes {\n pods insecure\n}", want: plain(func(v *verdict) { v.pods = podsInsecure })},
		{why: "pods disabled", corefile: "kubernetes {\n pods disabled\n}", want: plain(func(*verdict) {})},
		{why: "pods verified", corefile: "kubernetes {\n pods verified\n}", want: plain(func(v *verdict) {
			v.pods, v.asked.needs.Pods = podsVerified, true
		})},
		{why: "endpoint_pod_names", corefile: "kubernetes {\n endpoint_pod_names\n}", want: plain(func(v *verdict) { v.asked.needs.PodNames = true })},
		{why: "noendpoints", corefile: "kubernetes {\n noendpoints\n}", want: plain(func(v *verdict) { v.asked.needs.Endpoints = false })},
		{why: "zonal", corefile: "kubernetes {\n zonal\n}", want: plain(func(v *verdict) { v.zonal, v.asked.needs.Zones = true, true })},
		{why: "ttl 0", corefile: "kubernetes {\n ttl 0\n}", want: plain(func(v *verdict) { v.ttl = 0 })},
		{why: "ttl 3600", corefile: "kubernetes {\n ttl 3600\n}", want: plain(func(v *verdict) { v.ttl = 3600 })},
		{why: "namespaces", corefile: "kubernetes {\n namespaces a b\n namespaces c\n}", want: plain(func(v *verdict) {
			v.namespaces, v.filtered = map[string]struct{}{"a": {}, "b": {}, "c": {}}, true
		})},
		{why: "namespace_labels", corefile: "kubernetes {\n namespace_labels team in (a, b),x=y\n}", want: plain(func(v *verdict) {
			v.asked.origin.NamespaceLabels, v.filtered = "team in (a, b),x=y", true
		})},
		{why: "labels", corefile: "kubernetes {\n labels tier=front\n}", want: plain(func(v *verdict) { v.asked.origin.Labels = "tier=front" })},
		{why: "fallthrough", corefile: "kubernetes {\n fallthrough\n}", want: plain(func(v *verdict) { v.fall = plugin.Zones{wire.Root} })},
		{why: "fallthrough with zones", corefile: "kubernetes {\n fallthrough in-addr.arpa 192.168.0.0/16\n}", want: plain(func(v *verdict) {
			v.fall = zones(t, "in-addr.arpa", "168.192.in-addr.arpa")
		})},
		{why: "ignore empty_service", corefile: "kubernetes {\n ignore empty_service\n}", want: plain(func(v *verdict) { v.ignoreEmpty = true })},
		{why: "ignore nothing", corefile: "kubernetes {\n ignore\n}", want: plain(func(*verdict) {})},
		{why: "startup_timeout", corefile: "kubernetes {\n startup_timeout 1m\n}", want: plain(func(v *verdict) { v.startupTimeout = time.Minute })},
		{why: "endpoint and tls", corefile: "kubernetes {\n endpoint https://a:6443\n tls c.pem /k.pem ../ca.pem\n}", want: plain(func(v *verdict) {
			v.asked.origin = cluster.Origin{Endpoint: "https://a:6443", CertFile: "/etc/nameplane/c.pem", KeyFile: "/k.pem", CAFile: "/etc/ca.pem"}
		})},
		{why: "kubeconfig", corefile: "kubernetes {\n kubeconfig admin.conf\n}", want: plain(func(v *verdict) {
			v.asked.origin.Kubeconfig = "/etc/nameplane/admin.conf"
		})},
		{why: "kubeconfig and context", corefile: "kubernetes {\n kubeconfig /admin.conf east\n}", want: plain(func(v *verdict) {
			v.asked.origin.Kubeconfig, v.asked.origin.Context = "/admin.conf", "east"
		})},
		{why: "manifests and service_cidr", corefile: "kubernetes {\n manifests a /b\n manifests c\n service_cidr 10.96.0.1/12 fd00::/108\n}",
			want: plain(func(v *verdict) {
				v.asked.origin.Manifests = []string{"/etc/nameplane/a", "/b", "/etc/nameplane/c"}
				v.asked.origin.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00::/108")}
			})},
		{why: "limits on the API server", corefile: "kubernetes {\n apiserver_qps 2.5\n apiserver_burst 7\n apiserver_max_inflight 3\n}",
			want: plain(func(v *verdict) { v.asked.origin.QPS, v.asked.origin.Burst, v.asked.origin.MaxInflight = 2.5, 7, 3 })},
		{why: "kubeadm's", corefile: "kubernetes cluster.local in-addr.arpa ip6.arpa {\n pods insecure\n fallthrough in-addr.arpa ip6.arpa\n ttl 30\n}",
			want: plain(func(v *verdict) {
				v.zones, v.pods, v.ttl = zones(t, "cluster.local", "in-addr.arpa", "ip6.arpa"), podsInsecure, 30
				v.fall = zones(t, "in-addr.arpa", "ip6.arpa")
			})},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			k, got, _, err := parse(t, test.corefile, nil)
			if err != nil {
				t.Fatal(err)
			}
			have := verdict{
				zones: k.zones, primary: k.primary.String(), pods: k.pods, namespaces: k.namespaces, filtered: k.filtered,
				ignoreEmpty: k.ignoreEmpty, zonal: k.zonal, ttl: k.ttl, fall: k.fall, startupTimeout: k.startupTimeout, asked: got,
			}
			if diff := cmp.Diff(test.want, have, cmp.AllowUnexported(verdict{}, asked{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.corefile, diff)
			}
		})
	}
}

// TestOptionErrors: all at once, each at its line, with what would be right.
func TestOptionErrors(t *testing.T) {
	t.Parallel()
	const known = "apiserver_burst, apiserver_max_inflight, apiserver_qps, endpoint, endpoint_pod_names, fallthrough, ignore, kubeconfig, labels, " +
		"manifests, multicluster, namespace_labels, namespaces, noendpoints, pods, service_cidr, startup_timeout, tls, ttl, zonal"
	long := strings.TrimSuffix(strings.Repeat(strings.Repeat("z", 60)+".", 4), ".")
	for _, test := range []struct {
		why, corefile string
		source        error
		want          []string
	}{
		{why: "only reverse zones", corefile: "kubernetes 10.0.0.0/8", want: []string{
			"Corefile:2: kubernetes: only reverse zones are given: a zone for the names themselves is wanted too, such as cluster.local",
		}},
		{why: "no zone", corefile: "kubernetes a..b", want: []string{
			`Corefile:2: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`,
		}},
		{why: "a zone without room for its SOA", corefile: "kubernetes " + long, want: []string{
			"Corefile:2: kubernetes: zone " + long + ". is too long: hostmaster." + long + ". has to be a name of 255 bytes at most",
		}},
		{why: "twice in a block", corefile: "kubernetes cluster.local\nkubernetes cluster.example", want: []string{
			"Corefile:3: kubernetes: given twice in one server block; the first one is at Corefile:2",
		}},
		{why: "unknown option", corefile: "kubernetes {\n pod insecure\n}", want: []string{
			`Corefile:3: kubernetes: unknown option "pod"; did you mean "pods"? (known options: ` + known + `)`,
		}},
		{why: "options of old Corefiles", corefile: "kubernetes {\n upstream\n resyncperiod 5m\n}", want: []string{
			`Corefile:3: kubernetes: unknown option "upstream" (known options: ` + known + `)`,
			`Corefile:4: kubernetes: unknown option "resyncperiod" (known options: ` + known + `)`,
		}},
		{why: "pods without a word", corefile: "kubernetes {\n pods\n}", want: []string{
			`Corefile:3: pods: wants 1 argument, but has 0; write "pods disabled|insecure|verified"`,
		}},
		{why: "pods with another word", corefile: "kubernetes {\n pods verifed\n}", want: []string{
			`Corefile:3: pods: "verifed" is none of disabled, insecure, verified; did you mean "verified"?`,
		}},
		{why: "ttl out of range", corefile: "kubernetes {\n ttl 3601\n}", want: []string{
			`Corefile:3: ttl: "3601" is not a whole number from 0 to 3600`,
		}},
		{why: "ttl below 0", corefile: "kubernetes {\n ttl -1\n}", want: []string{
			`Corefile:3: ttl: "-1" is not a whole number from 0 to 3600`,
		}},
		{why: "ttl is no number", corefile: "kubernetes {\n ttl 30s\n}", want: []string{
			`Corefile:3: ttl: "30s" is not a whole number from 0 to 3600`,
		}},
		{why: "ttl missing", corefile: "kubernetes {\n ttl\n}", want: []string{
			`Corefile:3: ttl: wants 1 argument, but has 0; write "ttl SECONDS"`,
		}},
		{why: "namespaces without one", corefile: "kubernetes {\n namespaces\n}", want: []string{
			`Corefile:3: namespaces: wants at least 1 argument, but has 0; write "namespaces NAMESPACE..."`,
		}},
		{why: "namespaces by name and by label", corefile: "kubernetes {\n namespaces a\n namespace_labels b=c\n}", want: []string{
			"Corefile:2: kubernetes: namespaces and namespace_labels exclude each other: keep one",
		}},
		{why: "zonal without endpoints", corefile: "kubernetes {\n zonal\n noendpoints\n}", want: []string{
			"Corefile:2: kubernetes: zonal names are answered from endpoints: remove noendpoints or zonal",
		}},
		{why: "flags with arguments", corefile: "kubernetes {\n noendpoints yes\n endpoint_pod_names 1\n zonal on\n}", want: []string{
			`Corefile:3: noendpoints: takes no argument, but has "yes"`,
			`Corefile:4: endpoint_pod_names: takes no argument, but has "1"`,
			`Corefile:5: zonal: takes no argument, but has "on"`,
		}},
		{why: "labels without a selector", corefile: "kubernetes {\n labels\n namespace_labels\n}", want: []string{
			`Corefile:3: labels: wants at least 1 argument, but has 0; write "labels SELECTOR"`,
			`Corefile:4: namespace_labels: wants at least 1 argument, but has 0; write "namespace_labels SELECTOR"`,
		}},
		{why: "endpoint without a URL", corefile: "kubernetes {\n endpoint\n}", want: []string{
			`Corefile:3: endpoint: wants at least 1 argument, but has 0; write "endpoint URL"`,
		}},
		{why: "tls with two files", corefile: "kubernetes {\n tls a b\n}", want: []string{
			`Corefile:3: tls: wants 3 arguments, but has 2; write "tls CERT KEY CA"`,
		}},
		{why: "kubeconfig without a file", corefile: "kubernetes {\n kubeconfig\n}", want: []string{
			`Corefile:3: kubeconfig: wants 1 to 2 arguments, but has 0; write "kubeconfig FILE [CONTEXT]"`,
		}},
		{why: "kubeconfig with too much", corefile: "kubernetes {\n kubeconfig a b c\n}", want: []string{
			`Corefile:3: kubeconfig: wants 1 to 2 arguments, but has 3; write "kubeconfig FILE [CONTEXT]"`,
		}},
		{why: "manifests without a path", corefile: "kubernetes {\n manifests\n}", want: []string{
			`Corefile:3: manifests: wants at least 1 argument, but has 0; write "manifests PATH..."`,
		}},
		{why: "service_cidr", corefile: "kubernetes {\n service_cidr 10.96.0.0 x/12\n}", want: []string{
			`Corefile:3: service_cidr: "10.96.0.0" is not an address block such as 10.96.0.0/12`,
			`Corefile:3: service_cidr: "x/12" is not an address block such as 10.96.0.0/12`,
		}},
		{why: "fallthrough to no zone", corefile: "kubernetes {\n fallthrough a..b\n}", want: []string{
			`Corefile:3: "a..b" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted`,
		}},
		{why: "ignore something", corefile: "kubernetes {\n ignore empty_services\n}", want: []string{
			`Corefile:3: ignore: unknown word "empty_services": empty_service is wanted`,
		}},
		{why: "startup_timeout without unit", corefile: "kubernetes {\n startup_timeout 5\n}", want: []string{
			`Corefile:3: startup_timeout: "5" has no unit; write 5s for seconds`,
		}},
		{why: "startup_timeout below 0", corefile: "kubernetes {\n startup_timeout -5s\n}", want: []string{
			`Corefile:3: startup_timeout: "-5s" is out of range; it must be at least 0s`,
		}},
		{why: "qps", corefile: "kubernetes {\n apiserver_qps -1\n}", want: []string{
			`Corefile:3: apiserver_qps: "-1" is not a number of requests a second, 0 or more`,
		}},
		{why: "qps without end", corefile: "kubernetes {\n apiserver_qps inf\n}", want: []string{
			`Corefile:3: apiserver_qps: "inf" is not a number of requests a second, 0 or more`,
		}},
		{why: "burst", corefile: "kubernetes {\n apiserver_burst 1.5\n}", want: []string{
			`Corefile:3: apiserver_burst: "1.5" is not a whole number from 0 to 2147483647`,
		}},
		{why: "max_inflight", corefile: "kubernetes {\n apiserver_max_inflight -1\n}", want: []string{
			`Corefile:3: apiserver_max_inflight: "-1" is not a whole number from 0 to 2147483647`,
		}},
		{why: "multicluster", corefile: "kubernetes {\n multicluster clusterset.local\n}", want: []string{
			"Corefile:3: multicluster: clusterset.local. is none of the directive's zones; it has to be one of them",
		}},
		{why: "everything at once", corefile: "kubernetes 10.0.0.0/8 {\n ttl x\n pods y\n}", want: []string{
			"Corefile:2: kubernetes: only reverse zones are given: a zone for the names themselves is wanted too, such as cluster.local",
			`Corefile:3: ttl: "x" is not a whole number from 0 to 3600`,
			`Corefile:4: pods: "y" is none of disabled, insecure, verified`,
		}},
		{why: "what the source refuses", corefile: "kubernetes {\n labels a=(\n}", source: errors.New(`labels "a=(" is not a label selector`), want: []string{
			`Corefile:2: kubernetes: labels "a=(" is not a label selector`,
		}},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			_, _, _, err := parse(t, test.corefile, test.source)
			if err == nil {
				t.Fatalf("no error for\n%s", test.corefile)
			}
			if diff := cmp.Diff(test.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyTheFirstEndpoint(t *testing.T) {
	t.Parallel()
	_, got, log, err := parse(t, "kubernetes {\n endpoint https://a:6443 https://b:6443\n}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.origin.Endpoint != "https://a:6443" {
		t.Errorf("endpoint is %s, want the first", got.origin.Endpoint)
	}
	if want := "[WARN] only the first endpoint is used\n"; log != want {
		t.Errorf("log is %q, want %q", log, want)
	}
}
