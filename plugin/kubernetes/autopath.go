package kubernetes

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// resolvConf is where the domains that pods get from their nodes are read: this server runs on a node too.
const resolvConf = "/etc/resolv.conf"

// searchPaths keeps the search lists that were asked for: there are as many as namespaces.
type searchPaths struct {
	node []wire.Name // domains behind the cluster's; set by Start
	made atomic.Pointer[map[string][]wire.Name]
	mu   sync.Mutex // held while made is replaced
}

// SearchPath implements plugin.Searcher. With "pods verified" the client's namespace is that of the pod with its address.
// Otherwise it is read off the question: a pod in namespace N that looks up www.example.com asks for
// www.example.com.N.svc.ZONE first. Such a question could be meant to the letter, which is why it takes a dot in front of
// the namespace, as names of services there have none, and a name that no service of the namespace covers.
func (k *Kubernetes) SearchPath(x *plugin.Exchange) []wire.Name {
	q := &x.Query
	zone, left, ok := k.zones.Match(q)
	if !ok || left < 3 || string(q.Label(left-1)) != "svc" {
		return nil
	}
	if k.pods == podsVerified {
		pod := k.client(x)
		if pod == nil || pod.Namespace != string(q.Label(left-2)) {
			return nil
		}
	} else if left < 4 || !k.exposed(q.Span(left-2, left-1)) || k.services(zone).Service(q.Span(left-3, left-1)) != nil {
		return nil
	}
	return k.paths.get(q.From(left-2), zone)
}

// client is the pod that asks, nil where it is none, or pods are not watched.
func (k *Kubernetes) client(x *plugin.Exchange) *cluster.Pod {
	if k.pods != podsVerified || !x.Client.IsValid() {
		return nil
	}
	return k.store.PodAt(cluster.AddrFrom(x.Client.Addr()))
}

// get is the search list of pods whose first entry is first, in wire form.
func (p *searchPaths) get(first []byte, zone wire.Name) []wire.Name {
	if made := p.made.Load(); made != nil {
		if path := (*made)[string(first)]; path != nil {
			return path
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	path := append([]wire.Name{wire.Name(first), svcLabel + zone, zone}, p.node...)
	path = append(path, wire.Root)
	next := map[string][]wire.Name{}
	if made := p.made.Load(); made != nil {
		maps.Copy(next, *made)
	}
	next[string(first)] = path
	p.made.Store(&next)
	return path
}

// nodeDomains is the search list of a resolv.conf; without one, or without such a file, pods have none either.
func nodeDomains(file string) (domains []wire.Name) {
	config, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil
	}
	for _, domain := range config.Search {
		if name, err := wire.ParseName(domain); err == nil {
			domains = append(domains, name)
		}
	}
	return domains
}
