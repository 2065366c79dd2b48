package standard

import (
	"slices"
	"strings"
	"testing"
)

// coreDNS is the order of CoreDNS 1.15 (its plugin.cfg), whose behaviour hangs on it.
const coreDNS = "root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid bufsize " +
	"bind debug trace ready health pprof shed prometheus errors log dnstap local dns64 siit any chaos loadbalance tsig rewrite " +
	"autopath acl cache header dnssec tls minimal template transfer dynupdate hosts route53 azure clouddns k8s_external kubernetes " +
	"file auto secondary etcd loop forward grpc erratic whoami on sign view nomad"

// own are the directives that CoreDNS does not have; they come last.
const own = "vip"

func TestOrder(t *testing.T) {
	t.Parallel()
	order := strings.Fields(coreDNS + " " + own)
	last := -1
	seen := map[string]bool{}
	for _, spec := range List(nil) {
		if seen[spec.Name] {
			t.Errorf("%s is in the list twice", spec.Name)
		}
		seen[spec.Name] = true
		at := slices.Index(order, spec.Name)
		if at <= last {
			t.Errorf("%s is at place %d of CoreDNS's order, and the one before at %d", spec.Name, at, last)
		}
		last = at
	}
}

// -plugins prints the summaries: one line, lower case, no period.
func TestSummaries(t *testing.T) {
	t.Parallel()
	for _, spec := range List(nil) {
		s := spec.Summary
		if s == "" || len(s) > 80 || strings.ContainsAny(s, "\n") || strings.HasSuffix(s, ".") || spec.Build == nil {
			t.Errorf("%s: summary %q", spec.Name, s)
		}
	}
}
