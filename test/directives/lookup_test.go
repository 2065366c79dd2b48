package directives

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// resolver is a pod's resolver: it walks its search list for names with fewer than five dots ("ndots:5"), once for each
// address family, as those of libraries do.
type resolver struct {
	server  string
	search  []string
	queries int
}

// lookup is the addresses of a name.
func (r *resolver) lookup(t *testing.T, name string) (addresses []string) {
	t.Helper()
	var names []string
	if dns.CountLabel(name)-1 < 5 {
		for _, suffix := range r.search {
			names = append(names, name+"."+suffix)
		}
	}
	for _, candidate := range append(names, name) {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			r.queries++
			m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(candidate), qtype), r.server)
			if err != nil {
				t.Fatal(err)
			}
			for _, rr := range m.Answer {
				switch rr := rr.(type) {
				case *dns.A:
					addresses = append(addresses, rr.A.String())
				case *dns.AAAA:
					addresses = append(addresses, rr.AAAA.String())
				}
			}
		}
		if len(addresses) > 0 {
			return addresses
		}
	}
	return nil
}

// TestLookupCosts measures what a look-up costs with and without autopath, no pod being watched: queries of the client, and
// exchanges with the upstream.
func TestLookupCosts(t *testing.T) {
	dir := t.TempDir()
	const objects = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n" +
		"apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "objects.yaml"), []byte(objects), 0o644); err != nil {
		t.Fatal(err)
	}
	var exchanges atomic.Int32
	up := serveDNS(t, func(w dns.ResponseWriter, r *dns.Msg) {
		exchanges.Add(1)
		m := new(dns.Msg).SetReply(r)
		if q := r.Question[0]; q.Name != "www.example.com." {
			m.Rcode, m.Ns = dns.RcodeNameError, record(". 60 IN SOA a. b. 1 2 3 4 5")
		} else if q.Qtype == dns.TypeA {
			m.Answer = record(q.Name + " 60 IN A 198.51.100.1")
		} else {
			m.Answer = record(q.Name + " 60 IN AAAA 2001:db8::1")
		}
		_ = w.WriteMsg(m) // who has gone does not want it
	})
	node := nodeDomains()
	search := append([]string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"}, node...)
	const zone = ". {\nbind 127.0.0.1\n%s\nkubernetes cluster.local {\nmanifests %s\npods insecure\n}\nforward . %s\n}\n"
	for _, test := range []struct {
		name             string
		directives       string
		look             string
		queries          int // of one look-up
		first, following int // exchanges with the upstream, of the first look-up and of those after it
	}{
		{name: "without, an external name", look: "www.example.com", queries: 2 * (len(search) + 1), first: 2 * (len(node) + 1), following: 2 * (len(node) + 1)},
		{name: "with autopath, an external name", directives: "autopath @kubernetes", look: "www.example.com", queries: 2, first: 2 * (len(node) + 1), following: 2 * (len(node) + 1)},
		{name: "with cache, an external name", directives: "cache 30", look: "www.example.com", queries: 2 * (len(search) + 1), first: 2 * (len(node) + 1)},
		{name: "with autopath and cache, an external name", directives: "autopath @kubernetes\ncache 30", look: "www.example.com", queries: 2, first: 2 * (len(node) + 1)},
		{name: "without, a service", look: "web", queries: 2},
		{name: "with autopath, a service", directives: "autopath @kubernetes", look: "web", queries: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := resolver{server: peer.StartNameplane(t, fmt.Sprintf(zone, test.directives, dir, up)), search: search}
			for i := range 3 {
				r.queries = 0
				exchanges.Store(0)
				addresses := r.lookup(t, test.look)
				t.Logf("look-up %d: %d queries, %d exchanges with the upstream: %v", i+1, r.queries, exchanges.Load(), addresses)
				want := test.first
				if i > 0 {
					want = test.following
				}
				if len(addresses) == 0 || r.queries != test.queries || int(exchanges.Load()) != want {
					t.Errorf("%d queries and %d exchanges, want %d and %d, and an address", r.queries, exchanges.Load(), test.queries, want)
				}
			}
		})
	}
}

// nodeDomains are those that the server finds for pods on this machine.
func nodeDomains() []string {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	return config.Search
}
