package kubernetes

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

const setCorefile = "kubernetes cluster.local clusterset.local in-addr.arpa {\n multicluster clusterset.local\n pods insecure\n zonal\n}"

// imported puts an imported service as clusterIP and headless do for one of the cluster.
func (s *script) imported(name string, kind cluster.ServiceType, ips string, ports ...string) {
	spec := cluster.ServiceSpec{Type: kind, ClusterIPs: s.addrs(ips), Ports: s.ports(ports)}
	spec.Name, spec.Namespace, _ = strings.Cut(name, ".")
	s.w.PutImport(&spec)
}

// importedSlice puts one with the endpoints of a cluster.
func (s *script) importedSlice(name, from, ports string, endpoints ...string) {
	spec := cluster.SliceSpec{Name: name + "-" + from, Cluster: from, Ports: s.ports(strings.Fields(ports))}
	spec.Import, spec.Namespace, _ = strings.Cut(name, ".")
	for _, text := range endpoints {
		addr, host, _ := strings.Cut(text, "=")
		spec.Endpoints = append(spec.Endpoints, cluster.EndpointSpec{Addr: s.addr(addr), Name: host, Zone: "z"})
	}
	s.w.PutSlice(&spec)
}

func fillSet(s *script) {
	s.namespaces("n", "empty")
	s.clusterIP("local.n", "10.96.0.1", "http/tcp/80")
	s.imported("web.n", cluster.ClusterIP, "10.112.0.1 fd00::1", "http/tcp/80", "dns/udp/53")
	s.imported("db.n", cluster.Headless, "")
	s.importedSlice("db.n", "East", "pg/tcp/5432", "10.1.0.1=db-0", "10.1.0.2")
	s.importedSlice("db.n", "west", "pg/tcp/5432", "10.2.0.1=db-0", "10.1.0.2")
	s.imported("odd.n", cluster.Headless, "")
	s.importedSlice("odd.n", "", "pg/tcp/5432", "10.3.0.1=one")
	s.importedSlice("odd.n", "a.b", "pg/tcp/5432", "10.3.0.2=two")
	s.imported("web.hidden", cluster.ClusterIP, "10.112.0.9", "http/tcp/80")
}

// Names of a cluster set: the multi-cluster services DNS specification (KEP-1645, "DNS").
func TestClusterSet(t *testing.T) {
	b := newBed(t, setCorefile, fillSet)
	b.check(t, []row{
		{why: "a service by its addresses", ask: "web.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.112.0.1"}},
		{why: "in the other family", ask: "web.n.svc.clusterset.local. AAAA", want: []string{"@ 5 AAAA fd00::1"}},
		{why: "its ports", ask: "_dns._udp.web.n.svc.clusterset.local. SRV", want: []string{
			"@ 5 SRV 0 50 53 web.n.svc.clusterset.local.", "+ web.n.svc.clusterset.local. 5 A 10.112.0.1", "+ web.n.svc.clusterset.local. 5 AAAA fd00::1"}},
		{why: "endpoints of all clusters", ask: "db.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.1.0.1", "@ 5 A 10.1.0.2", "@ 5 A 10.2.0.1"}},
		{why: "an endpoint of one cluster", ask: "db-0.west.db.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.2.0.1"}},
		{why: "in capitals", ask: "DB-0.EAST.db.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.1.0.1"}},
		{why: "an endpoint by its address", ask: "10-1-0-2.west.db.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.1.0.2"}},
		{why: "an endpoint without a cluster", ask: "db-0.db.n.svc.clusterset.local. A", want: []string{"NXDOMAIN"}},
		{why: "of another cluster", ask: "db-0.north.db.n.svc.clusterset.local. A", want: []string{"NXDOMAIN"}},
		{why: "targets with their clusters", ask: "_pg._tcp.db.n.svc.clusterset.local. SRV", want: []string{
			"@ 5 SRV 0 25 5432 10-1-0-2.east.db.n.svc.clusterset.local.", "@ 5 SRV 0 25 5432 10-1-0-2.west.db.n.svc.clusterset.local.",
			"@ 5 SRV 0 25 5432 db-0.east.db.n.svc.clusterset.local.", "@ 5 SRV 0 25 5432 db-0.west.db.n.svc.clusterset.local.",
			"+ 10-1-0-2.east.db.n.svc.clusterset.local. 5 A 10.1.0.2", "+ 10-1-0-2.west.db.n.svc.clusterset.local. 5 A 10.1.0.2",
			"+ db-0.east.db.n.svc.clusterset.local. 5 A 10.1.0.1", "+ db-0.west.db.n.svc.clusterset.local. 5 A 10.2.0.1"}},
		{why: "clusters without a label of theirs have no targets", ask: "odd.n.svc.clusterset.local. SRV", want: []string{"NODATA"}},
		{why: "but addresses", ask: "odd.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.3.0.1", "@ 5 A 10.3.0.2"}},
		{why: "a port needs an underscore there", ask: "pg.tcp.db.n.svc.clusterset.local. A", want: []string{"NXDOMAIN"}},
		{why: "zonal names are not for cluster sets", ask: "z.pin._zone.db.n.svc.clusterset.local. A", want: []string{"NXDOMAIN"}},
		{why: "a service that is not shared", ask: "local.n.svc.clusterset.local. A", want: []string{"NXDOMAIN"}},
		{why: "a shared one is none of this cluster", ask: "db.n.svc.cluster.local. TXT", want: []string{"NXDOMAIN"}},
		{why: "a namespace that this cluster has not", ask: "web.hidden.svc.clusterset.local. A", want: []string{"NXDOMAIN"}},
		{why: "a namespace", ask: "empty.svc.clusterset.local. A", want: []string{"NODATA"}},
		{why: "a pod", ask: "10-1-2-3.n.pod.clusterset.local. A", want: []string{"@ 5 A 10.1.2.3"}},
		{why: "the version", ask: "dns-version.clusterset.local. TXT", want: []string{"@ 28800 TXT \"1.1.0\""}},
		{why: "no reverse name", ask: "1.0.112.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
	})
}

