package kubernetes

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/test/block"
)

// The tests of this file are the deliberate differences from CoreDNS, each by its number in README.md.

// TestD1 is RFC 8020: NXDOMAIN denies everything below the name too, so a name that others lie below, or that has records
// of another type, is never answered so. CoreDNS 1.15: NXDOMAIN.
func TestD1(t *testing.T) {
	b := newBed(t, podsCorefile("insecure"), fillShop)
	var rows []row
	for _, name := range []string{"cluster.local.", "svc.cluster.local.", "pod.cluster.local.", "shop.svc.cluster.local.",
		"empty.svc.cluster.local.", "shop.pod.cluster.local.", "dns.cluster.local.", "ns.dns.cluster.local."} {
		rows = append(rows, row{why: "TXT of " + name, ask: name + " TXT", want: []string{"NODATA"}})
	}
	for _, qtype := range []string{"A", "AAAA", "SRV", "MX", "CNAME", "PTR", "NS", "SOA", "HTTPS", "ANY"} {
		rows = append(rows,
			row{why: qtype + " of dns", ask: "dns.cluster.local. " + qtype, want: []string{"NODATA"}},
			row{why: qtype + " of dns-version", ask: "dns-version.cluster.local. " + qtype, want: []string{"NODATA"}},
		)
	}
	rows = append(rows, row{why: "a service without virtual IP yet", ask: "unset.shop.svc.cluster.local. TXT", want: []string{"NODATA"}})
	b.check(t, rows)
}

// TestD2 is RFC 1034, section 4.3.2: whether a name exists does not depend on the type. CoreDNS 1.15: NODATA.
func TestD2(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local in-addr.arpa", fillShop)
	b.check(t, []row{
		{why: "no such service", ask: "nobody.shop.svc.cluster.local. SOA", want: []string{"NXDOMAIN"}},
		{why: "no such namespace", ask: "web.nowhere.svc.cluster.local. SOA", want: []string{"NXDOMAIN"}},
		{why: "no such address", ask: "1.2.0.192.in-addr.arpa. SOA", want: []string{"NXDOMAIN"}},
		{why: "neither svc nor pod", ask: "x.cluster.local. SOA", want: []string{"NXDOMAIN"}},
		{why: "a name that is there", ask: "web.shop.svc.cluster.local. SOA", want: []string{"NODATA"}},
	})
}

// TestD3 is RFC 4343: names differing in case only are the same. CoreDNS 1.15: NODATA and NXDOMAIN.
func TestD3(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.local = append(b.local, (&script{t: t}).addr("192.0.2.1").Netip())
	b.check(t, []row{
		{why: "NS of the apex", ask: "Cluster.Local. NS", want: []string{"@ 5 NS ns.dns.Cluster.Local.", "+ ns.dns.Cluster.Local. 5 A 192.0.2.1"}},
		{why: "ns.dns", ask: "NS.dns.Cluster.Local. A", want: []string{"@ 5 A 192.0.2.1"}},
		{why: "dns-version", ask: "DNS-Version.Cluster.Local. TXT", want: []string{`@ 28800 TXT "1.1.0"`}},
	})
}

// TestD4 is RFC 8020 for reverse names. CoreDNS 1.15: NXDOMAIN.
func TestD4(t *testing.T) {
	b := newBed(t, reverseCorefile, fillReverse)
	var rows []row
	for _, qtype := range []string{"A", "AAAA", "TXT", "SOA", "NS", "CNAME", "HTTPS", "ANY"} {
		rows = append(rows,
			row{why: qtype + " of a virtual IP", ask: reverse(t, "10.96.0.1") + " " + qtype, want: []string{"NODATA"}},
			row{why: qtype + " of an endpoint", ask: reverse(t, "fd00:244::1") + " " + qtype, want: []string{"NODATA"}},
			row{why: qtype + " of nobody's address", ask: reverse(t, "10.9.9.9") + " " + qtype, want: []string{"NXDOMAIN"}},
		)
	}
	b.check(t, rows)
}

// TestD5 is RFC 2782: an SRV record names a port, and a pod's address does not tell one. CoreDNS 1.15: port 0.
func TestD5(t *testing.T) {
	for _, mode := range []string{"insecure", "verified"} {
		b := newBed(t, podsCorefile(mode), fillPods)
		b.check(t, []row{{why: mode, ask: "10-244-0-1.shop.pod.cluster.local. SRV", want: []string{"NODATA"}}})
	}
}

