package kubernetes

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

var _ plugin.Searcher = (*Kubernetes)(nil)

func TestSearchPath(t *testing.T) {
	t.Parallel()
	inDefault := []string{"default.svc.cluster.local.", "svc.cluster.local.", "cluster.local.", "node.example.", "."}
	inShop := []string{"shop.svc.cluster.local.", "svc.cluster.local.", "cluster.local.", "node.example.", "."}
	const insecure, verified = "kubernetes cluster.local in-addr.arpa", "kubernetes cluster.local in-addr.arpa {\n pods verified\n}"
	for _, test := range []struct {
		name     string
		corefile string
		client   string // a pod of default where it is empty
		ask      string
		want     []string
	}{
		{name: "an outside name", corefile: insecure, ask: "www.example.com.default.svc.cluster.local.", want: inDefault},
		{name: "in upper case", corefile: insecure, ask: "WWW.EXAMPLE.COM.DEFAULT.SVC.CLUSTER.LOCAL.", want: inDefault},
		{name: "another namespace's service", corefile: insecure, ask: "web.shop.default.svc.cluster.local.", want: inDefault},
		{name: "whoever asks", corefile: insecure, client: "192.0.2.9", ask: "www.example.com.shop.svc.cluster.local.", want: inShop},
		{name: "no dot in front of the namespace", corefile: insecure, ask: "www.default.svc.cluster.local."},
		{name: "no such namespace", corefile: insecure, ask: "www.example.com.nowhere.svc.cluster.local."},
		{name: "a namespace that is not shown", corefile: "kubernetes cluster.local {\n namespaces default\n}", ask: "www.example.com.shop.svc.cluster.local."},
		{name: "below a service", corefile: insecure, ask: "a.b.web.shop.svc.cluster.local."},
		{name: "the same label elsewhere", corefile: insecure, ask: "a.b.web.default.svc.cluster.local.", want: inDefault},
		{name: "not below svc", corefile: insecure, ask: "www.example.com.default.pod.cluster.local."},
		{name: "the second entry", corefile: insecure, ask: "www.example.com.svc.cluster.local."},
		{name: "outside the zones", corefile: insecure, ask: "www.example.com."},
		{name: "a reverse zone", corefile: insecure, ask: "1.0.0.10.in-addr.arpa."},
		{name: "verified", corefile: verified, ask: "www.example.com.default.svc.cluster.local.", want: inDefault},
		{name: "verified, one label", corefile: verified, ask: "www.default.svc.cluster.local.", want: inDefault},
		{name: "verified, below a service", corefile: verified, client: "10.244.0.8", ask: "a.b.web.shop.svc.cluster.local.", want: inShop},
		{name: "verified, IPv6", corefile: verified, client: "fd00::8", ask: "www.shop.svc.cluster.local.", want: inShop},
		{name: "verified, another pod's namespace", corefile: verified, ask: "www.example.com.shop.svc.cluster.local."},
		{name: "verified, no pod", corefile: verified, client: "192.0.2.9", ask: "www.example.com.default.svc.cluster.local."},
		{name: "verified, the first entry itself", corefile: verified, ask: "default.svc.cluster.local."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := searchBed(t, test.corefile)
			x := block.NewExchange(t, test.ask, dns.TypeA)
			x.Client = netip.MustParseAddrPort("10.244.0.7:4000")
			if test.client != "" {
				x.Client = netip.AddrPortFrom(netip.MustParseAddr(test.client), 4000)
			}
			for range 2 { // made, and kept
				if diff := cmp.Diff(test.want, spelled(b.SearchPath(x))); diff != "" {
					t.Errorf("search list (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func searchBed(t testing.TB, corefile string) *bed {
	t.Helper()
	b := newBed(t, corefile, func(s *script) {
		s.namespaces("default", "shop")
		s.clusterIP("web.shop", "10.96.0.1", "http/tcp/80")
		s.pod("a.default", "10.244.0.7")
		s.pod("b.shop", "10.244.0.8 fd00::8")
	})
	b.paths.node = []wire.Name{"\x04node\x07example\x00"}
	return b
}

func spelled(path []wire.Name) (texts []string) {
	for _, name := range path {
		texts = append(texts, name.String())
	}
	return texts
}

// Every query of a zone passes by here where autopath stands in its block.
func TestSearchPathAllocatesNothing(t *testing.T) {
	b := searchBed(t, "kubernetes cluster.local {\n pods verified\n}")
	x := block.NewExchange(t, "www.example.com.default.svc.cluster.local.", dns.TypeA)
	x.Client = netip.MustParseAddrPort("10.244.0.7:4000")
	if n := testing.AllocsPerRun(100, func() {
		if b.SearchPath(x) == nil {
			t.Fatal("no search list")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestNodeDomains(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("search Corp.example bad..name lan.\nnameserver 192.0.2.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"corp.example.", "lan."}
	if diff := cmp.Diff(want, spelled(nodeDomains(file))); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	if got := nodeDomains(file + ".gone"); got != nil {
		t.Errorf("domains of no file: %v, want none", got)
	}
}

// A pod whose address went to another namespace is found there: coredns#2842.
func TestSearchPathFollowsPods(t *testing.T) {
	t.Parallel()
	b := searchBed(t, "kubernetes cluster.local {\n pods verified\n}")
	b.w.DeletePod("default", "a")
	b.w.PutPod(&cluster.PodSpec{Namespace: "shop", Name: "c", Addrs: []cluster.Addr{cluster.AddrFrom(netip.MustParseAddr("10.244.0.7"))}})
	x := block.NewExchange(t, "www.example.com.shop.svc.cluster.local.", dns.TypeA)
	x.Client = netip.MustParseAddrPort("10.244.0.7:4000")
	if b.SearchPath(x) == nil {
		t.Error("no search list, want that of the namespace shop")
	}
}
