package k8sexternal

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/kubernetes"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

const withHosts = "k8s_external example.org {\n hosts ingress gateway\n}"

// leads puts an Ingress: name is "NAME.NAMESPACE", hosts and external have spaces between.
func (b *bed) leads(name, hosts, external string) {
	spec := &cluster.HostSpec{Kind: cluster.KindIngress}
	spec.Name, spec.Namespace, _ = strings.Cut(name, ".")
	for _, host := range strings.Fields(hosts) {
		spec.Hosts = append(spec.Hosts, cluster.HostRule{Name: host})
	}
	for _, text := range strings.Fields(external) {
		spec.External = append(spec.External, cluster.ParseExternal(text))
	}
	b.w.PutHosts(spec)
}

func newHostsBed(t testing.TB, corefile string) *bed {
	b := newBed(t, corefile)
	b.leads("one.shop", "www.example.org deep.a.b.example.org", "198.51.100.1 2001:db8:1::1 lb.example.net")
	b.leads("two.shop", "www.example.org", "198.51.100.2 198.51.100.1")
	b.leads("wild.shop", "*.w.example.org a.w.example.org", "198.51.100.3")
	b.leads("any.shop", "*.example.org", "198.51.100.4")
	b.leads("cloud.shop", "cloud.example.org *.cloud.example.org", "lb.example.net other.example.net")
	b.leads("mixed.shop", "web.shop.example.org inside.shop.example.org", "198.51.100.5")
	b.leads("pending.shop", "pending.example.org", "")
	b.leads("apex.shop", "example.org ns1.dns.example.org", "198.51.100.6")
	b.leads("elsewhere.shop", "www.example.com", "198.51.100.7")
	b.leads("secret.hidden", "secret.w.example.org", "198.51.100.8")
	b.hosts = map[string][]string{"lb.example.net. A": {"lb.example.net. 60 IN A 203.0.113.1"}}
	return b
}

