package kubernetes

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

var _ plugin.Provider = (*Kubernetes)(nil)

// known is all the labels that a query has, without the prefix.
func known(k *Kubernetes, x *plugin.Exchange) map[string]string {
	found := map[string]string{}
	asked := &plugin.Asked{Exchange: x, Query: x.Query}
	for _, label := range []string{
		"parse-error", "kind", "namespace", "service", "endpoint", "port-name", "protocol", "zone", "cluster",
		"client-namespace", "client-pod-name", "client-label/app", "client-label/none", "client-other", "other",
	} {
		if value, ok := k.Metadata(asked, "kubernetes/"+label); ok {
			found[label] = value
		}
	}
	return found
}

// The rows are those of CoreDNS's own test, and names that it leaves out.
func TestMetadata(t *testing.T) {
	t.Parallel()
	parts := func(kind, namespace, service, endpoint, port, protocol string) map[string]string {
		return map[string]string{
			"kind": kind, "namespace": namespace, "service": service, "endpoint": endpoint, "port-name": port, "protocol": protocol,
		}
	}
	with := func(m map[string]string, pairs ...string) map[string]string {
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	broken := func() map[string]string { return map[string]string{"parse-error": "invalid query name"} }
	const zonal = "kubernetes cluster.local {\n zonal\n}"
	const verified = "kubernetes cluster.local {\n pods verified\n}"
	for _, test := range []struct {
		name     string
		corefile string // "kubernetes cluster.local" where it is empty
		ask      string
		want     map[string]string
	}{
		{name: "neither svc nor pod", ask: "foo.bar.notapod.cluster.local.", want: broken()},
		{name: "dns-version", ask: "dns-version.cluster.local.", want: broken()},
		{name: "a pod", ask: "10-240-0-1.podns.pod.cluster.local.", want: parts("pod", "podns", "10-240-0-1", "", "", "")},
		{name: "a service", ask: "S.ns.svc.Cluster.local.", want: parts("svc", "ns", "s", "", "", "")},
		{name: "a port", ask: "_http._tcp.s.ns.svc.cluster.local.", want: parts("svc", "ns", "s", "", "http", "tcp")},
		{name: "a port without underscores", ask: "http.tcp.s.ns.svc.cluster.local.", want: parts("svc", "ns", "s", "", "http", "tcp")},
		{name: "an endpoint", ask: "ep.s.ns.svc.cluster.local.", want: parts("svc", "ns", "s", "ep", "", "")},
		{name: "a namespace", ask: "ns.svc.cluster.local.", want: parts("svc", "ns", "", "", "", "")},
		{name: "svc itself", ask: "svc.cluster.local.", want: parts("", "", "", "", "", "")},
		{name: "the zone", ask: "cluster.local.", want: parts("", "", "", "", "", "")},
		{name: "too long", ask: "a.b.c.s.ns.svc.cluster.local.", want: broken()},
		{name: "zonal without the option", ask: "z1.pin._zone.s.ns.svc.cluster.local.", want: broken()},
		{name: "zonal", corefile: zonal, ask: "a.z1.prefer._zone.s.ns.svc.cluster.local.", want: with(parts("svc", "ns", "s", "", "", ""), "zone", "a.z1")},
		{name: "zonal, another word", corefile: zonal, ask: "z1.near._zone.s.ns.svc.cluster.local.", want: broken()},
		{name: "zonal, a pod", corefile: zonal, ask: "z1.pin._zone.s.ns.pod.cluster.local.", want: broken()},
		{name: "zonal, no zone asked for", corefile: zonal, ask: "s.ns.svc.cluster.local.", want: with(parts("svc", "ns", "s", "", "", ""), "zone", "")},
		{name: "outside the zones", ask: "example.com.", want: map[string]string{}},
		{
			name: "outside the zones, from a pod", corefile: verified, ask: "example.com.",
			want: map[string]string{"client-namespace": "podns", "client-pod-name": "foo", "client-label/app": "web"},
		},
		{
			name: "from a pod", corefile: verified, ask: "s.ns.svc.cluster.local.",
			want: with(parts("svc", "ns", "s", "", "", ""), "client-namespace", "podns", "client-pod-name", "foo", "client-label/app", "web"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			corefile := test.corefile
			if corefile == "" {
				corefile = "kubernetes cluster.local"
			}
			b := newBed(t, corefile, func(s *script) {
				s.w.PutPod(&cluster.PodSpec{
					Namespace: "podns", Name: "foo", Addrs: []cluster.Addr{s.addr("10.244.0.7")}, Labels: map[string]string{"app": "web"},
				})
			})
			x := block.NewExchange(t, test.ask, dns.TypeA)
			x.Client = netip.MustParseAddrPort("10.244.0.7:4000")
			if diff := cmp.Diff(test.want, known(b.Kubernetes, x)); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			if _, ok := b.Metadata(&plugin.Asked{Exchange: x, Query: x.Query}, "other/kind"); ok {
				t.Error("another directive's label has a value")
			}
		})
	}
}

// Labels take memory, so that they are watched only where somebody can read them.
func TestNeedsOfMetadata(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		pods     string
		metadata bool
		want     bool
	}{
		{name: "verified", pods: podsVerified},
		{name: "verified, and read", pods: podsVerified, metadata: true, want: true},
		{name: "no pods", pods: podsInsecure, metadata: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := options{pods: test.pods, metadata: test.metadata}
			if got := o.needs().PodLabels; got != test.want {
				t.Errorf("PodLabels is %v, want %v", got, test.want)
			}
		})
	}
}