// TestD7: an address of the cluster must not be asked of an upstream because the store is not synced yet: it would leak,
// and somebody else would deny it. CoreDNS 1.15 hands it on.
func TestD7(t *testing.T) {
	b := newUnsynced(t, "kubernetes cluster.local in-addr.arpa ip6.arpa {\n fallthrough\n}")
	fillReverse(&script{t: t, w: b.w})
	before := []row{
		{why: "unsynced, PTR", ask: "3.2.1.10.in-addr.arpa. PTR", want: []string{"SERVFAIL"}},
		{why: "unsynced, PTR of IPv6", ask: reverse(t, "fd00::7") + " PTR", want: []string{"SERVFAIL"}},
		{why: "unsynced, another type", ask: "3.2.1.10.in-addr.arpa. TXT", want: []string{"SERVFAIL"}},
		{why: "unsynced, a forward name", ask: "x.cluster.local. A", want: []string{"NEXT"}},
		{why: "unsynced, what is known already", ask: reverse(t, "10.96.0.1") + " PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
	}
	b.check(t, before)
	b.w.EndList(cluster.KindService)
	b.check(t, before)
	b.w.EndList(cluster.KindNamespace)
	b.check(t, []row{
		{why: "synced", ask: "3.2.1.10.in-addr.arpa. PTR", want: []string{"NEXT"}},
	})
}

// TestD9: "namespace_labels" hides a namespace from those who ask for addresses too. CoreDNS 1.15 shows its names.
// The source lists only namespaces whose labels match; services come from all.
func TestD9(t *testing.T) {
	fill := func(s *script) {
		s.namespaces("shop")
		s.clusterIP("web.shop", "10.96.0.1", "http/tcp/80")
		s.clusterIP("web.hidden", "10.96.0.2", "http/tcp/80")
		s.headless("db.hidden")
		s.slice("db-1.db.hidden", "sql/tcp/5432", "10.244.0.1")
		s.slice("web-1.web.shop", "http/tcp/80", "10.244.0.1")
	}
	b := newBed(t, "kubernetes cluster.local in-addr.arpa {\n namespace_labels team=a\n}", fill)
	b.check(t, []row{
		{why: "a virtual IP of a hidden namespace", ask: "2.0.96.10.in-addr.arpa. PTR", want: []string{"NXDOMAIN"}},
		{why: "an endpoint of a hidden namespace and of another", ask: "1.0.244.10.in-addr.arpa. PTR",
			want: []string{"@ 5 PTR 10-244-0-1.web.shop.svc.cluster.local."}},
		{why: "a virtual IP of a namespace that is shown", ask: "1.0.96.10.in-addr.arpa. PTR", want: []string{"@ 5 PTR web.shop.svc.cluster.local."}},
		{why: "the forward name", ask: "web.hidden.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
	all := newBed(t, "kubernetes cluster.local in-addr.arpa", fill)
	all.check(t, []row{
		{why: "without a filter nothing is hidden", ask: "2.0.96.10.in-addr.arpa. PTR", want: []string{"@ 5 PTR web.hidden.svc.cluster.local."}},
	})
}

// TestD13: an answer from the store is not for a cache to keep; one that somebody else gives may be.
func TestD13(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local {\n fallthrough\n}", fillShop)
	for _, test := range []struct {
		why, name string
		live      bool
	}{
		{why: "a service", name: "web.shop.svc.cluster.local.", live: true},
		{why: "no records", name: "shop.svc.cluster.local.", live: true},
		{why: "handed on", name: "nobody.shop.svc.cluster.local."},
		{why: "another zone", name: "www.example.org."},
	} {
		x := block.NewExchange(t, test.name, dns.TypeA)
		if err := block.Serve(x, b, block.Reply(dns.RcodeSuccess)); err != nil {
			t.Fatal(err)
		}
		if x.Live != test.live {
			t.Errorf("%s: Live is %v, want %v", test.why, x.Live, test.live)
		}
	}
}

// TestD14: a pod has an address of each family. CoreDNS before 1.15 answered the first only.
func TestD14(t *testing.T) {
	b := newBed(t, podsCorefile("verified"), fillPods)
	b.check(t, []row{
		{why: "the first family", ask: "10-244-0-1.shop.pod.cluster.local. A", want: []string{"@ 5 A 10.244.0.1"}},
		{why: "the second", ask: "fd00-244--1.shop.pod.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:244::1"}},
	})
}
