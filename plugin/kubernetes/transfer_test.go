package kubernetes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

var _ plugin.Transferer = (*Kubernetes)(nil)

// transferBed has one service of each kind, and this server as an endpoint of kube-dns.
func transferBed(t *testing.T, corefile string) *bed {
	t.Helper()
	return newBed(t, corefile, func(s *script) {
		s.namespaces("kube-system", "testns")
		s.clusterIP("kube-dns.kube-system", "10.0.0.100", "dns/udp/53", "dns-tcp/tcp/53", "/tcp/9153")
		s.slice("kube-dns-1.kube-dns.kube-system", "dns/udp/53", "10.0.0.10")
		s.clusterIP("svc1.testns", "10.0.0.1 fd00::1", "http/tcp/80")
		s.clusterIP("hidden.nowhere", "10.0.0.3", "http/tcp/80")
		s.headless("hdls1.testns")
		s.slice("hdls1-1.hdls1.testns", "http/tcp/80 /udp/81", "172.0.0.2", "172.0.0.3", "172.0.0.3=dup", "5678:abcd::2")
		s.headless("idle.testns")
		s.external("external.testns", "ext.interwebs.test")
		s.external("address.testns", "1.2.3.4")
	})
}

// The order is CoreDNS's: name servers, their addresses, then services by name.
func TestContents(t *testing.T) {
	t.Parallel()
	b := transferBed(t, "kubernetes cluster.local 10.in-addr.arpa")
	b.local = []netip.Addr{netip.MustParseAddr("10.0.0.10")}
	c, ok, err := b.Contents(wireName(t, "cluster.local"))
	if !ok || err != nil {
		t.Fatalf("contents: %v, %v", ok, err)
	}
	if want := fmt.Sprintf("cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. %d 7200 1800 86400 5", lastChange); line(c.SOA) != want {
		t.Errorf("SOA is %s, want %s", line(c.SOA), want)
	}
	var got []string
	for rr := range c.Records {
		got = append(got, strings.ReplaceAll(line(rr), ".svc.cluster.local.", "~"))
	}
	want := []string{
		"cluster.local. 5 NS kube-dns.kube-system~",
		"kube-dns.kube-system~ 0 A 10.0.0.100",
		"external.testns~ 5 CNAME ext.interwebs.test.",
		"hdls1.testns~ 5 A 172.0.0.2",
		"172-0-0-2.hdls1.testns~ 5 A 172.0.0.2",
		"_http._tcp.hdls1.testns~ 5 SRV 0 25 80 172-0-0-2.hdls1.testns~",
		"hdls1.testns~ 5 A 172.0.0.3",
		"172-0-0-3.hdls1.testns~ 5 A 172.0.0.3",
		"_http._tcp.hdls1.testns~ 5 SRV 0 25 80 172-0-0-3.hdls1.testns~",
		"dup.hdls1.testns~ 5 A 172.0.0.3",
		"_http._tcp.hdls1.testns~ 5 SRV 0 25 80 dup.hdls1.testns~",
		"hdls1.testns~ 5 AAAA 5678:abcd::2",
		"5678-abcd--2.hdls1.testns~ 5 AAAA 5678:abcd::2",
		"_http._tcp.hdls1.testns~ 5 SRV 0 25 80 5678-abcd--2.hdls1.testns~",
		"kube-dns.kube-system~ 5 A 10.0.0.100",
		"kube-dns.kube-system~ 5 SRV 0 100 53 kube-dns.kube-system~",
		"_dns._udp.kube-dns.kube-system~ 5 SRV 0 100 53 kube-dns.kube-system~",
		"_dns-tcp._tcp.kube-dns.kube-system~ 5 SRV 0 100 53 kube-dns.kube-system~",
		"kube-dns.kube-system~ 5 SRV 0 100 9153 kube-dns.kube-system~",
		"svc1.testns~ 5 A 10.0.0.1",
		"svc1.testns~ 5 AAAA fd00::1",
		"svc1.testns~ 5 SRV 0 100 80 svc1.testns~",
		"_http._tcp.svc1.testns~ 5 SRV 0 100 80 svc1.testns~",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func line(rr dns.RR) string {
	return strings.ReplaceAll(strings.Replace(rr.String(), "\tIN\t", "\t", 1), "\t", " ")
}

func wireName(t testing.TB, text string) wire.Name {
	t.Helper()
	name, err := wire.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// The SOA record that a transfer begins with is the one that a question gets.
func TestContentsSOA(t *testing.T) {
	t.Parallel()
	for _, ttl := range []int{0, 5, 300, 3600} {
		b := transferBed(t, fmt.Sprintf("kubernetes cluster.local {\n ttl %d\n}", ttl))
		c, _, err := b.Contents(wireName(t, "cluster.local"))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{strings.Replace(line(c.SOA), "cluster.local.", "@", 1)}
		if diff := cmp.Diff(want, b.ask(t, nil, "cluster.local. SOA")); diff != "" {
			t.Errorf("ttl %d: SOA (-transfer +question):\n%s", ttl, diff)
		}
	}
}

func TestContentsOfOtherNames(t *testing.T) {
	t.Parallel()
	b := transferBed(t, "kubernetes cluster.local 10.in-addr.arpa")
	for _, name := range []string{"example.com", "svc.cluster.local", "10.in-addr.arpa", "local"} {
		if _, ok, err := b.Contents(wireName(t, name)); ok || err != nil {
			t.Errorf("%s: %v, %v; want that it is no zone to transfer", name, ok, err)
		}
	}
	waiting := newUnsynced(t, "kubernetes cluster.local")
	if _, ok, err := waiting.Contents(wireName(t, "cluster.local")); !ok || err == nil {
		t.Errorf("not synced: %v, %v; want an error, since the zone is not complete", ok, err)
	}
}

// "noendpoints" hides those of headless services; whoever takes no more records gets no more.
func TestContentsEnds(t *testing.T) {
	t.Parallel()
	b := transferBed(t, "kubernetes cluster.local {\n noendpoints\n}")
	c, _, err := b.Contents(wireName(t, "cluster.local"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for rr := range c.Records {
		if strings.Contains(rr.Header().Name, "hdls1") {
			t.Errorf("%s in spite of noendpoints", line(rr))
		}
		if count++; count == 3 {
			break
		}
	}
	if count != 3 {
		t.Errorf("%d records, want 3 of more", count)
	}
}

func TestContentsOfLongNames(t *testing.T) {
	t.Parallel()
	zone := strings.Join([]string{strings.Repeat("z", 63), strings.Repeat("z", 63), strings.Repeat("z", 63)}, ".")
	b := newBed(t, "kubernetes "+zone, func(s *script) {
		s.namespaces("testns")
		long := strings.Repeat("s", 45)
		s.service(long+".testns", cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: s.addrs("10.0.0.1"), Ports: s.ports([]string{"http/tcp/80"})})
		s.service(strings.Repeat("s", 63)+".testns", cluster.ServiceSpec{Type: cluster.ClusterIP, ClusterIPs: s.addrs("10.0.0.2")})
	})
	c, _, err := b.Contents(wireName(t, zone))
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for rr := range c.Records {
		types = append(types, dns.TypeToString[rr.Header().Rrtype])
		if _, err := dns.PackRR(rr, make([]byte, 1024), 0, nil, false); err != nil {
			t.Errorf("%s cannot be packed: %v", line(rr), err)
		}
	}
	if want := []string{"A", "SRV"}; !cmp.Equal(want, types) {
		t.Errorf("records of types %v, want %v: the others' names are too long", types, want)
	}
}
