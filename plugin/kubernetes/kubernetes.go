// Package kubernetes is the directive that answers cluster names: services, headless services and their endpoints, pods,
// ExternalNames and reverse names, by the Kubernetes DNS-based service discovery specification 1.1.0.
//
// It is a function from (store, zone, labels, type) to records: it reads the shared cluster.Store at each question and
// appends to the reply, without a cache of its own. The store is the cache; so a new service is visible at once, and
// nothing has to be invalidated. Behaviour is CoreDNS's, but for the differences listed in README.md.
package kubernetes

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// Kubernetes answers for its zones from a Store.
type Kubernetes struct {
	options
	zones   plugin.Zones
	primary wire.Name // zone of the targets of reverse names
	store   *cluster.Store
	lease   *cluster.Lease
	metrics *metrics
	log     *slog.Logger
	listen  *plugin.Listen
	local   []netip.Addr // of this host, for NS; set by Start
	targets sync.Pool    // *targets
	paths   searchPaths
	unwatch func()
}

// Name is the directive's.
func (k *Kubernetes) Name() string { return "kubernetes" }

// Serve answers what lies in the zones, and hands on everything else.
func (k *Kubernetes) Serve(ctx context.Context, x *plugin.Exchange) error {
	l := lookup{k: k}
	if !l.Take(x, k.zones) {
		return x.Next(ctx)
	}
	l.set = k.isSet(l.Zone)
	if l.RefuseTransfer() {
		return nil
	}
	exists, err := l.answer(ctx, x)
	if err != nil {
		x.Reply.Reset()
		return err
	}
	if !exists {
		return k.nameError(ctx, x, &l)
	}
	if l.Empty() {
		l.negative(dns.RcodeSuccess)
	}
	return nil
}

// nameError is the end of a question for a name that is not there. Without the API server's list nobody knows that:
// the client gets SERVFAIL. A reverse name waits for the list even where "fallthrough" would ask an upstream, since a
// private address must neither leak nor be denied by someone else (D7).
func (k *Kubernetes) nameError(ctx context.Context, x *plugin.Exchange, l *lookup) error {
	synced := k.complete(l.set)
	if k.fall.Contains(&x.Query) && (synced || !x.Query.IsReverse()) {
		return plugin.Disown(ctx, x)
	}
	if !synced {
		l.negative(dns.RcodeServerFailure)
		return nil
	}
	l.negative(dns.RcodeNameError)
	return nil
}

// complete tells whether every object that gives a zone its names was listed once; set is of a cluster set's zone.
func (k *Kubernetes) complete(set bool) bool {
	return k.store.Synced() && (!set || k.store.Listed(cluster.KindServiceImport))
}

// lookup is one question on its way to an answer. It lives on the stack.
type lookup struct {
	plugin.Own
	k   *Kubernetes
	set bool // the zone is a cluster set's
}

// negative makes the reply one without an answer.
func (l *lookup) negative(rcode int) {
	var soa wire.SOA
	l.k.soa(&soa, l.Zone)
	l.Negative(rcode, &soa)
}

// answer appends the records of the question, and tells whether its name exists.
func (l *lookup) answer(ctx context.Context, x *plugin.Exchange) (exists bool, err error) {
	var n name
	kind := l.parse(&n)
	if n.svc != nil && n.svc.Type == cluster.ExternalName {
		return l.externalAnswer(ctx, x, &n)
	}
	return l.internal(&n, kind), nil
}

// internal is answer for everything that the store alone answers. It is apart from answer because chains of CNAMEs come
// back to it: a recursion through answer would cost every question two allocations.
func (l *lookup) internal(n *name, kind kind) (exists bool) {
	switch kind {
	case structural:
		return l.apexAnswer()
	case version:
		return l.versionAnswer()
	case nameServer:
		return l.nameServerAnswer()
	case podName:
		return l.podAnswer(n)
	case serviceName:
		return l.serviceAnswer(n)
	case reverseName:
		return l.reverseAnswer(n.addr)
	}
	return false
}
