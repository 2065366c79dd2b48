// Package header is the directive that sets and clears flags in the headers of queries and replies. A query's are changed
// before the rest of the chain sees it, so that upstreams and replies, which take RD over, see the change.
//
// Lines apply in their order, the last one for a flag wins; so they come down to two sets of flags for queries and two for
// replies.
package header

import (
	"context"
	"fmt"
	"strings"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const form = "set|clear aa|ra|rd..."

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "header",
		Summary: "sets and clears header flags of queries and replies",
		Build:   build,
	}
}

func build(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var (
		problems corefile.Errors
		h        Handler
	)
	problems.Join(line.WantArgs(0, 0, "header"))
	if len(line.Body) == 0 {
		problems.Join(line.Errorf("has no rule; write %q in { }", "query|response "+form))
	}
	problems.Join(line.AnyCase().Decode(
		corefile.Func("query", "query "+form, 2, -1, h.query.decode).Repeated(),
		corefile.Func("response", "response "+form, 2, -1, h.response.decode).Repeated(),
	))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &h, nil
}

// change is what becomes of flags.
type change struct{ set, clear wire.Flag }

// decode adds a line's flags.
func (c *change) decode(o *corefile.Directive) error {
	var problems corefile.Errors
	set := false
	switch word := o.Args[0].Text; strings.ToLower(word) {
	case "set":
		set = true
	case "clear":
	default:
		problems.Join(o.Errorf("%q is neither set nor clear", word))
	}
	for _, word := range o.Args[1:] {
		flag, err := parseFlag(word.Text)
		if err != nil {
			problems.Join(o.Errorf("%v", err))
		}
		c.set, c.clear = c.set&^flag, c.clear&^flag
		if set {
			c.set |= flag
		} else {
			c.clear |= flag
		}
	}
	return problems.Err()
}

func parseFlag(word string) (wire.Flag, error) {
	switch strings.ToLower(word) {
	case "aa":
		return wire.AA, nil
	case "ra":
		return wire.RA, nil
	case "rd":
		return wire.RD, nil
	}
	return 0, fmt.Errorf("%q is none of the flags aa, ra, rd", word)
}

// Handler changes flags.
type Handler struct{ query, response change }

// Name is "header".
func (h *Handler) Name() string { return "header" }

// Serve changes the query, hands it on, and changes the reply.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if h.query != (change{}) {
		x.Query.SetFlags(h.query.set, h.query.clear)
	}
	if err := x.Next(ctx); err != nil {
		return err
	}
	x.Reply.SetFlags(h.response.set, h.response.clear)
	return nil
}
