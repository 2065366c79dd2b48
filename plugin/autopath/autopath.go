// Package autopath is the directive that walks a client's search list in the client's stead.
//
// A pod's resolver tries "www.example.com" below its namespace, below svc, below the cluster's zone and below the node's
// domains before it asks for the name as it is: with "ndots:5" four or more questions, twice over for both address
// families, of which only the last has an answer. The first of them tells all that is needed: what is behind the name is
// the first entry of the list. So the directive asks for the others itself, which costs no packet, and gives the first
// answer that there is as an alias of what was asked.
//
// The question is asked as it stands first: a name that exists costs nothing more than it would without the directive.
package autopath

import (
	"context"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// Handler walks search lists.
type Handler struct {
	env      *plugin.Env
	zones    plugin.Zones
	file     string // resolv.conf; empty where a directive is to be asked
	from     string // the directive to be asked
	search   []wire.Name
	searcher plugin.Searcher
	success  map[string]prometheus.Counter // by listener
}

// Name is "autopath".
func (h *Handler) Name() string { return "autopath" }

// Serve asks for the question's name and, if there is no such name, for what the search list makes of it.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if !h.zones.Contains(&x.Query) {
		return x.Next(ctx)
	}
	path := h.path(x)
	if len(path) == 0 {
		return x.Next(ctx)
	}
	left, ok := x.Query.Within(path[0])
	if !ok || left == 0 {
		return x.Next(ctx)
	}
	w := walk{x: x, asked: x.Query, left: left}
	found, err := w.walk(ctx, path)
	if found {
		h.count(x.Server)
	}
	return err
}

func (h *Handler) path(x *plugin.Exchange) []wire.Name {
	if h.searcher != nil {
		return h.searcher.SearchPath(x)
	}
	return h.search
}

func (h *Handler) count(server string) {
	if c := h.success[server]; c != nil {
		c.Inc()
	}
}

// walk is one question on its way along a search list.
type walk struct {
	x     *plugin.Exchange
	asked wire.Query // as the client asked
	left  int        // labels in front of the first entry
}

// walk asks until a name exists. Where none does, the reply is that to the question as it was asked.
func (w *walk) walk(ctx context.Context, path []wire.Name) (found bool, err error) {
	x := w.x
	if err := x.Next(ctx); err != nil || w.exists() {
		return err == nil, err
	}
	first, live := x.Reply, x.Live
	defer func() { x.Query = w.asked }()
	for _, suffix := range path[1:] {
		x.Reply, x.Live, x.Query = wire.Reply{}, false, w.asked
		if x.Query.SetQuestion(w.name(suffix), x.Query.Type, x.Query.Class) != nil {
			continue // too long to be a name
		}
		if err := x.Next(ctx); err != nil {
			x.Reply.Reset()
			return false, err
		}
		if w.exists() {
			return true, w.alias()
		}
	}
	x.Reply, x.Live = first, live
	return false, nil
}

// exists tells whether the reply is any but that there is no such name: no address is an answer, and so is trouble.
func (w *walk) exists() bool {
	return w.x.Reply.Made() && w.x.Reply.Rcode() != dns.RcodeNameError
}

// name is the question's own part, in the client's spelling, with another suffix.
func (w *walk) name(suffix wire.Name) []byte {
	whole := w.asked.Spelling(0)
	own := whole[:len(whole)-len(w.asked.Spelling(w.left))]
	return append(append(make([]byte, 0, len(own)+len(suffix)), own...), suffix...)
}

// alias makes the reply one to the question as it was asked: in front of the answers stands a CNAME to the name that they
// are of, with their TTL.
func (w *walk) alias() error {
	asked := w.asked.NameString()
	return w.x.Reply.Edit(&w.asked, func(m *dns.Msg) {
		if len(m.Answer) > 0 {
			h := m.Answer[0].Header()
			m.Answer = append([]dns.RR{&dns.CNAME{
				Hdr:    dns.RR_Header{Name: asked, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: h.Ttl},
				Target: h.Name,
			}}, m.Answer...)
		}
		if len(m.Question) > 0 {
			m.Question[0].Name = asked
		}
	})
}
