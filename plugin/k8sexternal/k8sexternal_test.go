package k8sexternal

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/test/block"
)

const (
	plain  = "k8s_external Example.org 2.0.192.in-addr.arpa"
	soaEnd = " 5 IN SOA ns1.dns.example.org. hostmaster.dns.example.org. 1600000000 7200 1800 86400 5"
)

// serve is a question and its answer.
type serve struct {
	name     string
	corefile string // plain where it is empty
	question string
	qtype    uint16
	rcode    int
	answer   []string // sorted; none: the SOA record is in the authority section
	extra    []string
}

func (s serve) run(t *testing.T, b *bed) {
	t.Helper()
	m, err := b.ask(t, s.question, s.qtype)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Authoritative || m.Rcode != s.rcode {
		t.Errorf("AA %v, rcode %d; want an authoritative %d", m.Authoritative, m.Rcode, s.rcode)
	}
	if diff := cmp.Diff(s.answer, lines(m.Answer), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(s.extra, lines(m.Extra), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("additional section (-want +got):\n%s", diff)
	}
	if negative := len(m.Ns) == 1 && m.Ns[0].Header().Rrtype == dns.TypeSOA; negative != (len(s.answer) == 0) || len(m.Ns) > 1 {
		t.Errorf("authority section %v", lines(m.Ns))
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []serve{
		{name: "IPv4", question: "Web.shop.example.ORG.", qtype: dns.TypeA, answer: []string{
			"Web.shop.example.ORG. 5 IN A 192.0.2.1", "Web.shop.example.ORG. 5 IN A 192.0.2.2"}},
		{name: "IPv6", question: "web.shop.example.org.", qtype: dns.TypeAAAA, answer: []string{"web.shop.example.org. 5 IN AAAA 2001:db8::1"}},
		{name: "no address of the family", question: "dns.shop.example.org.", qtype: dns.TypeAAAA},
		{name: "no port", question: "bare.shop.example.org.", qtype: dns.TypeA, answer: []string{"bare.shop.example.org. 5 IN A 192.0.2.4"}},
		{name: "no port, but one is asked for", question: "_http._tcp.bare.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "by port", question: "_http._tcp.web.shop.example.org.", qtype: dns.TypeAAAA, answer: []string{"_http._tcp.web.shop.example.org. 5 IN AAAA 2001:db8::1"}},
		{name: "by a port without underscores", question: "dns.udp.dns.shop.example.org.", qtype: dns.TypeA, answer: []string{"dns.udp.dns.shop.example.org. 5 IN A 192.0.2.3"}},
		{name: "by a port that there is not", question: "_smtp._tcp.web.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "by another protocol", question: "_http._udp.web.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "an endpoint's label makes no difference", question: "any.shown.shop.example.org.", qtype: dns.TypeA, answer: []string{"any.shown.shop.example.org. 5 IN A 192.0.2.6"}},
		{name: "too many labels", question: "a._http._tcp.web.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "no external address", question: "inside.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "headless without external address", question: "db.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "headless with external address", question: "shown.shop.example.org.", qtype: dns.TypeA, answer: []string{"shown.shop.example.org. 5 IN A 192.0.2.6"}},
		{name: "no such service", question: "none.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "a namespace", question: "empty.example.org.", qtype: dns.TypeA},
		{name: "no such namespace", question: "none.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "another type", question: "web.shop.example.org.", qtype: dns.TypeTXT},
		{name: "another type of no such service", question: "none.shop.example.org.", qtype: dns.TypeTXT, rcode: dns.RcodeNameError},
		{name: "hidden namespace", corefile: plain + "\nkubernetes cluster.local {\n namespaces shop\n}", question: "secret.hidden.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "a TTL", corefile: "k8s_external example.org {\n ttl 60\n}", question: "dns.shop.example.org.", qtype: dns.TypeA, answer: []string{"dns.shop.example.org. 60 IN A 192.0.2.3"}},
		{name: "TTL 0", corefile: "k8s_external example.org {\n ttl 0\n}", question: "dns.shop.example.org.", qtype: dns.TypeA, answer: []string{"dns.shop.example.org. 0 IN A 192.0.2.3"}},
		{name: "the server block's zones", corefile: "k8s_external", question: "dns.shop.", qtype: dns.TypeA, answer: []string{"dns.shop. 5 IN A 192.0.2.3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newBed(t, or(test.corefile, plain)))
		})
	}
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// RFC 2782.
func TestServices(t *testing.T) {
	t.Parallel()
	for _, test := range []serve{
		{
			name: "all ports; the weight is a share of 100 among ports and addresses", question: "web.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{"web.shop.example.org. 5 IN SRV 0 12 443 web.shop.example.org.", "web.shop.example.org. 5 IN SRV 0 12 80 web.shop.example.org."},
			extra:  []string{"web.shop.example.org. 5 IN A 192.0.2.1", "web.shop.example.org. 5 IN A 192.0.2.2", "web.shop.example.org. 5 IN AAAA 2001:db8::1"},
		},
		{
			name: "one port", question: "_dns._udp.dns.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{"_dns._udp.dns.shop.example.org. 5 IN SRV 0 100 53 dns.shop.example.org."},
			extra:  []string{"dns.shop.example.org. 5 IN A 192.0.2.3"},
		},
		{
			name: "two ports of one number", question: "dns.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{"dns.shop.example.org. 5 IN SRV 0 50 53 dns.shop.example.org."},
			extra:  []string{"dns.shop.example.org. 5 IN A 192.0.2.3"},
		},
		{name: "no port", question: "bare.shop.example.org.", qtype: dns.TypeSRV},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newBed(t, plain))
		})
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	const headless = "k8s_external example.org {\n headless\n}"
	for _, test := range []serve{
		{name: "addresses", question: "db.shop.example.org.", qtype: dns.TypeA, answer: []string{"db.shop.example.org. 5 IN A 10.244.0.1", "db.shop.example.org. 5 IN A 10.244.0.2"}},
		{name: "IPv6 address", question: "db.shop.example.org.", qtype: dns.TypeAAAA, answer: []string{"db.shop.example.org. 5 IN AAAA fd00::2"}},
		{name: "one by its hostname", question: "DB-0.db.shop.example.org.", qtype: dns.TypeA, answer: []string{"DB-0.db.shop.example.org. 5 IN A 10.244.0.1"}},
		{name: "one by its address", question: "10-244-0-2.db.shop.example.org.", qtype: dns.TypeA, answer: []string{"10-244-0-2.db.shop.example.org. 5 IN A 10.244.0.2"}},
		{name: "one with a hostname by its address", question: "10-244-0-1.db.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "no such endpoint", question: "db-9.db.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "one of a service with a virtual IP", question: "10-244-0-3.inside.shop.example.org.", qtype: dns.TypeA, answer: []string{"10-244-0-3.inside.shop.example.org. 5 IN A 10.244.0.3"}},
		{name: "a service with a virtual IP itself", question: "inside.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "external addresses go first", question: "shown.shop.example.org.", qtype: dns.TypeA, answer: []string{"shown.shop.example.org. 5 IN A 192.0.2.6"}},
		{
			name: "SRV of a port", question: "_pg._tcp.db.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{
				"_pg._tcp.db.shop.example.org. 5 IN SRV 0 33 5432 10-244-0-2.db.shop.example.org.",
				"_pg._tcp.db.shop.example.org. 5 IN SRV 0 33 5432 db-0.db.shop.example.org.",
			},
			extra: []string{
				"10-244-0-2.db.shop.example.org. 5 IN A 10.244.0.2", "db-0.db.shop.example.org. 5 IN A 10.244.0.1",
				"db-0.db.shop.example.org. 5 IN AAAA fd00::2",
			},
		},
		{
			name: "SRV of an endpoint", question: "10-244-0-2.db.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{
				"10-244-0-2.db.shop.example.org. 5 IN SRV 0 50 5432 10-244-0-2.db.shop.example.org.",
				"10-244-0-2.db.shop.example.org. 5 IN SRV 0 50 9187 10-244-0-2.db.shop.example.org.",
			},
			extra: []string{"10-244-0-2.db.shop.example.org. 5 IN A 10.244.0.2"},
		},
		{name: "no endpoints are to be known", corefile: headless + "\nkubernetes cluster.local {\n noendpoints\n}", question: "db.shop.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newBed(t, or(test.corefile, headless)))
		})
	}
}

// Load balancers of some clouds have a name instead of an address.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, test := range []serve{
		{name: "A", question: "cloud.shop.example.org.", qtype: dns.TypeA, answer: []string{"cloud.shop.example.org. 5 IN CNAME lb.Example.net.", "lb.example.net. 60 IN A 198.51.100.1"}},
		{name: "AAAA", question: "cloud.shop.example.org.", qtype: dns.TypeAAAA, answer: []string{"cloud.shop.example.org. 5 IN CNAME lb.Example.net."}},
		{name: "beside an address", question: "mixed.shop.example.org.", qtype: dns.TypeA, answer: []string{
			"lb.example.net. 60 IN A 198.51.100.1", "mixed.shop.example.org. 5 IN A 192.0.2.5", "mixed.shop.example.org. 5 IN CNAME lb.example.net."}},
		{name: "CNAME", question: "cloud.shop.example.org.", qtype: dns.TypeCNAME},
		{
			name: "SRV", question: "cloud.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{"cloud.shop.example.org. 5 IN SRV 0 50 443 lb.Example.net.", "cloud.shop.example.org. 5 IN SRV 0 50 80 lb.Example.net."},
			extra:  []string{"lb.example.net. 60 IN A 198.51.100.1"},
		},
		{
			name: "SRV beside an address", question: "mixed.shop.example.org.", qtype: dns.TypeSRV,
			answer: []string{"mixed.shop.example.org. 5 IN SRV 0 50 80 lb.example.net.", "mixed.shop.example.org. 5 IN SRV 0 50 80 mixed.shop.example.org."},
			extra:  []string{"lb.example.net. 60 IN A 198.51.100.1", "mixed.shop.example.org. 5 IN A 192.0.2.5"},
		},
		{name: "no such port", question: "_smtp._tcp.cloud.shop.example.org.", qtype: dns.TypeSRV, rcode: dns.RcodeNameError},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, plain)
			b.hosts = map[string][]string{"lb.example.net. A": {"lb.example.net. 60 IN A 198.51.100.1"}}
			test.run(t, b)
		})
	}
}

func TestHostsWithoutAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t, plain)
	b.failing = errors.New("no upstream")
	serve{question: "cloud.shop.example.org.", qtype: dns.TypeA, answer: []string{"cloud.shop.example.org. 5 IN CNAME lb.Example.net."}}.run(t, b)
	b.failing = plugin.ErrOverload
	if m, err := b.ask(t, "cloud.shop.example.org.", dns.TypeA); !errors.Is(err, plugin.ErrOverload) {
		t.Errorf("answer %v, error %v: with too many waiting, nobody knows", m, err)
	}
}

func TestReverse(t *testing.T) {
	t.Parallel()
	for _, test := range []serve{
		{name: "an address", question: "1.2.0.192.in-addr.arpa.", qtype: dns.TypePTR, answer: []string{"1.2.0.192.in-addr.arpa. 5 IN PTR web.shop.example.org."}},
		{name: "no such address", question: "99.2.0.192.in-addr.arpa.", qtype: dns.TypePTR, rcode: dns.RcodeNameError},
		{name: "another type (RFC 8020)", question: "1.2.0.192.in-addr.arpa.", qtype: dns.TypeA},
		{name: "a hidden namespace", corefile: plain + "\nkubernetes cluster.local {\n namespaces shop\n}", question: "7.2.0.192.in-addr.arpa.", qtype: dns.TypePTR, rcode: dns.RcodeNameError},
		{name: "PTR of a service's name", question: "web.shop.example.org.", qtype: dns.TypePTR},
		{name: "PTR of no such service", question: "none.shop.example.org.", qtype: dns.TypePTR, rcode: dns.RcodeNameError},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newBed(t, or(test.corefile, plain)))
		})
	}
}

