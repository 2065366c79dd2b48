// Package k8sexternal is the directive k8s_external: names for the outside of a cluster. SERVICE.NAMESPACE.ZONE has the
// addresses by which a service is reached from there, which are its external IPs and its load balancer's, or, if the operator
// wants, the endpoints of a headless one; and the host names of Ingresses and of the Gateway API.
//
// It shows what the kubernetes directive of the same server block knows, and asks it what it may show. The two are separate
// since their zones are: the same service has other addresses in each.
package k8sexternal

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
)

// backend is what the kubernetes directive tells of its cluster.
type backend interface {
	Store() *cluster.Store
	Exposed(namespace []byte) bool
	Shows(svc *cluster.Service) bool
	Endpoints(svc *cluster.Service) *cluster.Endpoints
	PodNames() bool
	Local() []netip.Addr
}

// Handler answers names for the outside of a cluster.
type Handler struct {
	options
	env     *plugin.Env
	cluster backend // set by Start
}

// Name is the directive's.
func (h *Handler) Name() string { return "k8s_external" }

// Start finds the kubernetes directive.
func (h *Handler) Start(context.Context) error {
	for _, block := range h.env.Instance.Blocks() {
		if !slices.Contains(block.Handlers, plugin.Handler(h)) {
			continue
		}
		for _, other := range block.Handlers {
			if b, ok := other.(backend); ok {
				h.cluster = b
				return nil
			}
		}
	}
	return errors.New("the kubernetes directive is missing in this server block: it knows the services")
}

// Serve answers what lies in the zones, and hands on everything else.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	l := lookup{h: h}
	if !l.Take(x, h.zones) {
		return x.Next(ctx)
	}
	if l.RefuseTransfer() {
		return nil
	}
	exists, err := l.answer(ctx, x)
	if err != nil {
		x.Reply.Reset()
		return err
	}
	if !exists {
		return h.nameError(ctx, x, &l)
	}
	if l.Empty() {
		l.negative(dns.RcodeSuccess)
	}
	return nil
}

// nameError is the end of a question for a name that is not there. Without the API server's list nobody knows that, and
// the client gets SERVFAIL; except where the zone is another directive's too.
func (h *Handler) nameError(ctx context.Context, x *plugin.Exchange, l *lookup) error {
	switch {
	case !l.servers() && h.fall.Contains(&x.Query):
		return plugin.Disown(ctx, x)
	case !h.complete():
		l.negative(dns.RcodeServerFailure)
	default:
		l.negative(dns.RcodeNameError)
	}
	return nil
}

// complete tells whether every object that gives the zones their names was listed once.
func (h *Handler) complete() bool {
	store := h.cluster.Store()
	return store.Synced() && (len(h.kinds) == 0 || store.Listed(cluster.KindIngress, cluster.KindGateway, cluster.KindHTTPRoute))
}

// lookup is one question on its way to an answer. It lives on the stack.
type lookup struct {
	plugin.Own
	h *Handler
}

// negative makes the reply one without an answer.
func (l *lookup) negative(rcode int) {
	soa := l.h.soa()
	l.Negative(rcode, &soa)
}

// answer appends the records of the question, and tells whether its name exists.
func (l *lookup) answer(ctx context.Context, x *plugin.Exchange) (exists bool, err error) {
	switch {
	case l.Left == 0:
		l.apexAnswer()
		return true, nil
	case l.servers():
		return l.serversAnswer(), nil
	}
	if addr, ok := l.Query.Reverse(); ok {
		return l.reverseAnswer(addr), nil
	}
	n, exists := l.parse()
	if n.svc != nil {
		exists, err = l.serviceAnswer(ctx, x, &n)
	}
	if len(l.h.kinds) == 0 || n.svc != nil && (exists || err != nil) {
		return exists, err
	}
	return l.namedAnswer(ctx, x, exists)
}

// serviceAnswer answers the name of a service, or of one of its ports or endpoints.
func (l *lookup) serviceAnswer(ctx context.Context, x *plugin.Exchange, n *name) (exists bool, err error) {
	switch {
	case l.h.headless && len(n.svc.External) == 0 && (n.svc.Type == cluster.Headless || len(n.endpoint) > 0):
		return l.endpointAnswer(n), nil
	case slices.ContainsFunc(n.svc.External, isHost):
		return l.hostAnswer(ctx, x, n)
	}
	return l.addressAnswer(n), nil
}

// isHost tells whether a service is known by a name, as those of some clouds' load balancers are.
func isHost(e cluster.External) bool { return e.Name != "" }

// wants tells whether an address is of the family that is asked for.
func (l *lookup) wants(a *cluster.Addr) bool { return a.Is4() == (l.Query.Type == dns.TypeA) }
