package kubernetes

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const reverseCorefile = "kubernetes cluster.local 10.0.0.0/8 fd00::/8"

func fillReverse(s *script) {
	s.namespaces("shop", "ops")
	s.clusterIP("web.shop", "10.96.0.1 fd00:96::1", "http/tcp/80")
	s.slice("web-1.web.shop", "http/tcp/80", "10.244.0.1=a", "fd00:244::1")
	s.headless("db.shop")
	s.slice("db-1.db.shop", "sql/tcp/5432", "10.244.0.2", "10.244.0.3=shared", "10.244.0.4=x")
	s.slice("db-2.db.shop", "sql/tcp/5433", "10.244.0.2", "10.244.0.4=y")
	s.headless("copy.ops")
	s.slice("copy-1.copy.ops", "sql/tcp/5432", "10.244.0.3=shared")
	s.slice("vip-1.copy.ops", "http/tcp/80", "10.96.0.1") // an endpoint with another service's virtual IP
	s.slice("orphan-1.gone.ops", "http/tcp/80", "10.244.0.9")
}

// reverse is the name of an address below in-addr.arpa or ip6.arpa.
func reverse(t testing.TB, addr string) string {
	t.Helper()
	name, err := dns.ReverseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Kubernetes DNS specification 1.1.0, sections 2.3.3 and 2.4.3.
func TestReverseNames(t *testing.T) {
	b := newBed(t, reverseCorefile, fillReverse)
	ptr := func(addr string) string { return reverse(t, addr) + " PTR" }
	b.check(t, []row{
		{why: "a virtual IP", ask: ptr("fd00:96::1"), want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "a virtual IP that is an endpoint too: one name", ask: ptr("10.96.0.1"), want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "an endpoint by hostname", ask: ptr("10.244.0.1"), want: []string{"@ 5 PTR a.web.shop.svc.cluster.local."}},
		{why: "an endpoint by its address", ask: ptr("fd00:244::1"), want: []string{"@ 5 PTR fd00-244--1.web.shop.svc.cluster.local."}},
		{why: "an endpoint in two slices: one name", ask: ptr("10.244.0.2"), want: []string{"@ 5 PTR 10-244-0-2.db.shop.svc.cluster.local."}},
		{why: "an endpoint of two services", ask: ptr("10.244.0.3"),
			want: []string{"@ 5 PTR shared.copy.ops.svc.cluster.local.", "@ 5 PTR shared.db.shop.svc.cluster.local."}},
		{why: "an endpoint of two hostnames", ask: ptr("10.244.0.4"),
			want: []string{"@ 5 PTR x.db.shop.svc.cluster.local.", "@ 5 PTR y.db.shop.svc.cluster.local."}},
		{why: "a slice whose service is not there", ask: ptr("10.244.0.9"), want: []string{"@ 5 PTR 10-244-0-9.gone.ops.svc.cluster.local."}},
		{why: "nobody's address", ask: ptr("10.1.2.3"), want: []string{"NXDOMAIN"}},
		{why: "an address of another block", ask: ptr("192.0.2.1"), want: []string{"NEXT"}},
		{why: "an IPv6 address of another block", ask: ptr("2001:db8::1"), want: []string{"NEXT"}},
		{why: "the spelling comes back, the target is ours", ask: strings.ToUpper(reverse(t, "fd00:96::1")) + " PTR",
			want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "part of an address", ask: "0.244.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "the zone itself", ask: "10.in-addr.arpa. PTR", want: []string{"NODATA"}},
		{why: "the zone's SOA", ask: "10.in-addr.arpa. SOA",
			want: []string{"@ 5 SOA ns.dns.10.in-addr.arpa. hostmaster.10.in-addr.arpa. 1600000000 7200 1800 86400 5"}},
		{why: "one label too many", ask: "x.1.0.96.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "no octet", ask: "256.0.96.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "no digits", ask: "one.0.96.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "a service's name below a reverse zone", ask: "web.shop.svc.10.in-addr.arpa. A", want: []string{"NXDOMAIN"}},
		{why: "a reverse name's label below the forward zone", ask: "1.0.96.10.cluster.local. PTR", want: []string{"NXDOMAIN"}},
		{why: "PTR of a name", ask: "web.shop.svc.cluster.local. PTR", want: []string{"NODATA"}},
		{why: "PTR of no name", ask: "nobody.shop.svc.cluster.local. PTR", want: []string{"NXDOMAIN"}},
	})
}

// TestReverseExtraLabels: CoreDNS reads an IPv6 reverse name by groups of four labels and overlooks up to three more on the
// left. Nobody asks for such names; that both answer alike keeps a comparison of the two simple.
func TestReverseExtraLabels(t *testing.T) {
	b := newBed(t, reverseCorefile, fillReverse)
	name := reverse(t, "fd00:96::1")
	b.check(t, []row{
		{why: "33 labels", ask: "x." + name + " PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "35 labels", ask: "x.y.z." + name + " PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "36 labels", ask: "w.x.y.z." + name + " PTR", want: []string{"NXDOMAIN"}},
		{why: "31 labels", ask: name[2:] + " PTR", want: []string{"NXDOMAIN"}},
	})
}

// A block may end within a label, and then stands for several zones; it may also be one address.
func TestReverseBlocks(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local 10.96.0.0/15 10.244.0.1/32", fillReverse)
	b.check(t, []row{
		{why: "the first zone of the block", ask: reverse(t, "10.96.0.1") + " PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "the second", ask: reverse(t, "10.97.0.1") + " PTR", want: []string{"NXDOMAIN"}},
		{why: "beyond", ask: reverse(t, "10.98.0.1") + " PTR", want: []string{"NEXT"}},
		{why: "a zone of one address", ask: reverse(t, "10.244.0.1") + " PTR", want: []string{"@ 5 PTR a.web.shop.svc.cluster.local."}},
		{why: "a zone of one address has an SOA", ask: reverse(t, "10.244.0.1") + " SOA",
			want: []string{"@ 5 SOA ns.dns.1.0.244.10.in-addr.arpa. hostmaster.1.0.244.10.in-addr.arpa. 1600000000 7200 1800 86400 5"}},
		{why: "a zone of one address, another type", ask: reverse(t, "10.244.0.1") + " A", want: []string{"NODATA"}},
	})
	b.w.DeleteSlice("shop", "web-1")
	b.check(t, []row{
		{why: "a zone of one address that is nobody's", ask: reverse(t, "10.244.0.1") + " PTR", want: []string{"NXDOMAIN"}},
	})
}

// TestPrimaryZone: reverse names point into the first zone that is not itself a reverse one.
func TestPrimaryZone(t *testing.T) {
	b := newBed(t, "kubernetes 10.0.0.0/8 first.example second.example", fillReverse)
	b.check(t, []row{
		{why: "the first", ask: reverse(t, "10.96.0.1") + " PTR", want: []string{"@ 5 PTR web.shop.svc.first.example."}},
		{why: "both are answered", ask: "web.shop.svc.second.example. A", want: []string{"@ 5 A 10.96.0.1"}},
	})
}

// A PTR target that would be longer than 255 bytes (RFC 1035, section 2.3.4) is left out.
func TestReverseTooLong(t *testing.T) {
	long, zone := strings.Repeat("s", 63), strings.Repeat("z", 60)+".example."
	fits := strings.Repeat("h", 52) // with 64+64+4 bytes for the service and 70 for the zone
	b := newBed(t, "kubernetes "+zone+" in-addr.arpa", func(s *script) {
		s.namespaces(long)
		s.headless(long + "." + long)
		s.slice("a."+long+"."+long, "http/tcp/80", "10.0.0.1="+fits, "10.0.0.2=h"+fits)
	})
	b.check(t, []row{
		{why: "255 bytes", ask: "1.0.0.10.in-addr.arpa. PTR", want: []string{"@ 5 PTR " + fits + "." + long + "." + long + ".svc." + zone}},
		{why: "256 bytes", ask: "2.0.0.10.in-addr.arpa. PTR", want: []string{"NODATA"}},
	})
}