func TestApex(t *testing.T) {
	t.Parallel()
	for _, test := range []serve{
		{name: "SOA", question: "example.org.", qtype: dns.TypeSOA, answer: []string{"example.org." + soaEnd}},
		{
			name: "NS: addresses of the host, where no service has them", question: "example.org.", qtype: dns.TypeNS,
			answer: []string{"example.org. 5 IN NS ns1.dns.example.org."},
			extra:  []string{"ns1.dns.example.org. 5 IN A 192.168.0.10", "ns1.dns.example.org. 5 IN AAAA fd00::10"},
		},
		{name: "another type", question: "example.org.", qtype: dns.TypeA},
		{name: "the label of the apex", question: "dns.example.org.", qtype: dns.TypeA},
		{name: "the name server", question: "ns1.dns.example.org.", qtype: dns.TypeAAAA, answer: []string{"ns1.dns.example.org. 5 IN AAAA fd00::10"}},
		{name: "the name server, another type", question: "ns1.dns.example.org.", qtype: dns.TypeSRV},
		{name: "another name server", question: "ns2.dns.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "below the name server", question: "a.ns1.dns.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{
			name: "another label", corefile: "k8s_external example.org {\n apex Servers\n}", question: "example.org.", qtype: dns.TypeNS,
			answer: []string{"example.org. 5 IN NS ns1.servers.example.org."},
			extra:  []string{"ns1.servers.example.org. 5 IN A 192.168.0.10", "ns1.servers.example.org. 5 IN AAAA fd00::10"},
		},
		{name: "the usual label is then a namespace", corefile: "k8s_external example.org {\n apex servers\n}", question: "dns.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
		{name: "it does not fall through", corefile: "k8s_external example.org {\n fallthrough\n}", question: "ns2.dns.example.org.", qtype: dns.TypeA, rcode: dns.RcodeNameError},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, newBed(t, or(test.corefile, plain)))
		})
	}
}

