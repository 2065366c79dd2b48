package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// Kubernetes DNS specification 1.1.0, section 2.3.2: a record for each port of a virtual IP's service.
func TestClusterIPServices(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	b.check(t, []row{
		{why: "one port", ask: "_http._tcp.web.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 100 80 web.shop.svc.cluster.local.", "+ web.shop.svc.cluster.local. 5 A 10.96.0.1"}},
		{why: "all ports", ask: "web.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 50 443 web.shop.svc.cluster.local.", "@ 5 SRV 0 50 80 web.shop.svc.cluster.local.", "+ @ 5 A 10.96.0.1"}},
		{why: "by protocol", ask: "_._tcp.dns.ops.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 50 53 dns.ops.svc.cluster.local.", "@ 5 SRV 0 50 9153 dns.ops.svc.cluster.local.", "+ dns.ops.svc.cluster.local. 5 A 10.96.0.10"}},
		{why: "TCP and UDP of one number: once, though both count", ask: "dns.ops.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 33 53 dns.ops.svc.cluster.local.", "@ 5 SRV 0 33 9153 dns.ops.svc.cluster.local.", "+ @ 5 A 10.96.0.10"}},
		{why: "the UDP one by name", ask: "_dns._udp.dns.ops.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 100 53 dns.ops.svc.cluster.local.", "+ dns.ops.svc.cluster.local. 5 A 10.96.0.10"}},
		{why: "IPv6", ask: "_http._tcp.six.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 100 80 six.shop.svc.cluster.local.", "+ six.shop.svc.cluster.local. 5 AAAA fd00:96::6"}},
		{why: "dual stack: each address counts", ask: "both.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 50 80 both.shop.svc.cluster.local.", "+ @ 5 A 10.96.0.3", "+ @ 5 AAAA fd00:96::3"}},
		{why: "a port without a name", ask: "nameless.ops.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 100 80 nameless.ops.svc.cluster.local.", "+ @ 5 A 10.96.0.11"}},
		{why: "no ports", ask: "portless.shop.svc.cluster.local. SRV", want: []string{"NODATA"}},
		{why: "no virtual IP given yet", ask: "unset.shop.svc.cluster.local. SRV", want: []string{"NODATA"}},
		{why: "without ready endpoints all the same", ask: "idle.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 100 80 idle.shop.svc.cluster.local.", "+ @ 5 A 10.96.0.2"}},
	})
}

// Kubernetes DNS specification 1.1.0, section 2.4.2: a record for each port and each ready endpoint.
func TestEndpointServices(t *testing.T) {
	b := newBed(t, plainCorefile, fillShop)
	mix := []string{
		"@ 5 SRV 0 16 80 10-244-2-1.mix.shop.svc.cluster.local.",
		"@ 5 SRV 0 16 80 10-244-2-2.mix.shop.svc.cluster.local.",
		"@ 5 SRV 0 16 80 fd00-244--1.mix.shop.svc.cluster.local.",
		"@ 5 SRV 0 16 80 fd00-244-1--0.mix.shop.svc.cluster.local.",
		"@ 5 SRV 0 16 80 twin.mix.shop.svc.cluster.local.",
		"+ 10-244-2-1.mix.shop.svc.cluster.local. 5 A 10.244.2.1",
		"+ 10-244-2-2.mix.shop.svc.cluster.local. 5 A 10.244.2.2",
		"+ fd00-244--1.mix.shop.svc.cluster.local. 5 AAAA fd00:244::1",
		"+ fd00-244-1--0.mix.shop.svc.cluster.local. 5 AAAA fd00:244:1::",
		"+ twin.mix.shop.svc.cluster.local. 5 A 10.244.2.3",
		"+ twin.mix.shop.svc.cluster.local. 5 A 10.244.2.4",
	}
	b.check(t, []row{
		{why: "hostnames", ask: "_sql._tcp.db.shop.svc.cluster.local. SRV", want: []string{
			"@ 5 SRV 0 50 5432 db-0.db.shop.svc.cluster.local.", "@ 5 SRV 0 50 5432 db-1.db.shop.svc.cluster.local.",
			"+ db-0.db.shop.svc.cluster.local. 5 A 10.244.1.1", "+ db-1.db.shop.svc.cluster.local. 5 A 10.244.1.2"}},
		{why: "both families, and a hostname that two share", ask: "_http._tcp.mix.shop.svc.cluster.local. SRV", want: mix},
		{why: "the bare name", ask: "mix.shop.svc.cluster.local. SRV", want: mix},
		{why: "one endpoint", ask: "db-0.db.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 100 5432 db-0.db.shop.svc.cluster.local.", "+ @ 5 A 10.244.1.1"}},
		{why: "a hostname that two share", ask: "twin.mix.shop.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 50 80 twin.mix.shop.svc.cluster.local.", "+ @ 5 A 10.244.2.3", "+ @ 5 A 10.244.2.4"}},
		{why: "one endpoint of a virtual IP's service", ask: "10-244-0-1.web.shop.svc.cluster.local. SRV", want: []string{
			"@ 5 SRV 0 50 8080 10-244-0-1.web.shop.svc.cluster.local.", "@ 5 SRV 0 50 8443 10-244-0-1.web.shop.svc.cluster.local.",
			"+ @ 5 A 10.244.0.1"}},
		{why: "no ports", ask: "bare.shop.svc.cluster.local. SRV", want: []string{"NODATA"}},
		{why: "no endpoints", ask: "none.shop.svc.cluster.local. SRV", want: []string{"NXDOMAIN"}},
	})
}