func TestClusterSetNeeds(t *testing.T) {
	tests := []struct {
		corefile string
		want     bool
	}{
		{corefile: "kubernetes cluster.local clusterset.local {\n multicluster clusterset.local\n}", want: true},
		{corefile: "kubernetes set.local a.set.local {\n multicluster set.local\n}", want: true},
		{corefile: "kubernetes cluster.local {\n multicluster\n}"},
		{corefile: "kubernetes cluster.local"},
	}
	for _, test := range tests {
		b := newUnsynced(t, test.corefile)
		if have := b.needs().Imports; have != test.want {
			t.Errorf("%s: imports are needed: %v, want %v", test.corefile, have, test.want)
		}
	}
}

// A part of a cluster set's zone is one, too, as in CoreDNS.
func TestClusterSetBelow(t *testing.T) {
	b := newBed(t, "kubernetes set.local a.set.local {\n multicluster set.local\n noendpoints\n}", fillSet)
	b.check(t, []row{
		{why: "in the zone below", ask: "web.n.svc.a.set.local. A", want: []string{"@ 5 A 10.112.0.1"}},
		{why: "noendpoints is about this cluster's", ask: "db-0.east.db.n.svc.set.local. A", want: []string{"@ 5 A 10.1.0.1"}},
	})
}

// A transfer of a cluster set's zone has the names that are answered there.
func TestClusterSetTransfer(t *testing.T) {
	b := newBed(t, setCorefile, fillSet)
	zone, err := wire.ParseName("clusterset.local")
	if err != nil {
		t.Fatal(err)
	}
	c, ok, err := b.Contents(zone)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	seen := map[string]bool{}
	for rr := range c.Records {
		seen[strings.Join(strings.Fields(rr.String()), " ")] = true
	}
	for _, want := range []string{
		"web.n.svc.clusterset.local. 5 IN A 10.112.0.1", "db.n.svc.clusterset.local. 5 IN A 10.1.0.1", "db-0.west.db.n.svc.clusterset.local. 5 IN A 10.2.0.1",
		"_pg._tcp.db.n.svc.clusterset.local. 5 IN SRV 0 25 5432 db-0.east.db.n.svc.clusterset.local.",
	} {
		if !seen[want] {
			t.Errorf("without %s", want)
		}
	}
	for record := range seen {
		if strings.Contains(record, "local.n.svc") || strings.Contains(record, "10.112.0.9") {
			t.Errorf("with %s", record)
		}
	}
}

// Names of a cluster set cost no more allocations than those of a cluster.
func TestClusterSetAllocations(t *testing.T) {
	b := newBed(t, setCorefile, fillSet)
	for _, ask := range []string{
		"web.n.svc.clusterset.local. A", "db.n.svc.clusterset.local. A", "db-0.west.db.n.svc.clusterset.local. A", "_pg._tcp.db.n.svc.clusterset.local. SRV",
		"nobody.n.svc.clusterset.local. A",
	} {
		name, qtype, _ := strings.Cut(ask, " ")
		packet := question(t, name, dns.StringToType[qtype])
		x := new(plugin.Exchange)
		if n := testing.AllocsPerRun(100, func() { serveOnce(b.Kubernetes, x, packet) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", ask, n)
		}
	}
}

// Without the right to imports nobody knows what a cluster set has, but the cluster's own names are known all the same.
func TestClusterSetUnlisted(t *testing.T) {
	b := newUnsynced(t, setCorefile)
	b.w.Expect("test", cluster.KindService, cluster.KindNamespace, cluster.KindServiceImport)
	fillSet(&script{t: t, w: b.w})
	b.w.EndList(cluster.KindService)
	b.w.EndList(cluster.KindNamespace)
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	b.check(t, []row{
		{why: "not an import, as far as is known", ask: "x.n.svc.clusterset.local. A", want: []string{"SERVFAIL"}},
		{why: "what is known already", ask: "web.n.svc.clusterset.local. A", want: []string{"@ 5 A 10.112.0.1"}},
		{why: "a name of the cluster", ask: "x.n.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
	if _, _, err := b.Contents(wire.Name("\x0aclusterset\x05local\x00")); err == nil || !strings.Contains(err.Error(), "serviceimports") {
		t.Errorf("transfer: error %v", err)
	}
}
