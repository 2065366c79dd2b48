// Package template is the directive that makes records of a question by text/template. What decides whether a template is
// about a question at all is compared as bytes; only a question that is answered is unpacked.
package template

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	texttemplate "text/template"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/expression"
	"github.com/nameplane/nameplane/server/wire"
)

// Handler answers from the first of its templates that matches.
type Handler struct {
	zones     plugin.Zones // of all templates
	templates []*template
	metrics   *metrics
	log       *slog.Logger
	queries   sync.Pool // of *expression.Query
}

// template is one directive of the Corefile.
type template struct {
	class, qtype uint16
	zones        plugin.Zones
	patterns     []*regexp.Regexp
	variables    []variable
	conditions   []*expression.Program
	fall         plugin.Zones
	rcode        int
	records      [3][]*texttemplate.Template // by section
	trouble      []byte                      // an extended error (RFC 8914, section 2) as option data; nil for none
}

// Name is "template".
func (h *Handler) Name() string { return "template" }

// Serve answers from a template. Where one is about the zone, class and type, and no pattern of it matches or a condition is
// not true, the name is not there: SERVFAIL, or with fallthrough the next template or directive.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	q := &x.Query
	if !h.zones.Contains(q) {
		return x.Next(ctx)
	}
	var name string // worked out when it is needed
	for _, t := range h.templates {
		zone, ok := t.about(q)
		if !ok {
			continue
		}
		if name == "" {
			name = string(q.AppendText(nil))
		}
		if d := t.match(x, zone, name); d != nil {
			holds, err := t.evaluate(x, d, &h.queries)
			if err != nil {
				return fmt.Errorf("template: an expression failed: %w", err)
			}
			if holds {
				return h.answer(ctx, x, t, d)
			}
		}
		if !t.fall.Contains(q) {
			x.Reply.Start(q, dns.RcodeServerFailure)
			return nil
		}
	}
	return x.Next(ctx)
}

// about tells whether a question's zone, class and type are the template's.
func (t *template) about(q *wire.Query) (zone wire.Name, ok bool) {
	zone, _, ok = t.zones.Match(q)
	return zone, ok && covers(t.class, q.Class, dns.ClassANY) && covers(t.qtype, q.Type, dns.TypeANY)
}

func covers(mine, asked, all uint16) bool { return mine == asked || mine == all || asked == all }

// match is what the templates of records may use, by the first pattern that matches; nil when none does.
func (t *template) match(x *plugin.Exchange, zone wire.Name, name string) *data {
	for _, p := range t.patterns {
		if groups := p.FindStringSubmatch(name); groups != nil {
			return newData(x, t, zone, name, p, groups)
		}
	}
	return nil
}

// answer makes the reply. A record that cannot be made is an error.
func (h *Handler) answer(ctx context.Context, x *plugin.Exchange, t *template, d *data) error {
	h.metrics.matches.WithLabelValues(d.labels()...).Inc()
	if t.rcode == dns.RcodeServerFailure {
		x.Reply.Start(&x.Query, t.rcode)
		return nil
	}
	asked, err := d.Message()
	if err != nil {
		return err
	}
	m := new(dns.Msg).SetRcode(asked, t.rcode)
	m.Authoritative = true
	for section, into := range [...]*[]dns.RR{wire.Answer: &m.Answer, wire.Authority: &m.Ns, wire.Additional: &m.Extra} {
		for _, text := range t.records[section] {
			rr, err := h.record(text, d)
			if err != nil {
				return err
			}
			*into = append(*into, rr)
			if section == int(wire.Answer) {
				h.follow(ctx, x, m, rr)
			}
		}
	}
	if err := x.Reply.SetMsg(&x.Query, m); err != nil {
		return err
	}
	if t.trouble != nil {
		x.Reply.AddOption(dns.EDNS0EDE, t.trouble)
	}
	return nil
}

// follow adds what the target of a CNAME has, if addresses were asked for. What cannot be found out is left to the client.
func (h *Handler) follow(ctx context.Context, x *plugin.Exchange, m *dns.Msg, rr dns.RR) {
	cname, ok := rr.(*dns.CNAME)
	if !ok || x.Query.Type != dns.TypeA && x.Query.Type != dns.TypeAAAA {
		return
	}
	target, err := wire.ParseName(cname.Target)
	if err != nil {
		return // dns.NewRR made it, so that it is a name
	}
	found, err := x.Resolve(ctx, target, x.Query.Type)
	if err != nil {
		h.log.Error(fmt.Sprintf("the target of %s %s: %v", cname.Hdr.Name, cname.Target, err))
		return
	}
	if found != nil {
		m.Truncated = found.Truncated
		m.Answer = append(m.Answer, found.Answer...)
	}
}