func TestNamed(t *testing.T) {
	t.Parallel()
	one := func(name, addr string) []string { return []string{name + " 5 IN A " + addr} }
	b := newHostsBed(t, withHosts+"\nkubernetes cluster.local {\n namespaces shop empty\n}")
	for _, test := range []serve{
		{name: "of two objects", question: "Www.example.org.", qtype: dns.TypeA, answer: []string{"Www.example.org. 5 IN A 198.51.100.1", "Www.example.org. 5 IN A 198.51.100.2"}},
		{name: "in the other family", question: "www.example.org.", qtype: dns.TypeAAAA, answer: []string{"www.example.org. 5 IN AAAA 2001:db8:1::1"}},
		{name: "of another type", question: "www.example.org.", qtype: dns.TypeTXT},
		{name: "without a port there is no SRV", question: "www.example.org.", qtype: dns.TypeSRV},
		{name: "an alias", question: "cloud.example.org.", qtype: dns.TypeA, answer: []string{"cloud.example.org. 5 IN CNAME lb.example.net.", "lb.example.net. 60 IN A 203.0.113.1"}},
		{name: "an alias by itself", question: "cloud.example.org.", qtype: dns.TypeCNAME, answer: []string{"cloud.example.org. 5 IN CNAME lb.example.net."}},
		{name: "an alias has no other type", question: "cloud.example.org.", qtype: dns.TypeMX, answer: []string{"cloud.example.org. 5 IN CNAME lb.example.net."}},
		{name: "an alias by a wildcard", question: "x.cloud.example.org.", qtype: dns.TypeA, answer: []string{"lb.example.net. 60 IN A 203.0.113.1", "x.cloud.example.org. 5 IN CNAME lb.example.net."}},
		{name: "a wildcard", question: "any.example.org.", qtype: dns.TypeA, answer: one("any.example.org.", "198.51.100.4")},
		{name: "a wildcard for several labels", question: "x.y.z.example.org.", qtype: dns.TypeA, answer: one("x.y.z.example.org.", "198.51.100.4")},
		{name: "a wildcard has no other type either", question: "any.example.org.", qtype: dns.TypeTXT},
		{name: "the wildcard's own name", question: "*.w.example.org.", qtype: dns.TypeA, answer: one("*.w.example.org.", "198.51.100.3")},
		{name: "the closest wildcard", question: "b.w.example.org.", qtype: dns.TypeA, answer: one("b.w.example.org.", "198.51.100.3")},
		{name: "a name of its own", question: "a.w.example.org.", qtype: dns.TypeA, answer: one("a.w.example.org.", "198.51.100.3")},
		{name: "nothing below a name of its own", question: "x.a.w.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "there for the names below", question: "w.example.org.", qtype: dns.TypeA},
		{name: "there for a name far below", question: "b.example.org.", qtype: dns.TypeA},
		{name: "no wildcard covers what is beside it", question: "x.b.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "without an address yet", question: "pending.example.org.", qtype: dns.TypeA},
		{name: "a service comes first", question: "web.shop.example.org.", qtype: dns.TypeA, answer: []string{"web.shop.example.org. 5 IN A 192.0.2.1", "web.shop.example.org. 5 IN A 192.0.2.2"}},
		{name: "a service without addresses does not", question: "inside.shop.example.org.", qtype: dns.TypeA, answer: one("inside.shop.example.org.", "198.51.100.5")},
		{name: "no wildcard covers names in a namespace", question: "nobody.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "but the namespace's own", question: "empty.example.org.", qtype: dns.TypeA, answer: one("empty.example.org.", "198.51.100.4")},
		{name: "unless there are hosts below it", question: "shop.example.org.", qtype: dns.TypeA},
		{name: "the zone itself", question: "example.org.", qtype: dns.TypeA, answer: one("example.org.", "198.51.100.6")},
		{name: "a hidden object", question: "secret.w.example.org.", qtype: dns.TypeA, answer: one("secret.w.example.org.", "198.51.100.3")},
		{name: "the name server's", question: "ns1.dns.example.org.", qtype: dns.TypeA, answer: one("ns1.dns.example.org.", "192.168.0.10")},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
	for _, test := range []serve{
		{name: "not without the option", corefile: "k8s_external example.org", question: "www.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "nor at the zone itself", corefile: "k8s_external example.org", question: "example.org.", qtype: dns.TypeA},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newHostsBed(t, test.corefile)) })
	}
}

// What a transfer lists is what is answered: each name's records are those of its own questions.
func TestNamedTransfer(t *testing.T) {
	t.Parallel()
	b := newHostsBed(t, withHosts)
	zone, err := wire.ParseName("example.org")
	if err != nil {
		t.Fatal(err)
	}
	c, ok, err := b.Contents(zone)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	var got []string
	for rr := range c.Records {
		if text := rr.String(); strings.Contains(text, "198.51.100.") || strings.Contains(text, "2001:db8:1:") || rr.Header().Rrtype == dns.TypeCNAME && strings.Contains(text, "cloud.example") {
			got = append(got, strings.Join(strings.Fields(text), " "))
		}
	}
	slices.Sort(got)
	want := []string{
		"*.cloud.example.org. 5 IN CNAME lb.example.net.", "*.example.org. 5 IN A 198.51.100.4", "*.w.example.org. 5 IN A 198.51.100.3", "a.w.example.org. 5 IN A 198.51.100.3",
		"cloud.example.org. 5 IN CNAME lb.example.net.", "deep.a.b.example.org. 5 IN A 198.51.100.1", "deep.a.b.example.org. 5 IN AAAA 2001:db8:1::1",
		"example.org. 5 IN A 198.51.100.6", "inside.shop.example.org. 5 IN A 198.51.100.5", "secret.w.example.org. 5 IN A 198.51.100.8",
		"www.example.org. 5 IN A 198.51.100.1", "www.example.org. 5 IN A 198.51.100.2", "www.example.org. 5 IN AAAA 2001:db8:1::1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Only the kinds that the Corefile names are followed.
func TestNamedNeeds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		corefile           string
		ingresses, gateway bool
	}{
		{corefile: "k8s_external example.org"},
		{corefile: "k8s_external example.org {\n hosts ingress\n}", ingresses: true},
		{corefile: "k8s_external example.org {\n hosts gateway ingress\n}", ingresses: true, gateway: true},
	}
	for _, test := range tests {
		env := block.NewEnv(t.Output())
		if _, err := Spec().Build(env, block.Lines(t, ". {\n"+test.corefile+"\n}", "k8s_external")); err != nil {
			t.Fatal(err)
		}
		var needs cluster.Needs
		pool := cluster.NewPool(func(_ cluster.Origin, n cluster.Needs, _ cluster.Telemetry) (cluster.Source, error) {
			needs = n
			return idle{}, nil
		}, env.Log)
		h, err := kubernetes.Spec(pool).Build(env, block.Lines(t, ". {\n kubernetes cluster.local\n}", "kubernetes"))
		if err != nil {
			t.Fatal(err)
		}
		defer h.(*kubernetes.Kubernetes).Close()
		if needs.Ingresses != test.ingresses || needs.Gateways != test.gateway {
			t.Errorf("%s: needs %+v", test.corefile, needs)
		}
	}
}