// Of records that say the same one is enough (RFC 2181, section 5), whichever slices they come from.
func TestEndpointServicesOnce(t *testing.T) {
	for _, test := range []struct {
		why   string
		slice func(s *script)
		want  []string
	}{
		{
			why:   "TCP and UDP of one number",
			slice: func(s *script) { s.slice("a.d.n", "dns/udp/53 dns-tcp/tcp/53", "10.0.0.1") },
			want:  []string{"@ 5 SRV 0 50 53 10-0-0-1.d.n.svc.cluster.local.", "+ 10-0-0-1.d.n.svc.cluster.local. 5 A 10.0.0.1"},
		},
		{
			why: "one address in two slices",
			slice: func(s *script) {
				s.slice("a.d.n", "http/tcp/80", "10.0.0.1")
				s.slice("b.d.n", "http/tcp/80", "10.0.0.1", "10.0.0.2")
			},
			want: []string{
				"@ 5 SRV 0 33 80 10-0-0-1.d.n.svc.cluster.local.", "@ 5 SRV 0 33 80 10-0-0-2.d.n.svc.cluster.local.",
				"+ 10-0-0-1.d.n.svc.cluster.local. 5 A 10.0.0.1", "+ 10-0-0-2.d.n.svc.cluster.local. 5 A 10.0.0.2"},
		},
		{
			why: "one address in two slices of different ports",
			slice: func(s *script) {
				s.slice("a.d.n", "http/tcp/80", "10.0.0.1")
				s.slice("b.d.n", "http/tcp/8080", "10.0.0.1")
			},
			want: []string{
				"@ 5 SRV 0 50 80 10-0-0-1.d.n.svc.cluster.local.", "@ 5 SRV 0 50 8080 10-0-0-1.d.n.svc.cluster.local.",
				"+ 10-0-0-1.d.n.svc.cluster.local. 5 A 10.0.0.1"},
		},
		{
			why: "different ports for different addresses",
			slice: func(s *script) {
				s.slice("a.d.n", "http/tcp/80", "10.0.0.1=x")
				s.slice("b.d.n", "http/tcp/8080", "10.0.0.2=y")
			},
			want: []string{
				"@ 5 SRV 0 50 80 x.d.n.svc.cluster.local.", "@ 5 SRV 0 50 8080 y.d.n.svc.cluster.local.",
				"+ x.d.n.svc.cluster.local. 5 A 10.0.0.1", "+ y.d.n.svc.cluster.local. 5 A 10.0.0.2"},
		},
		{
			why: "one address under two hostnames",
			slice: func(s *script) {
				s.slice("a.d.n", "http/tcp/80", "10.0.0.1=x")
				s.slice("b.d.n", "http/tcp/80", "10.0.0.1=y")
			},
			want: []string{
				"@ 5 SRV 0 50 80 x.d.n.svc.cluster.local.", "@ 5 SRV 0 50 80 y.d.n.svc.cluster.local.",
				"+ x.d.n.svc.cluster.local. 5 A 10.0.0.1", "+ y.d.n.svc.cluster.local. 5 A 10.0.0.1"},
		},
		{
			why: "a hostname over slices of different ports, both families",
			slice: func(s *script) {
				s.slice("a.d.n", "http/tcp/80 admin/tcp/81", "10.0.0.1=x")
				s.slice("b.d.n", "http/tcp/80", "fd00::1=x")
			},
			want: []string{
				"@ 5 SRV 0 33 80 x.d.n.svc.cluster.local.", "@ 5 SRV 0 33 81 x.d.n.svc.cluster.local.",
				"+ x.d.n.svc.cluster.local. 5 A 10.0.0.1", "+ x.d.n.svc.cluster.local. 5 AAAA fd00::1"},
		},
		{
			why: "an endpoint without ports beside one with the same hostname",
			slice: func(s *script) {
				s.slice("a.d.n", "", "10.0.0.1=x", "10.0.0.3=x")
				s.slice("b.d.n", "http/tcp/80", "10.0.0.2=x")
			},
			want: []string{"@ 5 SRV 0 33 80 x.d.n.svc.cluster.local.", "+ x.d.n.svc.cluster.local. 5 A 10.0.0.2"},
		},
		{
			why: "a hostname that three share, the first without ports",
			slice: func(s *script) {
				s.slice("a.d.n", "", "10.0.0.1=x")
				s.slice("b.d.n", "http/tcp/80", "10.0.0.2=x", "10.0.0.3=x")
			},
			want: []string{"@ 5 SRV 0 33 80 x.d.n.svc.cluster.local.",
				"+ x.d.n.svc.cluster.local. 5 A 10.0.0.2", "+ x.d.n.svc.cluster.local. 5 A 10.0.0.3"},
		},
		{
			why:   "a port whose number is not known counts, and is not shown",
			slice: func(s *script) { s.slice("a.d.n", "http/tcp/80 late/tcp/0", "10.0.0.1=x") },
			want:  []string{"@ 5 SRV 0 50 80 x.d.n.svc.cluster.local.", "+ x.d.n.svc.cluster.local. 5 A 10.0.0.1"},
		},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			b := newBed(t, plainCorefile, func(s *script) {
				s.namespaces("n")
				s.headless("d.n")
				test.slice(s)
			})
			b.check(t, []row{{why: test.why, ask: "d.n.svc.cluster.local. SRV", want: test.want}})
		})
	}
}

