// Package minimal is the directive that sends positive answers without their authority and additional sections: most
// clients read neither, and smaller replies are cut or fragmented less often.
package minimal

import (
	"context"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "minimal",
		Summary: "strips positive answers of all but the answer section",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	for _, line := range lines {
		problems.Join(line.WantArgs(0, 0, "minimal"))
		problems.Join(line.NoBody())
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return Handler{}, nil
}

// Handler strips replies.
type Handler struct{}

// Name is "minimal".
func (Handler) Name() string { return "minimal" }

// Serve drops what is behind the answers of a positive reply, options of its OPT record included.
func (Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if err := x.Next(ctx); err != nil {
		return err
	}
	if x.Reply.Made() && positive(x) {
		x.Reply.OnlyAnswers()
	}
	return nil
}

// positive tells whether a reply means nothing by its other sections. Those of denials (RFC 2308) and of delegations
// (RFC 1034, section 4.3.2) carry the message, and so may those of errors and zone transfers.
func positive(x *plugin.Exchange) bool {
	r, q := &x.Reply, &x.Query
	if r.Rcode() != dns.RcodeSuccess || q.Opcode() != dns.OpcodeQuery || q.Type == dns.TypeAXFR || q.Type == dns.TypeIXFR {
		return false
	}
	return r.Count(wire.Answer) > 0 || !r.Has(wire.Authority, dns.TypeSOA) && !r.Has(wire.Authority, dns.TypeNS)
}
