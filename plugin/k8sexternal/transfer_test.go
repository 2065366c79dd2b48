package k8sexternal

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// RFC 5936, section 2.2: a transfer is what the zone answers.
func TestContents(t *testing.T) {
	t.Parallel()
	b := newBed(t, "k8s_external example.org {\n headless\n}\nkubernetes cluster.local {\n namespaces shop empty\n}")
	c, ok, err := b.Contents("\x07example\x03org\x00")
	if !ok || err != nil {
		t.Fatalf("ok %v, error %v", ok, err)
	}
	want := strings.Split(strings.TrimSpace(`
example.org. 5 IN NS ns1.dns.example.org.
ns1.dns.example.org. 5 IN A 192.168.0.10
ns1.dns.example.org. 5 IN AAAA fd00::10
bare.shop.example.org. 5 IN A 192.0.2.4
cloud.shop.example.org. 5 IN CNAME lb.Example.net.
_http._tcp.cloud.shop.example.org. 5 IN SRV 0 100 80 lb.Example.net.
_https._tcp.cloud.shop.example.org. 5 IN SRV 0 100 443 lb.Example.net.
db.shop.example.org. 5 IN A 10.244.0.1
db-0.db.shop.example.org. 5 IN A 10.244.0.1
_pg._tcp.db.shop.example.org. 5 IN SRV 0 33 5432 db-0.db.shop.example.org.
_metrics._tcp.db.shop.example.org. 5 IN SRV 0 33 9187 db-0.db.shop.example.org.
db.shop.example.org. 5 IN A 10.244.0.2
10-244-0-2.db.shop.example.org. 5 IN A 10.244.0.2
_pg._tcp.db.shop.example.org. 5 IN SRV 0 33 5432 10-244-0-2.db.shop.example.org.
_metrics._tcp.db.shop.example.org. 5 IN SRV 0 33 9187 10-244-0-2.db.shop.example.org.
db.shop.example.org. 5 IN AAAA fd00::2
db-0.db.shop.example.org. 5 IN AAAA fd00::2
_pg._tcp.db.shop.example.org. 5 IN SRV 0 33 5432 db-0.db.shop.example.org.
_metrics._tcp.db.shop.example.org. 5 IN SRV 0 33 9187 db-0.db.shop.example.org.
dns.shop.example.org. 5 IN A 192.0.2.3
dns.shop.example.org. 5 IN SRV 0 50 53 dns.shop.example.org.
_dns._udp.dns.shop.example.org. 5 IN SRV 0 100 53 dns.shop.example.org.
_dns-tcp._tcp.dns.shop.example.org. 5 IN SRV 0 100 53 dns.shop.example.org.
mixed.shop.example.org. 5 IN A 192.0.2.5
mixed.shop.example.org. 5 IN SRV 0 50 80 mixed.shop.example.org.
_http._tcp.mixed.shop.example.org. 5 IN SRV 0 50 80 mixed.shop.example.org.
mixed.shop.example.org. 5 IN SRV 0 50 80 lb.example.net.
_http._tcp.mixed.shop.example.org. 5 IN SRV 0 50 80 lb.example.net.
shown.shop.example.org. 5 IN A 192.0.2.6
shown.shop.example.org. 5 IN SRV 0 100 5432 shown.shop.example.org.
_pg._tcp.shown.shop.example.org. 5 IN SRV 0 100 5432 shown.shop.example.org.
web.shop.example.org. 5 IN A 192.0.2.1
web.shop.example.org. 5 IN AAAA 2001:db8::1
web.shop.example.org. 5 IN A 192.0.2.2
web.shop.example.org. 5 IN SRV 0 12 80 web.shop.example.org.
_http._tcp.web.shop.example.org. 5 IN SRV 0 25 80 web.shop.example.org.
web.shop.example.org. 5 IN SRV 0 12 443 web.shop.example.org.
_https._tcp.web.shop.example.org. 5 IN SRV 0 25 443 web.shop.example.org.`), "\n")
	var got []string
	for rr := range c.Records {
		got = append(got, lines([]dns.RR{rr})...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	answered, err := b.ask(t, "example.org.", dns.TypeSOA)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines(answered.Answer), lines([]dns.RR{c.SOA})); diff != "" {
		t.Errorf("SOA (-answered +transferred):\n%s", diff)
	}
	first := 0
	for range c.Records {
		first++
		break
	}
	if first != 1 {
		t.Errorf("%d records for somebody who wants one", first)
	}
}

// Nothing is in a transfer that a question would not get.
func TestContentsAreAnswered(t *testing.T) {
	t.Parallel()
	b := newBed(t, "k8s_external example.org {\n headless\n}")
	c, _, err := b.Contents("\x07example\x03org\x00")
	if err != nil {
		t.Fatal(err)
	}
	for rr := range c.Records {
		h := rr.Header()
		qtype := h.Rrtype
		if qtype == dns.TypeCNAME { // shown with an address only
			qtype = dns.TypeA
		}
		m, err := b.ask(t, h.Name, qtype)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(lines(m.Answer), lines([]dns.RR{rr})[0]) {
			t.Errorf("%s is not in the answer %v", rr, lines(m.Answer))
		}
	}
}

func TestContentsOfOtherZones(t *testing.T) {
	t.Parallel()
	b := newBed(t, plain)
	for _, zone := range []wire.Name{"\x03org\x00", "\x04shop\x07example\x03org\x00", "\x012\x010\x03192\x07in-addr\x04arpa\x00"} {
		if _, ok, err := b.Contents(zone); ok || err != nil {
			t.Errorf("%s: ok %v, error %v", zone, ok, err)
		}
	}
	var _ plugin.Transferer = b.Handler
	if _, ok, err := newUnsynced(t, plain).Contents("\x07example\x03org\x00"); !ok || err == nil {
		t.Errorf("not synced yet: ok %v, error %v", ok, err)
	}
}
