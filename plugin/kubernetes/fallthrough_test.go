package kubernetes

import (
	"strings"
	"testing"
)

func TestFallthrough(t *testing.T) {
	const missing = "nobody.shop.svc.cluster.local. A"
	for _, test := range []struct {
		why, line        string
		forward, reverse []string // of names that are not there
	}{
		{why: "none", line: "", forward: []string{"NXDOMAIN"}, reverse: []string{"NXDOMAIN"}},
		{why: "all zones", line: "fallthrough", forward: []string{"NEXT"}, reverse: []string{"NEXT"}},
		{why: "reverse zones, as kubeadm has it", line: "fallthrough in-addr.arpa ip6.arpa", forward: []string{"NXDOMAIN"}, reverse: []string{"NEXT"}},
		{why: "part of a zone", line: "fallthrough shop.svc.cluster.local", forward: []string{"NEXT"}, reverse: []string{"NXDOMAIN"}},
		{why: "another part", line: "fallthrough ops.svc.cluster.local", forward: []string{"NXDOMAIN"}, reverse: []string{"NXDOMAIN"}},
		{why: "an address block", line: "fallthrough 10.9.0.0/16", forward: []string{"NXDOMAIN"}, reverse: []string{"NEXT"}},
		{why: "another address block", line: "fallthrough 10.8.0.0/16", forward: []string{"NXDOMAIN"}, reverse: []string{"NXDOMAIN"}},
		{why: "any spelling", line: "fallthrough Cluster.LOCAL", forward: []string{"NEXT"}, reverse: []string{"NXDOMAIN"}},
	} {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			b := newBed(t, "kubernetes cluster.local in-addr.arpa {\n"+test.line+"\n}", fillShop)
			b.check(t, []row{
				{why: "a forward name", ask: missing, want: test.forward},
				{why: "a reverse name", ask: "1.2.9.10.in-addr.arpa. PTR", want: test.reverse},
				{why: "NODATA is an answer", ask: "web.shop.svc.cluster.local. TXT", want: []string{"NODATA"}},
				{why: "so is an empty name", ask: "shop.svc.cluster.local. A", want: []string{"NODATA"}},
			})
		})
	}
}

// TestUnsynced: what is loaded is answered; what is not may be missing because it was not listed yet.
func TestUnsynced(t *testing.T) {
	b := newUnsynced(t, plainCorefile)
	fillShop(&script{t: t, w: b.w})
	b.check(t, []row{
		{why: "a service that is known", ask: "web.shop.svc.cluster.local. A", want: []string{"@ 5 A 10.96.0.1"}},
		{why: "a type that it has not", ask: "web.shop.svc.cluster.local. TXT", want: []string{"NODATA"}},
		{why: "a service that is not known", ask: "nobody.shop.svc.cluster.local. A", want: []string{"SERVFAIL"}},
		{why: "a namespace that is not known", ask: "web.nowhere.svc.cluster.local. A", want: []string{"SERVFAIL"}},
		{why: "a name that cannot be", ask: "x.cluster.local. A", want: []string{"SERVFAIL"}},
		{why: "the apex", ask: "cluster.local. A", want: []string{"NODATA"}},
	})
}
