// Package local is the directive that answers names of the host itself: localhost and the reverse zones of loopback, of "this
// network" and of the broadcast address. Such questions come from misconfigured clients, and must not go to the root
// servers (RFC 6761, section 6.3; RFC 6303).
package local

import (
	"context"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	ttl = 604800 // seconds: a week

	localhost wire.Name = "\x09localhost\x00"
	mailbox   wire.Name = "\x04root\x09localhost\x00"
	loopback  wire.Name = "\x011\x010\x010\x03127\x07in-addr\x04arpa\x00" // of 127.0.0.1
)

func zones() plugin.Zones {
	return plugin.Zones{
		localhost,
		"\x010\x07in-addr\x04arpa\x00",
		"\x03127\x07in-addr\x04arpa\x00",
		"\x03255\x07in-addr\x04arpa\x00",
	}
}

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "local",
		Summary: "answers localhost and the reverse zones of the host itself",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	h := &Handler{zones: zones(), prefix: true}
	for _, line := range lines {
		prefix := "on"
		problems.Join(line.WantArgs(0, 0, "local"))
		problems.Join(line.Decode(corefile.Enum("localhost_prefix", &prefix, "on", "off")))
		h.prefix = h.prefix && prefix == "on"
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var err error
	h.localhosts, err = plugin.Register(env.Metrics, prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "coredns", Subsystem: "local", Name: "localhost_requests_total",
		Help: "Queries for names below localhost, or beginning with it.",
	}))
	if err != nil {
		return nil, lines[0].Errorf("%v", err)
	}
	return h, nil
}

// Handler answers local names.
type Handler struct {
	zones      plugin.Zones
	prefix     bool // names that begin with the label localhost are local
	localhosts prometheus.Counter
}

// Name is "local".
func (h *Handler) Name() string { return "local" }

// Serve answers local names, and hands on all others.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	q := &x.Query
	zone, left, within := h.zones.Match(q)
	switch {
	case within && zone == localhost && left > 0, h.prefix && q.Labels() > 1 && string(q.Label(0)) == "localhost":
		h.localhosts.Inc()
		x.Reply.Start(q, dns.RcodeSuccess)
		address(x, wire.QuestionName)
	case within:
		x.Reply.Start(q, dns.RcodeSuccess)
		inZone(x, zone, left)
	default:
		return x.Next(ctx)
	}
	return nil
}

// inZone answers a name of one of the zones: the zone itself, or one below a reverse zone.
func inZone(x *plugin.Exchange, zone wire.Name, left int) {
	q, r := &x.Query, &x.Reply
	at := q.ZoneRef(zone)
	switch {
	case left > 0 && string(q.Name()) != string(loopback):
		r.SetRcode(dns.RcodeNameError)
		negative(r, at)
	case left > 0 && q.Type == dns.TypePTR:
		target(r, dns.TypePTR)
	case left > 0:
		negative(r, at)
	case q.Type == dns.TypeSOA:
		soa(r, at)
	case q.Type == dns.TypeNS:
		target(r, dns.TypeNS)
	case zone == localhost:
		address(x, at)
	default:
		negative(r, at)
	}
}

// address answers with a loopback address of the family asked for (RFC 6761, section 6.3).
func address(x *plugin.Exchange, owner wire.Ref) {
	switch x.Query.Type {
	case dns.TypeA:
		x.Reply.Address(wire.QuestionName, []byte{127, 0, 0, 1}, ttl)
	case dns.TypeAAAA:
		x.Reply.Address(wire.QuestionName, []byte{15: 1}, ttl)
	default:
		negative(&x.Reply, owner)
	}
}

// target answers with a record that points to localhost.
func target(r *wire.Reply, rtype uint16) {
	r.Open(wire.QuestionName, rtype, ttl)
	r.Name([]byte(localhost))
	r.Close()
}

// negative says that there are no data (RFC 2308, section 2.2).
func negative(r *wire.Reply, owner wire.Ref) {
	r.Section(wire.Authority)
	soa(r, owner)
}

func soa(r *wire.Reply, owner wire.Ref) {
	r.Open(owner, dns.TypeSOA, ttl)
	r.Name([]byte(localhost))
	r.Name([]byte(mailbox))
	for _, v := range [...]uint32{1, 0, 0, 0, ttl} { // serial, refresh, retry, expire, minimum
		r.Uint32(v)
	}
	r.Close()
}