// The name server's addresses are those of the services that have this host as endpoint.
func TestNameServerService(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		serve
		kind     cluster.ServiceType
		external []string
	}{
		{serve: serve{name: "with external addresses", answer: []string{"ns1.dns.example.org. 5 IN A 192.0.2.53"}}, kind: cluster.ClusterIP, external: []string{"192.0.2.53", "lb.example.net"}},
		{serve: serve{name: "without"}, kind: cluster.ClusterIP},
		{serve: serve{name: "headless", corefile: "k8s_external example.org {\n headless\n}", answer: []string{
			"ns1.dns.example.org. 5 IN A 192.168.0.10", "ns1.dns.example.org. 5 IN A 192.168.0.11"}}, kind: cluster.Headless},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, or(test.corefile, plain))
			b.service(t, "coredns.shop", test.kind, "dns/udp/53", test.external...)
			b.slice(t, "coredns.shop", "dns/udp/53", "192.168.0.10", "192.168.0.11")
			test.question, test.qtype = "ns1.dns.example.org.", dns.TypeA
			test.run(t, b)
		})
	}
}

func TestFallthrough(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, question string
		unsynced                 bool
		through                  bool
	}{
		{name: "all zones", corefile: "k8s_external example.org {\n fallthrough\n}", question: "none.shop.example.org.", through: true},
		{name: "this zone", corefile: "k8s_external example.org {\n fallthrough shop.example.org\n}", question: "none.shop.example.org.", through: true},
		{name: "another zone", corefile: "k8s_external example.org {\n fallthrough example.net\n}", question: "none.shop.example.org."},
		{name: "not given", corefile: plain, question: "none.shop.example.org."},
		{name: "no data", corefile: "k8s_external example.org {\n fallthrough\n}", question: "empty.example.org."},
		{name: "outside the zones", corefile: plain, question: "example.com.", through: true},
		{name: "not synced yet", corefile: "k8s_external example.org {\n fallthrough\n}", question: "web.shop.example.org.", unsynced: true, through: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			open := newBed
			if test.unsynced {
				open = newUnsynced
			}
			m, err := open(t, test.corefile).ask(t, test.question, dns.TypeA)
			if err != nil {
				t.Fatal(err)
			}
			if m.Authoritative == test.through {
				t.Errorf("AA %v, want an answer of the next directive's: %v", m.Authoritative, test.through)
			}
		})
	}
}

