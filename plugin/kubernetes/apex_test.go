package kubernetes

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/block"
)

// Kubernetes DNS specification 1.1.0, section 2.2.
func TestVersion(t *testing.T) {
	b := newBed(t, "kubernetes cluster.local in-addr.arpa {\n ttl 30\n}", fillShop)
	b.check(t, []row{
		{why: "the specification's version", ask: "dns-version.cluster.local. TXT", want: []string{`@ 28800 TXT "1.1.0"`}},
		{why: "in every zone", ask: "dns-version.in-addr.arpa. TXT", want: []string{`@ 28800 TXT "1.1.0"`}},
	})
	below := newBed(t, plainCorefile, fillShop)
	below.check(t, []row{
		{why: "nothing lies below", ask: "x.dns-version.cluster.local. TXT", want: []string{"NXDOMAIN"}},
		{why: "nor elsewhere", ask: "dns-version.shop.svc.cluster.local. TXT", want: []string{"NXDOMAIN"}},
	})
}

func TestApex(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.check(t, []row{
		{why: "SOA", ask: "cluster.local. SOA",
			want: []string{"@ 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1600000000 7200 1800 86400 5"}},
		{why: "SOA, the spelling comes back", ask: "Cluster.LOCAL. SOA",
			want: []string{"@ 5 SOA ns.dns.Cluster.LOCAL. hostmaster.Cluster.LOCAL. 1600000000 7200 1800 86400 5"}},
		{why: "A", ask: "cluster.local. A", want: []string{"NODATA"}},
		{why: "AAAA", ask: "cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "SRV", ask: "cluster.local. SRV", want: []string{"NODATA"}},
		{why: "HINFO", ask: "cluster.local. HINFO", want: []string{"NODATA"}},
		{why: "NS, before Start found addresses", ask: "cluster.local. NS", want: []string{"NODATA"}},
		{why: "svc", ask: "svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "svc NS", ask: "svc.cluster.local. NS", want: []string{"NODATA"}},
		{why: "pod", ask: "pod.cluster.local. A", want: []string{"NODATA"}},
		{why: "a namespace", ask: "shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "a namespace NS", ask: "shop.svc.cluster.local. NS", want: []string{"NODATA"}},
		{why: "a namespace without services", ask: "empty.svc.cluster.local. SRV", want: []string{"NODATA"}},
		{why: "no namespace", ask: "nowhere.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "neither svc nor pod", ask: "node.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "neither svc nor pod, NS", ask: "node.cluster.local. NS", want: []string{"NXDOMAIN"}},
		{why: "apex.dns, which CoreDNS looks for itself", ask: "apex.dns.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "svc of a reverse zone is none", ask: "shop.svc.in-addr.arpa. A", want: []string{"NEXT"}},
	})
}

// Negative answers carry the zone's SOA, whose TTL is the lesser of its own and the minimum (RFC 2308, section 3), here
// never more than 300.
func TestNegativeTTL(t *testing.T) {
	for _, test := range []struct {
		ttl, soaTTL int
	}{
		{ttl: 0, soaTTL: 0}, {ttl: 5, soaTTL: 5}, {ttl: 30, soaTTL: 30}, {ttl: 300, soaTTL: 300}, {ttl: 3600, soaTTL: 300},
	} {
		b := newBed(t, fmt.Sprintf("kubernetes cluster.local {\n ttl %d\n}", test.ttl), fillShop)
		want := fmt.Sprintf("cluster.local.\t%d\tIN\tSOA\tns.dns.cluster.local. hostmaster.cluster.local. %d 7200 1800 86400 %d",
			test.soaTTL, lastChange, test.ttl)
		for _, name := range []string{"nobody.shop.svc.cluster.local.", "shop.svc.cluster.local."} {
			x := block.NewExchange(t, name, dns.TypeA)
			if err := block.Serve(x, b); err != nil {
				t.Fatal(err)
			}
			if m := block.Answer(t, x); len(m.Ns) != 1 || m.Ns[0].String() != want {
				t.Errorf("ttl %d, %s: authority section is %v, want %s", test.ttl, name, m.Ns, want)
			}
		}
		got := b.ask(t, nil, "web.shop.svc.cluster.local. A")
		if diff := cmp.Diff([]string{fmt.Sprintf("@ %d A 10.96.0.1", test.ttl)}, got); diff != "" {
			t.Errorf("ttl %d (-want +got):\n%s", test.ttl, diff)
		}
	}
}

// The serial is 0 before any change, and then the second of the last one.
func TestSerial(t *testing.T) {
	b := newBed(t, plainCorefile, func(*script) {})
	b.check(t, []row{{why: "empty", ask: "cluster.local. SOA",
		want: []string{"@ 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 0 7200 1800 86400 5"}}})
}

// The name servers of the zone are the services that this host's addresses are endpoints of.
func TestNameServers(t *testing.T) {
	fill := func(s *script) {
		s.namespaces("kube-system")
		s.clusterIP("kube-dns.kube-system", "10.96.0.10 fd00:96::a", "dns/udp/53")
		s.slice("dns-4.kube-dns.kube-system", "dns/udp/53", "10.244.0.1", "10.244.0.2")
		s.slice("dns-6.kube-dns.kube-system", "dns/udp/53", "fd00:244::1")
		s.headless("dns-peers.kube-system")
		s.slice("peers-1.dns-peers.kube-system", "dns/udp/53", "10.244.0.2", "10.244.0.3=third")
		s.slice("orphan-1.gone.kube-system", "dns/udp/53", "10.244.0.9")
	}
	service := []string{"@ 5 NS kube-dns.kube-system.svc.cluster.local.",
		"+ kube-dns.kube-system.svc.cluster.local. 5 A 10.96.0.10", "+ kube-dns.kube-system.svc.cluster.local. 5 AAAA fd00:96::a"}
	for _, test := range []struct {
		why, local string
		ns         []string // of the zone
		glue, six  []string // A and AAAA of ns.dns
	}{
		{why: "a service", local: "10.244.0.1", ns: service, glue: []string{"@ 5 A 10.96.0.10"}, six: []string{"@ 5 AAAA fd00:96::a"}},
		{why: "a service by both families: once", local: "10.244.0.1 fd00:244::1", ns: service,
			glue: []string{"@ 5 A 10.96.0.10"}, six: []string{"@ 5 AAAA fd00:96::a"}},
		{why: "a service and a headless one", local: "10.244.0.2", ns: []string{
			"@ 5 NS 10-244-0-2.dns-peers.kube-system.svc.cluster.local.",
			"@ 5 NS kube-dns.kube-system.svc.cluster.local.",
			"@ 5 NS third.dns-peers.kube-system.svc.cluster.local.",
			"+ 10-244-0-2.dns-peers.kube-system.svc.cluster.local. 5 A 10.244.0.2",
			"+ kube-dns.kube-system.svc.cluster.local. 5 A 10.96.0.10", "+ kube-dns.kube-system.svc.cluster.local. 5 AAAA fd00:96::a",
			"+ third.dns-peers.kube-system.svc.cluster.local. 5 A 10.244.0.3"},
			glue: []string{"@ 5 A 10.244.0.2", "@ 5 A 10.244.0.3", "@ 5 A 10.96.0.10"}, six: []string{"@ 5 AAAA fd00:96::a"}},
		{why: "not in the cluster: this host", local: "192.0.2.1 2001:db8::1",
			ns:   []string{"@ 5 NS ns.dns.cluster.local.", "+ ns.dns.cluster.local. 5 A 192.0.2.1", "+ ns.dns.cluster.local. 5 AAAA 2001:db8::1"},
			glue: []string{"@ 5 A 192.0.2.1"}, six: []string{"@ 5 AAAA 2001:db8::1"}},
		{why: "an endpoint of a service that is not there", local: "10.244.0.9",
			ns: []string{"NODATA"}, glue: []string{"NODATA"}, six: []string{"NODATA"}},
		{why: "bound to some addresses", local: "", ns: []string{"NODATA"}, glue: []string{"NODATA"}, six: []string{"NODATA"}},
	} {
		t.Run(test.why, func(t *testing.T) {
			b := newBed(t, plainCorefile, fill)
			for _, addr := range (&script{t: t}).addrs(test.local) {
				b.local = append(b.local, addr.Netip())
			}
			b.check(t, []row{
				{why: "NS", ask: "cluster.local. NS", want: test.ns},
				{why: "ns.dns A", ask: "ns.dns.cluster.local. A", want: test.glue},
				{why: "ns.dns AAAA", ask: "ns.dns.cluster.local. AAAA", want: test.six},
				{why: "ns.dns MX", ask: "ns.dns.cluster.local. MX", want: []string{"NODATA"}},
				{why: "ns.dns NS", ask: "ns.dns.cluster.local. NS", want: []string{"NODATA"}},
				{why: "below ns.dns", ask: "x.ns.dns.cluster.local. A", want: []string{"NXDOMAIN"}},
			})
		})
	}
}

// A name server whose name would be longer than 255 bytes (RFC 1035, section 2.3.4) is left out.
func TestNameServerTooLong(t *testing.T) {
	long, zone := strings.Repeat("s", 63), strings.Repeat("z", 60)+".example."
	fits := strings.Repeat("h", 52) // with 64+64+4 bytes for the service and 70 for the zone
	b := newBed(t, "kubernetes "+zone, func(s *script) {
		s.headless(long + "." + long)
		s.slice("a."+long+"."+long, "dns/udp/53", "10.0.0.1="+fits, "10.0.0.2=h"+fits)
	})
	b.local = append(b.local, netip.MustParseAddr("10.0.0.2"))
	server := fits + "." + long + "." + long + ".svc." + zone
	b.check(t, []row{{why: "NS", ask: zone + " NS", want: []string{"@ 5 NS " + server, "+ " + server + " 5 A 10.0.0.1"}}})
}

// localAddrs are the system's, but for loopback, and none where the block is bound to addresses.
func TestLocalAddrs(t *testing.T) {
	b := newUnsynced(t, plainCorefile)
	system, err := net.InterfaceAddrs()
	if err != nil {
		t.Skipf("this system does not tell its addresses: %v", err)
	}
	var want []netip.Addr
	for _, a := range system {
		if p := netip.MustParsePrefix(a.String()); !p.Addr().IsLoopback() {
			want = append(want, p.Addr().WithZone(""))
		}
	}
	if got := b.localAddrs(); !slices.Equal(got, want) {
		t.Errorf("local addresses are %v, want %v", got, want)
	}
	b.env.Listen.Hosts = []string{"10.96.0.10"}
	if got := b.localAddrs(); got != nil {
		t.Errorf("local addresses are %v with a bind line, want none", got)
	}
}
