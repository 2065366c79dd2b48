package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// upstream is a plugin.Host that says the same to every question.
type upstream struct {
	rcode     int
	answer    []string
	truncated bool
	err       error // instead of an answer
	overload  bool  // Yield refuses

	asked []string
}

func (u *upstream) Yield(*plugin.Exchange) error {
	if u.overload {
		return plugin.ErrOverload
	}
	return nil
}

func (u *upstream) Resolve(_ context.Context, x *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	if !x.Blocked() {
		return nil, errors.New("asked without Block")
	}
	u.asked = append(u.asked, name.String()+" "+dns.TypeToString[qtype])
	if u.err != nil {
		return nil, u.err
	}
	m := new(dns.Msg)
	m.SetQuestion(name.String(), qtype)
	m.Response, m.Rcode, m.Truncated, m.RecursionAvailable = true, u.rcode, u.truncated, true
	for _, text := range u.answer {
		rr, err := dns.NewRR(text)
		if err != nil {
			return nil, err
		}
		m.Answer = append(m.Answer, rr)
	}
	return m, nil
}

func fillExternal(s *script) {
	fillShop(s)
	s.external("www.shop", "www.example.org")
	s.external("dotted.shop", "www.example.org.")
	s.external("local.shop", "Web.shop.svc.cluster.local")
	s.external("port.shop", "_http._tcp.web.shop.svc.cluster.local")
	s.external("endpoint.shop", "twin.mix.shop.svc.cluster.local")
	s.external("pod.shop", "10-244-0-1.shop.pod.cluster.local")
	s.external("two.shop", "local.shop.svc.cluster.local")
	s.external("out.shop", "www.shop.svc.cluster.local")
	s.external("dead.shop", "nobody.shop.svc.cluster.local")
	s.external("zone.shop", "cluster.local")
	s.external("self.shop", "self.shop.svc.cluster.local")
	s.external("below.shop", "a.b.below.shop.svc.cluster.local")
	s.external("any.shop", "_._.any.shop.svc.cluster.local")
	s.external("ping.shop", "pong.shop.svc.cluster.local")
	s.external("pong.shop", "ping.shop.svc.cluster.local")
	s.external("narrow.shop", "x.local.shop.svc.cluster.local")
	s.external("four.shop", "192.0.2.1")
	s.external("six-shaped.shop", "2001:db8::1")
	s.external("to-four.shop", "four.shop.svc.cluster.local")
	s.external("bad.shop", strings.Repeat("x", 64)+".example.org")
	s.external("other.shop", "web.shop.svc.other.local")
	for i := range 12 {
		s.external(fmt.Sprintf("hop%d.shop", i), fmt.Sprintf("hop%d.shop.svc.cluster.local", i+1))
	}
	s.clusterIP("hop12.shop", "10.96.0.99", "http/tcp/80")
}

const externalCorefile = "kubernetes cluster.local other.local {\n pods insecure\n}"

