package cacheexam

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// rounds are when every question is asked, from the beginning of the test: between two full seconds since any other
// round, so that both servers see the same seconds pass.
var rounds = []time.Duration{0, 0, 1500 * time.Millisecond, 3400 * time.Millisecond, 4600 * time.Millisecond, 6800 * time.Millisecond}

// question is a name of replies, asked in one of the ways in which clients do.
type question struct{ label, as string }

func (q question) String() string { return q.label + " " + q.as }

func (q question) msg() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.label+".example.org.", dns.TypeA)
	switch q.as {
	case "plain", "spelled":
	case "CNAME":
		m.Question[0].Qtype = dns.TypeCNAME
	case "EDNS":
		m.SetEdns0(1232, false)
	case "DO":
		m.SetEdns0(1232, true)
	case "AD":
		m.AuthenticatedData = true
	case "CD":
		m.CheckingDisabled = true
	case "no RD":
		m.RecursionDesired = false
	}
	if q.as == "spelled" {
		m.Question[0].Name = strings.ToUpper(m.Question[0].Name[:2]) + m.Question[0].Name[2:]
	}
	return m
}

func questions() (all []question) {
	var labels []string
	for label := range replies {
		labels = append(labels, label)
	}
	slices.Sort(labels)
	for _, label := range labels {
		all = append(all, question{label, "plain"})
	}
	// Not of a failure: each of these would refresh it anew when it is stale, unless the refresh before is under way yet.
	for _, label := range []string{"one", "ad", "chain", "nx", "nodata"} {
		for _, as := range []string{"spelled", "CNAME", "EDNS", "DO", "AD", "CD", "no RD"} {
			all = append(all, question{label, as})
		}
	}
	return all
}

// TestAgainstCoreDNS: the same questions at the same times get the same replies, with the same TTLs, and cost the same
// questions upstream.
func TestAgainstCoreDNS(t *testing.T) {
	peer.E2E(t)
	ours := peer.Nameplane(t)
	for _, test := range []struct{ name, cache string }{
		{name: "plain", cache: "cache"},
		{name: "capped", cache: "cache 30"},
		{name: "limits", cache: "cache {\nsuccess 5000 250 3\ndenial 2500 40 1\n}"},
		{name: "no minimum", cache: "cache {\nsuccess 5000 3600 0\ndenial 2500 1800 0\nservfail 2s\n}"},
		{name: "keepttl", cache: "cache 100 {\nkeepttl\n}"},
		{name: "success disabled", cache: "cache 30 {\ndisable success\n}"},
		{name: "denial disabled", cache: "cache 30 {\ndisable denial example.org\n}"},
		{name: "both disabled, as kubeadm has it", cache: "cache 30 {\ndisable success example.org\ndisable denial example.org\n}"},
		{name: "another zone", cache: "cache 30 example.net"},
		{name: "no failures", cache: "cache {\nservfail 0\n}"},
		{name: "stale", cache: "cache {\nsuccess 5000 3600 1\ndenial 2500 1800 1\nserve_stale\n}"},
		{name: "stale with a TTL", cache: "cache {\nsuccess 5000 3600 1\nserve_stale 1h immediate 30s 10s\n}"},
		{name: "verified", cache: "cache {\nsuccess 5000 3600 1\nserve_stale 1h verify\n}"},
		{name: "verified in time", cache: "cache {\nsuccess 5000 3600 1\nserve_stale 1h verify 1s 20s\n}"},
		{name: "prefetch", cache: "cache {\nsuccess 5000 3600 1\nprefetch 2 1m 50%\n}"},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var upstreams [2]*upstream
			var servers [2]string
			for i := range servers {
				upstreams[i] = serveUpstream(t)
				bin := ours
				if i == 0 {
					bin = peer.CoreDNS(t)
				}
				servers[i], _ = peer.StartServer(t, bin, fmt.Sprintf(". {\nbind 127.0.0.1\nforward . %s\n%s\n}\n", upstreams[i].address, test.cache))
			}
			compare(t, servers, rounds)
			if diff := cmp.Diff(upstreams[0].counts(), upstreams[1].counts()); diff != "" {
				t.Errorf("questions upstream: -coredns +nameplane\n%s", diff)
			}
		})
	}
}

func compare(t *testing.T, servers [2]string, rounds []time.Duration) {
	t.Helper()
	start := time.Now()
	for n, at := range rounds {
		<-time.After(time.Until(start.Add(at)))
		for _, q := range questions() {
			var texts [2]string
			var both sync.WaitGroup
			for i, server := range servers {
				both.Go(func() { texts[i] = ask(q, server) })
			}
			both.Wait()
			if texts[0] != texts[1] {
				t.Errorf("round %d at %v: %s: -coredns +nameplane\n%s", n, at, q, cmp.Diff(texts[0], texts[1]))
			}
		}
		if late := time.Since(start) - at; late > 350*time.Millisecond {
			t.Skipf("round %d took %v: this machine is too busy to compare seconds", n, late)
		}
	}
}

// ask is a server's reply as far as it is compared: everything but the ID, the spelling of owners, and options.
func ask(q question, server string) string {
	client := dns.Client{Timeout: 5 * time.Second}
	m, _, err := client.Exchange(q.msg(), server)
	if err != nil {
		return err.Error()
	}
	m.Id = 0
	edns := m.IsEdns0() != nil
	m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	return fmt.Sprintf("EDNS %v\nquestion %s\n%s", edns, m.Question[0].Name, strings.ToLower(m.String()))
}
