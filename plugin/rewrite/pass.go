package rewrite

import (
	"context"
	"log/slog"
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// pass is one question on its way through the rules. It is pooled.
type pass struct {
	log     *slog.Logger
	x       *plugin.Exchange
	client  wire.Query // the question that came in; set once changed
	changed bool
	named   bool   // text is the name of x.Query
	text    []byte // in lower case, as a person writes it
	undo    []undo
	options []optionUndo
}

// undo is what a rule does to a reply, record by record.
type undo interface {
	// record changes rr, a record of m, or what of m does not depend on it.
	record(ctx context.Context, p *pass, m *dns.Msg, rr dns.RR)
}

// field is an undo that needs no message: it changes a TTL or the response code.
type field interface {
	undo
	ttl(ttl uint32) uint32
	rcode(rcode int) int
}

func (p *pass) begin(x *plugin.Exchange) {
	p.x, p.changed, p.named = x, false, false
	p.undo, p.options = p.undo[:0], p.options[:0]
}

// end lets go of everything that belongs to the exchange.
func (p *pass) end() {
	clear(p.undo)
	clear(p.options)
	p.x = nil
	if p.changed {
		p.client = wire.Query{}
	}
}

// name is the question's name, in lower case, as a person writes it.
func (p *pass) name() []byte {
	if !p.named {
		p.text, p.named = p.x.Query.AppendText(p.text[:0]), true
	}
	return p.text
}

// keep puts the client's question aside before the first change.
func (p *pass) keep() {
	if !p.changed {
		p.client, p.changed = p.x.Query, true
	}
}

// ask changes the question for everybody behind.
func (p *pass) ask(name []byte, qtype, class uint16) error {
	p.keep()
	p.named = false
	return p.x.Query.SetQuestion(name, qtype, class)
}

// restore puts the client's question back.
func (p *pass) restore() {
	if p.changed {
		p.x.Query = p.client
	}
}

// hides tells whether a rule turns this response code into another.
func (p *pass) hides(rcode int) bool {
	return slices.ContainsFunc(p.undo, func(u undo) bool {
		f, ok := u.(field)
		return ok && f.rcode(rcode) != rcode
	})
}

// revert makes the reply one to the client's question.
func (p *pass) revert(ctx context.Context) error {
	fieldsOnly := !slices.ContainsFunc(p.undo, func(u undo) bool {
		_, ok := u.(field)
		return !ok
	})
	if fieldsOnly && (!p.changed || p.x.Reply.Restore(&p.client)) {
		p.fields()
		p.restore()
		return nil
	}
	p.keep()
	err := p.x.Reply.Edit(&p.client, func(m *dns.Msg) { p.message(ctx, m) })
	p.restore()
	return err
}

// fields changes TTLs and the response code where they stand. As in CoreDNS rules of response codes go over the reply
// once for each record, and once where there is none.
func (p *pass) fields() {
	if len(p.undo) == 0 {
		return
	}
	r := &p.x.Reply
	records := r.Records()
	for i := range max(records, 1) {
		for _, u := range slices.Backward(p.undo) {
			f := u.(field)
			r.SetRcode(f.rcode(r.Rcode()))
			if i < records {
				r.SetRecordTTL(i, f.ttl(r.Record(i).TTL))
			}
		}
	}
}

// message changes the reply as a message. The records that the sections have at the beginning are gone through, even
// where a rule puts others in their place.
func (p *pass) message(ctx context.Context, m *dns.Msg) {
	m.Question = []dns.Question{{Name: p.client.NameString(), Qtype: p.client.Type, Qclass: p.client.Class}}
	if len(m.Answer)+len(m.Ns)+len(m.Extra) == 0 {
		for _, u := range slices.Backward(p.undo) {
			if f, ok := u.(field); ok {
				m.Rcode = f.rcode(m.Rcode)
			}
		}
		return
	}
	for _, section := range [...][]dns.RR{m.Ns, m.Answer, m.Extra} {
		for _, rr := range section {
			for _, u := range slices.Backward(p.undo) {
				u.record(ctx, p, m, rr)
			}
		}
	}
}
