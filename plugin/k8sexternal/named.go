package k8sexternal

import (
	"context"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// The host names of Ingresses and of the Gateway API, with the option "hosts". They are names of the zone beside those of
// services, which come first; a wildcard stands for what has no name of its own (RFC 4592).

// The kinds that "hosts" takes.
const (
	ingress = "ingress"
	gateway = "gateway"
)

const wildcard = "\x01*"

// namedAnswer answers a name that is no service's; exists tells whether it is there all the same, as a namespace is.
func (l *lookup) namedAnswer(ctx context.Context, x *plugin.Exchange, exists bool) (bool, error) {
	store := l.h.cluster.Store()
	if host := store.Host(l.Query.Name()); host != nil {
		if external, shown := l.h.leads(host); shown {
			return true, l.leads(ctx, x, external)
		}
		if len(host.Parts) == 0 {
			return true, nil // for the sake of names below
		}
	}
	var buf [wire.MaxName + len(wildcard)]byte
	above := append(append(buf[:0], wildcard...), l.Query.From(l.encloser())...)
	if host := store.Host(above); host != nil {
		if external, shown := l.h.leads(host); shown {
			return true, l.leads(ctx, x, external)
		}
	}
	return exists, nil
}

// encloser is the number of labels to take away from the name for the next above that exists (RFC 4592, section 3.3.1).
func (l *lookup) encloser() int {
	for i := 1; i < l.Left; i++ {
		if l.h.cluster.Store().Host(l.Query.From(i)) != nil || i == l.Left-1 && l.h.cluster.Exposed(l.Query.Span(i, i+1)) {
			return i
		}
	}
	return l.Left
}

// leads is where a host leads, by the objects of namespaces that are shown; shown is false without any. A name cannot be
// both an alias and have addresses, nor two aliases (RFC 2181, section 10.1), so addresses come before load balancers'
// names, and of those the first.
func (h *Handler) leads(host *cluster.Host) (external []cluster.External, shown bool) {
	for _, part := range host.Parts {
		if h.cluster.Exposed([]byte(part.Namespace)) {
			external, shown = append(external, part.External...), true
		}
	}
	if slices.ContainsFunc(external, func(e cluster.External) bool { return !isHost(e) }) {
		return slices.DeleteFunc(external, isHost), shown
	}
	return external[:min(len(external), 1)], shown
}

// leads appends the answer for a host.
func (l *lookup) leads(ctx context.Context, x *plugin.Exchange, external []cluster.External) error {
	isAddress := l.Query.Type == dns.TypeA || l.Query.Type == dns.TypeAAAA
	if len(external) == 1 && isHost(external[0]) {
		h := hosts{lookup: *l, x: x, external: external}
		if isAddress {
			return h.reply(h.addresses(ctx))
		}
		h.alias(external[0])
		return h.reply(nil)
	}
	if isAddress {
		l.addresses(external)
	}
	return nil
}

// apexHost answers A and AAAA at the zone's own name. It cannot be an alias, as it has other records.
func (l *lookup) apexHost() {
	host := l.h.cluster.Store().Host(l.Query.Name())
	if host == nil {
		return
	}
	if external, _ := l.h.leads(host); !slices.ContainsFunc(external, isHost) {
		l.addresses(external)
	}
}