// Kubernetes DNS specification 1.1.0, section 2.5.
func TestExternalNames(t *testing.T) {
	b := newBed(t, externalCorefile, fillExternal)
	b.check(t, []row{
		{why: "CNAME", ask: "www.shop.svc.cluster.local. CNAME", want: []string{"@ 5 CNAME www.example.org."}},
		{why: "CNAME, given with a dot", ask: "dotted.shop.svc.cluster.local. CNAME", want: []string{"@ 5 CNAME www.example.org."}},
		{why: "CNAME in any spelling", ask: "WWW.shop.svc.cluster.local. CNAME", want: []string{"@ 5 CNAME www.example.org."}},
		{why: "CNAME is not followed", ask: "self.shop.svc.cluster.local. CNAME", want: []string{"@ 5 CNAME self.shop.svc.cluster.local."}},
		{why: "SRV", ask: "www.shop.svc.cluster.local. SRV", want: []string{"NODATA"}},
		{why: "TXT", ask: "www.shop.svc.cluster.local. TXT", want: []string{"NODATA"}},
		{why: "MX", ask: "www.shop.svc.cluster.local. MX", want: []string{"NODATA"}},
		{why: "HTTPS", ask: "www.shop.svc.cluster.local. HTTPS", want: []string{"NODATA"}},
		{why: "ANY", ask: "www.shop.svc.cluster.local. ANY", want: []string{"NODATA"}},
		{why: "one label below", ask: "x.www.shop.svc.cluster.local. CNAME", want: []string{"NXDOMAIN"}},
		{why: "a port", ask: "_http._tcp.www.shop.svc.cluster.local. CNAME", want: []string{"NXDOMAIN"}},
		{why: "any port is no port", ask: "_._.www.shop.svc.cluster.local. CNAME", want: []string{"@ 5 CNAME www.example.org."}},
		{why: "an IPv4 address is no name", ask: "four.shop.svc.cluster.local. CNAME", want: []string{"NXDOMAIN"}},
		{why: "an IPv4 address is no name, A", ask: "four.shop.svc.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "an IPv6 address is no name", ask: "six-shaped.shop.svc.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "a target that is no name", ask: "bad.shop.svc.cluster.local. CNAME", want: []string{"NODATA"}},
		{why: "a target that is no name, A", ask: "bad.shop.svc.cluster.local. A", want: []string{"NODATA"}},
	})
	if !strings.Contains(b.log.String(), "cannot answer") {
		t.Errorf("the log says nothing of the target that is no name: %q", b.log)
	}
}

func TestExternalNamesWithinTheZone(t *testing.T) {
	b := newBed(t, externalCorefile, fillExternal)
	var hops []string
	for i := 2; i < 12; i++ {
		hops = append(hops, fmt.Sprintf("hop%d.shop.svc.cluster.local. 5 CNAME hop%d.shop.svc.cluster.local.", i, i+1))
	}
	b.check(t, []row{
		{why: "a service", ask: "local.shop.svc.cluster.local. A",
			want: []string{"@ 5 CNAME Web.shop.svc.cluster.local.", "Web.shop.svc.cluster.local. 5 A 10.96.0.1"}},
		{why: "a service without an address of that family", ask: "local.shop.svc.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "a port", ask: "port.shop.svc.cluster.local. A",
			want: []string{"@ 5 CNAME _http._tcp.web.shop.svc.cluster.local.", "_http._tcp.web.shop.svc.cluster.local. 5 A 10.96.0.1"}},
		{why: "endpoints", ask: "endpoint.shop.svc.cluster.local. A", want: []string{"@ 5 CNAME twin.mix.shop.svc.cluster.local.",
			"twin.mix.shop.svc.cluster.local. 5 A 10.244.2.3", "twin.mix.shop.svc.cluster.local. 5 A 10.244.2.4"}},
		{why: "a pod", ask: "pod.shop.svc.cluster.local. A",
			want: []string{"@ 5 CNAME 10-244-0-1.shop.pod.cluster.local.", "10-244-0-1.shop.pod.cluster.local. 5 A 10.244.0.1"}},
		{why: "another ExternalName", ask: "two.shop.svc.cluster.local. A", want: []string{"@ 5 CNAME local.shop.svc.cluster.local.",
			"local.shop.svc.cluster.local. 5 CNAME Web.shop.svc.cluster.local.", "Web.shop.svc.cluster.local. 5 A 10.96.0.1"}},
		{why: "a name that is not there", ask: "dead.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "a name without addresses", ask: "zone.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "itself", ask: "self.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "a name below itself", ask: "below.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "itself, by any port", ask: "any.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "a ring of two", ask: "ping.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "a name below an ExternalName", ask: "narrow.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "an ExternalName that is an address", ask: "to-four.shop.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "eleven links", ask: "hop1.shop.svc.cluster.local. A",
			want: append(append([]string{"@ 5 CNAME hop2.shop.svc.cluster.local."}, hops...), "hop12.shop.svc.cluster.local. 5 A 10.96.0.99")},
		{why: "twelve links", ask: "hop0.shop.svc.cluster.local. A", want: []string{"NODATA"}},
	})
}

