package kubernetes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const plainCorefile = "kubernetes cluster.local"

// fillShop has a service of every kind.
func fillShop(s *script) {
	s.namespaces("shop", "ops", "empty")
	s.clusterIP("web.shop", "10.96.0.1", "http/tcp/80", "https/tcp/443")
	s.slice("web-1.web.shop", "http/tcp/8080 https/tcp/8443", "10.244.0.1", "10.244.0.2=web-b")
	s.clusterIP("idle.shop", "10.96.0.2", "http/tcp/80")
	s.clusterIP("six.shop", "fd00:96::6", "http/tcp/80")
	s.clusterIP("both.shop", "10.96.0.3 fd00:96::3", "http/tcp/80")
	s.clusterIP("portless.shop", "10.96.0.4")
	s.clusterIP("unset.shop", "", "http/tcp/80")
	s.clusterIP("dns.ops", "10.96.0.10", "dns/udp/53", "dns-tcp/tcp/53", "metrics/tcp/9153")
	s.clusterIP("nameless.ops", "10.96.0.11", "/tcp/80")
	s.clusterIP("sctp.ops", "10.96.0.12", "diameter/sctp/3868")

	s.headless("db.shop")
	s.slice("db-1.db.shop", "sql/tcp/5432", "10.244.1.1=db-0", "10.244.1.2=db-1")
	s.headless("mix.shop")
	s.slice("mix-4.mix.shop", "http/tcp/80", "10.244.2.1", "10.244.2.2", "10.244.2.3=twin", "10.244.2.4=twin")
	s.slice("mix-6.mix.shop", "http/tcp/80", "fd00:244::1", "fd00:244:1::")
	s.headless("bare.shop")
	s.slice("bare-1.bare.shop", "", "10.244.3.1")
	s.headless("none.shop")
	s.external("away.shop", "www.example.org")
}

// The form of names is that of the Kubernetes DNS specification 1.1.0, sections 2.3 to 2.5.
func TestServiceAddresses(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.check(t, []row{
		{why: "2.3.1: the virtual IP", ask: "web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "endpoints don't matter to a virtual IP", ask: "idle.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.2"}},
		{why: "IPv4 only, AAAA", ask: "web.shop.svc.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "IPv6 only", ask: "six.shop.svc.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:96::6"}},
		{why: "IPv6 only, A", ask: "six.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "dual stack, A", ask: "both.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.3"}},
		{why: "dual stack, AAAA", ask: "both.shop.svc.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:96::3"}},
		{why: "no ports", ask: "portless.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.4"}},
		{why: "no virtual IP given yet", ask: "unset.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "2.4.1: all ready endpoints", ask: "db.shop.svc.cluster.local. A",
			want: []string{"@ 5 A 10.244.1.1", "@ 5 A 10.244.1.2"}},
		{why: "headless, over slices, IPv4", ask: "mix.shop.svc.cluster.local. A",
			want: []string{"@ 5 A 10.244.2.1", "@ 5 A 10.244.2.2", "@ 5 A 10.244.2.3", "@ 5 A 10.244.2.4"}},
		{why: "headless, over slices, IPv6", ask: "mix.shop.svc.cluster.local. AAAA",
			want: []string{"@ 5 AAAA fd00:244:1::", "@ 5 AAAA fd00:244::1"}},
		{why: "headless without ports", ask: "bare.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.3.1"}},
		{why: "headless of the other family", ask: "db.shop.svc.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "headless without a ready endpoint", ask: "none.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a service of another namespace", ask: "dns.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no such service", ask: "nobody.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no such service, AAAA", ask: "nobody.shop.svc.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "no such namespace", ask: "web.nowhere.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no wildcards", ask: "*.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no wildcard words", ask: "any.any.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "another zone", ask: "web.shop.svc.cluster.example. A", want: []string{"NEXT"}},
		{why: "a zone's name as the end of a label", ask: "web.shop.svc.xcluster.local. A", want: []string{"NEXT"}},
	})
}

func TestEndpointNames(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.check(t, []row{
		{why: "2.4.1: a hostname", ask: "db-1.db.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.2"}},
		{why: "a hostname, other family", ask: "db-1.db.shop.svc.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "with a hostname the address is no name", ask: "10-244-1-1.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "2.4.1: without a hostname, the address with dashes", ask: "10-244-2-1.mix.shop.svc.cluster.local. A",
			want: []string{"@ 5 A 10.244.2.1"}},
		{why: "an IPv6 address with dashes", ask: "fd00-244--1.mix.shop.svc.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:244::1"}},
		{why: "no label ends in a dash", ask: "fd00-244-1--0.mix.shop.svc.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:244:1::"}},
		{why: "nor is it found by such a label", ask: "fd00-244-1--.mix.shop.svc.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "the address in no other spelling", ask: "fd00-0244--1.mix.shop.svc.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "a hostname that two share", ask: "twin.mix.shop.svc.cluster.local. A",
			want: []string{"@ 5 A 10.244.2.3", "@ 5 A 10.244.2.4"}},
		{why: "without ports", ask: "10-244-3-1.bare.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.3.1"}},
		{why: "of a service with a virtual IP", ask: "10-244-0-1.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.0.1"}},
		{why: "of a service with a virtual IP, by hostname", ask: "web-b.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.0.2"}},
		{why: "an address of nobody", ask: "10-244-9-9.mix.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "an address of another service", ask: "10-244-3-1.mix.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a hostname of nobody", ask: "db-7.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "below a service that is not there", ask: "db-0.nobody.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a virtual IP is no endpoint", ask: "10-96-0-2.idle.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "other types exist too", ask: "db-0.db.shop.svc.cluster.local. TXT", want: []string{"NODATA"}},
	})
}

