// Package hosts is the directive that answers from a file in the form of /etc/hosts, and from lines of that form in the
// Corefile. A name is looked up by its bytes in a map that is made when the file is read, and addresses are copied from
// there into the reply, so that an answer allocates nothing however long the file is.
package hosts

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// Handler answers from a file and from inline lines.
type Handler struct {
	path    string
	zones   plugin.Zones
	fall    plugin.Zones
	ttl     uint32
	reverse bool          // entries make PTR records
	reload  time.Duration // between two looks at the file; 0 for one look only
	// unsupported hands other types than A, AAAA and PTR on, where fall allows
	unsupported bool

	inline *table
	file   atomic.Pointer[table]
	seen   stamp // of the file that was read last; Start and Run are its only users, one after the other

	metrics *metrics
	log     *slog.Logger
}

// Name is "hosts".
func (h *Handler) Name() string { return "hosts" }

// Serve answers A, AAAA and PTR questions. A name that is known has no records of other types. One that is not known gets
// SERVFAIL: without a zone's SOA there is no NXDOMAIN to be cached (RFC 2308, section 3).
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	q := &x.Query
	if q.Type == dns.TypePTR {
		return h.servePTR(ctx, x)
	}
	if !h.zones.Contains(q) {
		return x.Next(ctx)
	}
	var file, inline []byte
	a, b := h.file.Load().find(q), h.inline.find(q)
	switch q.Type {
	case dns.TypeA:
		file, inline = a.v4, b.v4
	case dns.TypeAAAA:
		file, inline = a.v6, b.v6
	default:
		if h.unsupported && h.fall.Contains(q) {
			return x.Next(ctx)
		}
	}
	if a.empty() && b.empty() {
		return h.miss(ctx, x)
	}
	x.Reply.Start(q, dns.RcodeSuccess)
	x.Reply.SetAuthoritative(true)
	h.addresses(&x.Reply, q.Type, file)
	h.addresses(&x.Reply, q.Type, inline)
	return nil
}

func (h *Handler) miss(ctx context.Context, x *plugin.Exchange) error {
	if h.fall.Contains(&x.Query) {
		return x.Next(ctx)
	}
	x.Reply.Start(&x.Query, dns.RcodeServerFailure)
	return nil
}

func (h *Handler) addresses(r *wire.Reply, qtype uint16, addresses []byte) {
	size := 4
	if qtype == dns.TypeAAAA {
		size = 16
	}
	for ; len(addresses) > 0; addresses = addresses[size:] {
		r.Address(wire.QuestionName, addresses[:size], h.ttl)
	}
}

// servePTR answers for addresses of entries, whatever zones the directive is for: reverse zones need not be written out.
func (h *Handler) servePTR(ctx context.Context, x *plugin.Exchange) error {
	addr, ok := x.Query.Reverse()
	if !ok {
		return x.Next(ctx)
	}
	file, inline := h.file.Load().reverse[addr], h.inline.reverse[addr]
	if len(file)+len(inline) == 0 {
		return x.Next(ctx)
	}
	x.Reply.Start(&x.Query, dns.RcodeSuccess)
	x.Reply.SetAuthoritative(true)
	h.pointers(&x.Reply, file)
	h.pointers(&x.Reply, inline)
	return nil
}

func (h *Handler) pointers(r *wire.Reply, names []byte) {
	for len(names) > 0 {
		end := 0
		for names[end] != 0 {
			end += 1 + int(names[end])
		}
		r.Open(wire.QuestionName, dns.TypePTR, h.ttl)
		r.Name(names[:end+1])
		r.Close()
		names = names[end+1:]
	}
}