// Without the API server's list nobody knows what is not there.
func TestUnsynced(t *testing.T) {
	t.Parallel()
	b := newUnsynced(t, plain)
	m, err := b.ask(t, "web.shop.example.org.", dns.TypeA)
	if err != nil || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("answer %v, error %v; want SERVFAIL", m, err)
	}
}

// A change of what is shown inside only is none of the zone's, unless endpoints are shown.
func TestSerial(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile string
		want           uint32
	}{
		{name: "plain", corefile: plain},
		{name: "headless", corefile: "k8s_external example.org {\n headless\n}", want: lastChange},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newUnsynced(t, test.corefile)
			b.service(t, "db.shop", cluster.Headless, "pg/tcp/5432")
			m, err := b.ask(t, "example.org.", dns.TypeSOA)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Answer[0].(*dns.SOA).Serial; got != test.want {
				t.Errorf("serial %d, want %d", got, test.want)
			}
		})
	}
}

// RFC 5936, section 2.2.1: whoever may not have the zone is refused.
func TestTransferIsRefused(t *testing.T) {
	t.Parallel()
	m, err := newBed(t, plain).ask(t, "example.org.", dns.TypeAXFR)
	if err != nil || m.Rcode != dns.RcodeRefused {
		t.Errorf("answer %v, error %v", m, err)
	}
}

func TestStartWithoutKubernetes(t *testing.T) {
	t.Parallel()
	h := &Handler{env: &plugin.Env{}}
	h.env.Instance = block.Instance{
		{Handlers: []plugin.Handler{h, block.HandlerFunc(nil)}},
		{Handlers: []plugin.Handler{&bed{}}}, // of another server block
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "kubernetes directive is missing") {
		t.Errorf("error is %v", err)
	}
}

func TestAnswersAreLive(t *testing.T) {
	t.Parallel()
	b := newBed(t, "k8s_external example.org {\n fallthrough\n}")
	for question, live := range map[string]bool{"web.shop.example.org.": true, "none.shop.example.org.": false, "example.com.": false} {
		x := block.NewExchange(t, question, dns.TypeA)
		if err := block.Serve(x, b.Handler, block.Reply(dns.RcodeNameError)); err != nil {
			t.Fatal(err)
		}
		if x.Live != live {
			t.Errorf("%s: live %v, want %v", question, x.Live, live)
		}
	}
}