func TestPortNames(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.check(t, []row{
		{why: "a port narrows down every type", ask: "_http._tcp.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "underscores may be missing", ask: "http.tcp.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "one underscore may be missing", ask: "_http.tcp.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "nothing behind an underscore is any", ask: "_._tcp.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "any protocol", ask: "_http._.web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "wrong protocol", ask: "_http._udp.web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no such protocol", ask: "_http._quic.web.shop.svc.cluster.local. SRV", want: []string{"NXDOMAIN"}},
		{why: "no such port", ask: "_gopher._tcp.web.shop.svc.cluster.local. SRV", want: []string{"NXDOMAIN"}},
		{why: "ports by number are no names", ask: "_80._tcp.web.shop.svc.cluster.local. SRV", want: []string{"NXDOMAIN"}},
		{why: "SCTP", ask: "_diameter._sctp.sctp.ops.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.12"}},
		{why: "a port of a service without ports", ask: "_http._tcp.portless.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a protocol of a service without ports", ask: "_._tcp.portless.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "headless", ask: "_sql._tcp.db.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.1", "@ 5 A 10.244.1.2"}},
		{why: "headless, wrong protocol", ask: "_sql._udp.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "headless without ports", ask: "_http._tcp.bare.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "an endpoint's port would be three labels", ask: "_sql._tcp.db-0.db.shop.svc.cluster.local. SRV", want: []string{"NXDOMAIN"}},
		{why: "three labels", ask: "a.b.c.web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "ten labels", ask: "a.b.c.d.e.f.g.h.i.j.web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a search path's leftovers", ask: "www.example.com.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
}

func TestTypesWithoutRecords(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	var rows []row
	for _, qtype := range []string{"TXT", "MX", "CNAME", "NS", "SOA", "PTR", "ANY", "HTTPS", "SVCB", "HINFO", "NAPTR", "DS"} {
		rows = append(rows,
			row{why: "a service's " + qtype, ask: "web.shop.svc.cluster.local. " + qtype, want: []string{"NODATA"}},
			row{why: "a headless service's " + qtype, ask: "db.shop.svc.cluster.local. " + qtype, want: []string{"NODATA"}},
			row{why: "a missing service's " + qtype, ask: "nobody.shop.svc.cluster.local. " + qtype, want: []string{"NXDOMAIN"}},
			row{why: "a missing namespace's " + qtype, ask: "web.nowhere.svc.cluster.local. " + qtype, want: []string{"NXDOMAIN"}},
		)
	}
	for _, qtype := range []string{"AXFR", "IXFR"} {
		rows = append(rows, row{why: "transfers belong to another directive: " + qtype, ask: "cluster.local. " + qtype, want: []string{"REFUSED no AA"}})
	}
	b.check(t, rows)
}

// The spelling of the question comes back (draft-vixie-dnsext-dns0x20): "@" is the name to the letter.
func TestCaseEcho(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.check(t, []row{
		{why: "the owner", ask: "WeB.ShOp.sVc.ClUsTeR.lOcAl. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "the SOA's zone", ask: "nobody.shop.svc.ClUsTeR.lOcAl. A", want: []string{"NXDOMAIN"}},
		{why: "SRV targets: the zone as asked, the rest in lower case", ask: "_HtTp._TcP.wEb.ShOp.SvC.cLuStEr.LoCaL. SRV",
			want: []string{"@ 5 SRV 0 100 80 web.shop.svc.cLuStEr.LoCaL.", "+ web.shop.svc.cLuStEr.LoCaL. 5 A 10.96.0.1"}},
		{why: "endpoints", ask: "DB-0.DB.SHOP.SVC.CLUSTER.LOCAL. A", want: []string{"@ 5 A 10.244.1.1"}},
		{why: "endpoints by an IPv6 address", ask: "FD00-244--1.mix.shop.svc.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:244::1"}},
	})
}

func TestEndpointPodNames(t *testing.T) {
	fill := func(s *script) {
		s.namespaces("shop")
		s.headless("job.shop")
		s.slice("job-1.job.shop", "http/tcp/80", "10.244.1.1~job-abc", "10.244.1.2=named", "10.244.1.3")
	}
	without := newBed(t, plainCorefile, fill)
	without.check(t, []row{
		{why: "off: the pod's name is none", ask: "job-abc.job.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "off: the address is the name", ask: "10-244-1-1.job.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.1"}},
	})
	with := newBed(t, "kubernetes cluster.local {\n endpoint_pod_names\n}", fill)
	with.check(t, []row{
		{why: "on: the pod's name", ask: "job-abc.job.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.1"}},
		{why: "on: the address is no name any more", ask: "10-244-1-1.job.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "on: a hostname comes first", ask: "named.job.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.2"}},
		{why: "on: no pod", ask: "10-244-1-3.job.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.3"}},
		{why: "on: SRV targets", ask: "job.shop.svc.cluster.local. SRV", want: []string{
			"@ 5 SRV 0 33 80 10-244-1-3.job.shop.svc.cluster.local.",
			"@ 5 SRV 0 33 80 job-abc.job.shop.svc.cluster.local.",
			"@ 5 SRV 0 33 80 named.job.shop.svc.cluster.local.",
			"+ 10-244-1-3.job.shop.svc.cluster.local. 5 A 10.244.1.3",
			"+ job-abc.job.shop.svc.cluster.local. 5 A 10.244.1.1",
			"+ named.job.shop.svc.cluster.local. 5 A 10.244.1.2",
		}},
	})
}

func TestNoEndpoints(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local in-addr.arpa {\n noendpoints\n}", fillShop)
	b.check(t, []row{
		{why: "virtual IPs are answered", ask: "web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "headless services are not there", ask: "db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "nor endpoints", ask: "10-244-0-1.web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "nor their reverse names", ask: "1.1.244.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "those of virtual IPs are", ask: "1.0.96.10.in-addr.arpa. PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
	})
}

func TestIgnoreEmptyService(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local in-addr.arpa {\n ignore empty_service\n}", fillShop)
	b.check(t, []row{
		{why: "no ready endpoint", ask: "idle.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no ready endpoint, SRV", ask: "_http._tcp.idle.shop.svc.cluster.local. SRV", want: []string{"NXDOMAIN"}},
		{why: "no ready endpoint, no such type", ask: "idle.shop.svc.cluster.local. TXT", want: []string{"NXDOMAIN"}},
		{why: "endpoints", ask: "web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "ExternalName has none and stays", ask: "away.shop.svc.cluster.local. CNAME", want: []string{"@ 5 CNAME www.example.org."}},
		{why: "headless stays as it is", ask: "none.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "the reverse name stays", ask: "2.0.96.10.in-addr.arpa. PTR", want: []string{"@ 5 PTR idle.shop.svc.cluster.local."}},
	})
	both := newBed(t, "kubernetes cluster.local {\n ignore empty_service\n noendpoints\n}", fillShop)
	both.check(t, []row{
		{why: "without endpoints every service is empty", ask: "web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
}

func TestNamespaces(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local in-addr.arpa {\n namespaces shop missing\n}", fillShop)
	b.check(t, []row{
		{why: "one that is shown", ask: "web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "one that is hidden", ask: "dns.ops.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "one that is hidden, its own name", ask: "ops.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "one that does not exist", ask: "web.missing.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "the reverse name of a hidden one", ask: "10.0.96.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "the reverse name of one that is shown", ask: "1.0.96.10.in-addr.arpa. PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
	})
	odd := newBed(t, "kubernetes cluster.local {\n namespaces Shop\n}", fillShop)
	odd.check(t, []row{
		{why: "names of namespaces are in lower case", ask: "web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
}

func TestZonalNames(t *testing.T) {
	fill := func(s *script) {
		s.namespaces("shop")
		s.headless("db.shop")
		s.slice("db-1.db.shop", "sql/tcp/5432",
			"10.244.1.1@Europe-West1-b", "10.244.1.2@europe-west1-c", "10.244.1.3@europe-west1-c", "10.244.1.4@rack.row.hall", "10.244.1.5@rack-row-hall", "10.244.1.6")
		s.headless("none.shop")
		s.clusterIP("web.shop", "10.96.0.1", "http/tcp/80")
		s.slice("web-1.web.shop", "http/tcp/80", "10.244.1.1@europe-west1-b")
		s.external("away.shop", "www.example.org")
	}
	all := []string{"@ 5 A 10.244.1.1", "@ 5 A 10.244.1.2", "@ 5 A 10.244.1.3", "@ 5 A 10.244.1.4", "@ 5 A 10.244.1.5", "@ 5 A 10.244.1.6"}
	b := newBed(t, "kubernetes cluster.local {\n zonal\n}", fill)
	b.check(t, []row{
		{why: "pin", ask: "europe-west1-c.pin._zone.db.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.2", "@ 5 A 10.244.1.3"}},
		{why: "pin, in any spelling", ask: "EUROPE-west1-B.PIN._ZONE.db.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.1"}},
		{why: "pin, a zone of several labels", ask: "rack.row.hall.pin._zone.db.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.4"}},
		{why: "pin, part of a zone", ask: "row.hall.pin._zone.db.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "pin, a zone without endpoints", ask: "mars.pin._zone.db.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "pin, a zone without endpoints, TXT", ask: "mars.pin._zone.db.shop.svc.cluster.local. TXT", want: []string{"NODATA"}},
		{why: "pin, the other family", ask: "europe-west1-b.pin._zone.db.shop.svc.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "pin, no endpoint at all", ask: "mars.pin._zone.none.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "pin, SRV: weights within the zone", ask: "europe-west1-c.pin._zone.db.shop.svc.cluster.local. SRV", want: []string{
			"@ 5 SRV 0 50 5432 10-244-1-2.db.shop.svc.cluster.local.", "@ 5 SRV 0 50 5432 10-244-1-3.db.shop.svc.cluster.local.",
			"+ 10-244-1-2.db.shop.svc.cluster.local. 5 A 10.244.1.2", "+ 10-244-1-3.db.shop.svc.cluster.local. 5 A 10.244.1.3"}},
		{why: "prefer, a zone with endpoints", ask: "europe-west1-b.prefer._zone.db.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.244.1.1"}},
		{why: "prefer, a zone without endpoints: all", ask: "mars.prefer._zone.db.shop.svc.cluster.local. A", want: all},
		{why: "prefer, a zone without endpoints: not for another type", ask: "mars.prefer._zone.db.shop.svc.cluster.local. TXT", want: []string{"NODATA"}},
		{why: "prefer, no endpoint at all", ask: "mars.prefer._zone.none.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "another directive", ask: "mars.near._zone.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "another anchor", ask: "mars.pin._zones.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no zone: two labels are a port", ask: "pin._zone.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a virtual IP has no zone", ask: "europe-west1-b.pin._zone.web.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "nor has an ExternalName", ask: "mars.pin._zone.away.shop.svc.cluster.local. CNAME", want: []string{"NXDOMAIN"}},
		{why: "no such service", ask: "mars.pin._zone.nobody.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "not for pods", ask: "mars.pin._zone.10-244-1-1.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "ordinary names stay", ask: "db.shop.svc.cluster.local. A", want: all},
	})
	off := newBed(t, plainCorefile, fill)
	off.check(t, []row{
		{why: "off", ask: "europe-west1-b.pin._zone.db.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
}

// TestChange: a new service is visible at once, a deleted one gone, since nothing is kept beside the store.
func TestChange(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	s := &script{t: t, w: b.w}
	const ask = "fresh.shop.svc.cluster.local. A"
	for _, step := range []struct {
		why    string
		change func()
		want   []string
	}{
		{why: "before", change: func() {}, want: []string{"NXDOMAIN"}},
		{why: "created", change: func() { s.clusterIP("fresh.shop", "10.96.9.9", "http/tcp/80") }, want: []string{"@ 5 A 10.96.9.9"}},
		{why: "made headless", change: func() { s.headless("fresh.shop") }, want: []string{"NXDOMAIN"}},
		{why: "an endpoint", change: func() { s.slice("f.fresh.shop", "http/tcp/80", "10.244.9.9") }, want: []string{"@ 5 A 10.244.9.9"}},
		{why: "the namespace goes first", change: func() { b.w.DeleteNamespace("shop") }, want: []string{"NXDOMAIN"}},
		{why: "and comes back", change: func() { s.namespaces("shop") }, want: []string{"@ 5 A 10.244.9.9"}},
		{why: "deleted", change: func() { b.w.DeleteService("shop", "fresh") }, want: []string{"NXDOMAIN"}},
	} {
		step.change()
		if diff := cmp.Diff(step.want, b.ask(t, nil, ask)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.why, diff)
		}
	}
}