func TestAddressesOnce(t *testing.T) {
	b := newBed(t, plainCorefile, func(s *script) {
		s.namespaces("n")
		s.headless("d.n")
		s.slice("a.d.n", "http/tcp/80", "10.0.0.1=x", "10.0.0.2")
		s.slice("b.d.n", "http/tcp/8080", "10.0.0.1=y", "10.0.0.2")
		s.headless("alias.n")
		s.slice("c.alias.n", "http/tcp/80", "10.0.0.3=10-0-0-4", "10.0.0.4")
		s.clusterIP("zero.n", "10.96.0.2", "http/tcp/80", "odd/tcp/0")
		s.clusterIP("twice.n", "10.96.0.1 10.96.0.1", "http/tcp/80")
	})
	b.check(t, []row{
		{why: "an address in two slices", ask: "d.n.svc.cluster.local. A", want: []string{"@ 5 A 10.0.0.1", "@ 5 A 10.0.0.2"}},
		{why: "an address in two slices, by its name", ask: "10-0-0-2.d.n.svc.cluster.local. A", want: []string{"@ 5 A 10.0.0.2"}},
		{why: "a hostname that spells another's address", ask: "10-0-0-4.alias.n.svc.cluster.local. A", want: []string{"@ 5 A 10.0.0.3", "@ 5 A 10.0.0.4"}},
		{why: "there is no port 0", ask: "zero.n.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 50 80 zero.n.svc.cluster.local.", "+ @ 5 A 10.96.0.2"}},
		{why: "a virtual IP given twice", ask: "twice.n.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "a virtual IP given twice, SRV", ask: "twice.n.svc.cluster.local. SRV",
			want: []string{"@ 5 SRV 0 50 80 twice.n.svc.cluster.local.", "+ @ 5 A 10.96.0.1"}},
	})
}

// A target that would be longer than 255 bytes (RFC 1035, section 2.3.4) is left out, and the rest answered.
func TestTargetTooLong(t *testing.T) {
	long := strings.Repeat("s", 63)
	zone := strings.Repeat("z", 60) + ".example."
	fits := strings.Repeat("h", 52) // with 64+64+4 bytes for the service and 70 for the zone
	b := newBed(t, "kubernetes "+zone, func(s *script) {
		s.namespaces(long)
		s.headless(long + "." + long)
		s.slice("a."+long+"."+long, "http/tcp/80", "10.0.0.1="+fits, "10.0.0.2=h"+fits)
	})
	service := fmt.Sprintf("%s.%[1]s.svc.%s", long, zone)
	b.check(t, []row{{why: "the shorter one is answered", ask: "http.tcp." + service + " SRV", want: []string{
		"@ 5 SRV 0 50 80 " + fits + "." + service, "+ " + fits + "." + service + " 5 A 10.0.0.1"}}})
}

// TestLargeAnswers reads replies back, in which targets lie beyond what a pointer can reach (RFC 1035, section 4.1.4).
func TestLargeAnswers(t *testing.T) {
	b := newBed(t, plainCorefile, func(s *script) {
		s.namespaces("default")
		fillCrowd(s, "crowd", 3, 1000)
	})
	x := new(plugin.Exchange)
	m := new(dns.Msg)
	if err := m.Unpack(serveOnce(b.Kubernetes, x, question(t, "crowd.default.svc.cluster.local.", dns.TypeSRV))); err != nil {
		t.Fatal(err)
	}
	if !m.Truncated || len(m.Answer) < 500 {
		t.Fatalf("TC is %v with %d answers, want TC set: 1,000 targets are more than 64 KiB", m.Truncated, len(m.Answer))
	}
	fillCrowd(&script{t: t, w: b.w}, "some", 4, 500)
	if err := m.Unpack(serveOnce(b.Kubernetes, x, question(t, "some.default.svc.cluster.local.", dns.TypeSRV))); err != nil {
		t.Fatal(err)
	}
	if len(m.Answer) != 500 || len(m.Extra) != 500 {
		t.Fatalf("%d answers and %d additional records, want 500 each", len(m.Answer), len(m.Extra))
	}
	for i, rr := range m.Answer {
		if target := rr.(*dns.SRV).Target; target != m.Extra[i].Header().Name {
			t.Fatalf("target %d is %s, its address record is of %s", i, target, m.Extra[i].Header().Name)
		}
	}
}
