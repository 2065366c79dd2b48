// Package rewrite is the directive that changes questions on their way in, and what the changed question brought on its
// way out, so that the client sees an answer to what it asked.
//
// Rules look at the question as bytes. One that does not match costs its comparison. What a rule changes in the question is
// a new packet for everybody behind; the client's is put back afterwards. TTLs and response codes are changed in the reply
// where they stand; whatever changes names works on the unpacked message, since a name's place in a packet is where others
// point to.
package rewrite

import (
	"context"
	"fmt"
	"sync"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// Handler applies its rules in their order.
type Handler struct {
	rules  []rule
	echoed []uint16 // EDNS options that a reply without any gets back from the question
	passes sync.Pool
}

// rule is one line of the Corefile.
type rule struct {
	change
	goOn bool // the next rule is looked at even though this one has matched
}

// change is what a rule does to a question.
type change interface {
	// apply changes p's question and notes what is to be done to the reply. It is false when the rule does not match.
	apply(p *pass) (matched bool, err error)
}

// Name is "rewrite".
func (h *Handler) Name() string { return "rewrite" }

// Serve changes the question, hands it on, and changes the reply in the opposite order of rules.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	p := h.passes.Get().(*pass)
	p.begin(x)
	err := h.serve(ctx, p)
	p.end()
	h.passes.Put(p)
	return err
}

func (h *Handler) serve(ctx context.Context, p *pass) error {
	for i := range h.rules {
		matched, err := h.rules[i].apply(p)
		if err != nil {
			p.restore()
			return err
		}
		if matched && !h.rules[i].goOn {
			break
		}
	}
	err := p.x.Next(ctx)
	if err != nil && p.hides(dns.RcodeServerFailure) {
		// A rule speaks of what the client would get for this error. It is told here, since no error is left to return.
		p.log.Error(fmt.Sprintf("%s %s: %v", p.client.NameString(), p.client.TypeString(), err))
		p.x.Reply.Start(&p.x.Query, dns.RcodeServerFailure)
		err = nil
	}
	if err != nil || !p.x.Reply.Made() {
		p.restore()
		return err
	}
	h.echo(p)
	return p.revert(ctx)
}