func TestServeAllocatesNothing(t *testing.T) {
	b := newBed(t, "k8s_external example.org {\n headless\n}")
	next := block.HandlerFunc(func(context.Context, *plugin.Exchange) error { return nil })
	for _, test := range []struct {
		question string
		qtype    uint16
	}{
		{"example.com.", dns.TypeA}, {"web.shop.example.org.", dns.TypeA}, {"web.shop.example.org.", dns.TypeSRV},
		{"db.shop.example.org.", dns.TypeA}, {"none.shop.example.org.", dns.TypeA}, {"example.org.", dns.TypeSOA},
	} {
		x := block.NewExchange(t, test.question, test.qtype)
		chain := []plugin.Handler{b.Handler, next}
		n := testing.AllocsPerRun(100, func() {
			x.Begin(b, chain)
			if err := x.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s %s: %v allocations a query, want none", test.question, dns.Type(test.qtype), n)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("a", 60)+".", 4)
	for _, test := range []struct {
		name, corefile, want string
	}{
		{
			name: "everything wrong", corefile: ". {\n k8s_external a..b {\n  ttl 3601\n  apex a.b\n  headles\n }\n}",
			want: "Corefile:2: \"a..b\" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted\n" +
				"Corefile:3: ttl: \"3601\" is not a whole number from 0 to 3600\n" +
				"Corefile:4: apex: \"a.b\" is not one label of 1 to 63 bytes such as \"dns\"\n" +
				"Corefile:5: k8s_external: unknown option \"headles\"; did you mean \"headless\"? (known options: apex, fallthrough, headless, hosts, ttl)",
		},
		{
			name: "a zone without room", corefile: ". {\n k8s_external " + long + "\n}",
			want: "Corefile:2: k8s_external: zone " + long + " is too long: hostmaster.dns." + long + " has to be a name of 255 bytes at most",
		},
		{name: "hosts of unknown kinds", corefile: ". {\n k8s_external a {\n  hosts ingress service\n }\n}", want: "Corefile:3: hosts: unknown kind \"service\": ingress or gateway is wanted"},
		{name: "hosts twice", corefile: ". {\n k8s_external a {\n  hosts ingress ingress\n }\n}", want: "Corefile:3: hosts: ingress is given twice"},
		{name: "twice", corefile: ". {\n k8s_external a\n k8s_external b\n}", want: "Corefile:3: k8s_external: given twice in a server block; the first one is at Corefile:2"},
		{name: "a bad zone to fall through", corefile: ". {\n k8s_external a {\n  fallthrough b..c\n }\n}", want: "Corefile:3: \"b..c\" is not a domain name: labels of 1 to 63 bytes, 255 in all, are wanted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(&plugin.Env{}, block.Lines(t, test.corefile, "k8s_external"))
			if err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// The examples show the kubernetes directive beside this one.
func TestReadme(t *testing.T) {
	t.Parallel()
	block.BuildExamples(t, Spec())
	for _, example := range block.Examples(t) {
		if file, err := corefile.Parse("Corefile", []byte(example)); err != nil || len(block.Lines(t, example, "kubernetes")) != len(file.Blocks) {
			t.Errorf("error %v, or no kubernetes directive in the example\n%s", err, example)
		}
	}
}

// Without the right to Gateways nobody knows which names there are, but those of services are known all the same.
func TestHostsUnlisted(t *testing.T) {
	t.Parallel()
	b := newUnsynced(t, "k8s_external example.org {\n hosts gateway\n}")
	b.w.Expect("test", cluster.KindService, cluster.KindNamespace, cluster.KindGateway, cluster.KindHTTPRoute)
	b.w.PutNamespace("shop")
	b.service(t, "web.shop", cluster.ClusterIP, "http/tcp/80", "192.0.2.1")
	b.w.EndList(cluster.KindService)
	b.w.EndList(cluster.KindNamespace)
	for name, rcode := range map[string]int{"web.shop.example.org.": dns.RcodeSuccess, "www.example.org.": dns.RcodeServerFailure} {
		if m, err := b.ask(t, name, dns.TypeA); err != nil || m.Rcode != rcode {
			t.Errorf("%s: answer %v, error %v; want %s", name, m, err, dns.RcodeToString[rcode])
		}
	}
	if _, _, err := b.Contents("\x07example\x03org\x00"); err == nil {
		t.Error("a part of the zone was handed out")
	}
	b.w.EndList(cluster.KindGateway)
	b.w.EndList(cluster.KindHTTPRoute)
	if m, err := b.ask(t, "www.example.org.", dns.TypeA); err != nil || m.Rcode != dns.RcodeNameError {
		t.Errorf("listed: answer %v, error %v", m, err)
	}
}
