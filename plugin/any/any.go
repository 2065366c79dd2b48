// Package any is the directive that answers questions for all types at once with a single HINFO record (RFC 8482), so that
// they are of no use for flooding others with large replies.
package any

import (
	"context"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	ttl = 8482 // seconds: the RFC's number, by which the record is told from a real one
	// data is the record's CPU and OS, each behind its length (RFC 1035, section 3.3.2).
	data = "\x0dANY obsoleted\x0cSee RFC 8482"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "any",
		Summary: "answers questions of type ANY with one small record",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	for _, line := range lines {
		problems.Join(line.WantArgs(0, 0, "any"))
		problems.Join(line.NoBody())
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return Handler{}, nil
}

// Handler answers questions of type ANY.
type Handler struct{}

// Name is "any".
func (Handler) Name() string { return "any" }

// Serve answers as RFC 8482, section 4.2 proposes, whatever the name, and hands on other types.
func (Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if x.Query.Type != dns.TypeANY {
		return x.Next(ctx)
	}
	r := &x.Reply
	r.Start(&x.Query, dns.RcodeSuccess)
	r.Open(wire.QuestionName, dns.TypeHINFO, ttl)
	r.Text(data)
	r.Close()
	return nil
}