func TestExternalNamesOutside(t *testing.T) {
	address := []string{"www.example.org. 60 IN A 192.0.2.1"}
	for _, test := range []struct {
		why      string
		ask      string
		upstream upstream
		asked    []string
		want     []string
	}{
		{
			why: "an address", ask: "www.shop.svc.cluster.local. A", upstream: upstream{answer: address},
			asked: []string{"www.example.org. A"}, want: []string{"@ 5 CNAME www.example.org.", "www.example.org. 60 A 192.0.2.1"},
		},
		{
			why: "IPv6", ask: "www.shop.svc.cluster.local. AAAA", upstream: upstream{answer: []string{"www.example.org. 60 IN AAAA 2001:db8::1"}},
			asked: []string{"www.example.org. AAAA"}, want: []string{"@ 5 CNAME www.example.org.", "www.example.org. 60 AAAA 2001:db8::1"},
		},
		{
			why: "behind another ExternalName", ask: "out.shop.svc.cluster.local. A", upstream: upstream{answer: address},
			asked: []string{"www.example.org. A"},
			want: []string{"@ 5 CNAME www.shop.svc.cluster.local.", "www.shop.svc.cluster.local. 5 CNAME www.example.org.",
				"www.example.org. 60 A 192.0.2.1"},
		},
		{
			why: "another zone of ours is asked like any other", ask: "other.shop.svc.cluster.local. A",
			upstream: upstream{answer: []string{"web.shop.svc.other.local. 5 IN A 10.96.0.1"}}, asked: []string{"web.shop.svc.other.local. A"},
			want: []string{"@ 5 CNAME web.shop.svc.other.local.", "web.shop.svc.other.local. 5 A 10.96.0.1"},
		},
		{
			why: "NXDOMAIN", ask: "www.shop.svc.cluster.local. A", upstream: upstream{rcode: dns.RcodeNameError},
			asked: []string{"www.example.org. A"}, want: []string{"@ 5 CNAME www.example.org."},
		},
		{
			why: "SERVFAIL", ask: "www.shop.svc.cluster.local. A", upstream: upstream{rcode: dns.RcodeServerFailure},
			asked: []string{"www.example.org. A"}, want: []string{"@ 5 CNAME www.example.org."},
		},
		{
			why: "TC", ask: "www.shop.svc.cluster.local. A", upstream: upstream{answer: address, truncated: true},
			asked: []string{"www.example.org. A"}, want: []string{"TC", "@ 5 CNAME www.example.org.", "www.example.org. 60 A 192.0.2.1"},
		},
		{
			why: "no reply", ask: "www.shop.svc.cluster.local. A", upstream: upstream{err: errors.New("i/o timeout")},
			asked: []string{"www.example.org. A"}, want: []string{"NODATA"},
		},
		{
			why: "too many wait already", ask: "www.shop.svc.cluster.local. A", upstream: upstream{overload: true},
			want: []string{"error: " + plugin.ErrOverload.Error()},
		},
		{
			why: "nobody asks for a CNAME's target", ask: "www.shop.svc.cluster.local. CNAME", upstream: upstream{overload: true},
			want: []string{"@ 5 CNAME www.example.org."},
		},
		{
			why: "nor for a type that the name has not", ask: "www.shop.svc.cluster.local. HTTPS", upstream: upstream{overload: true},
			want: []string{"NODATA"},
		},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			b := newBed(t, externalCorefile, fillExternal)
			got := b.ask(t, &test.upstream, test.ask)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.ask, diff)
			}
			if diff := cmp.Diff(test.asked, test.upstream.asked); diff != "" {
				t.Errorf("upstream (-want +got):\n%s", diff)
			}
		})
	}
}
