package rewrite

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// deepest bounds the questions that CNAMEs of replies to each other lead to, as in CoreDNS.
const deepest = 8

const cnameForm = "rewrite cname [exact|prefix|suffix|substring|regex] FROM TO"

// cnameRule changes the targets of CNAME records, and puts what the new target has in the place of what the old one had.
type cnameRule struct {
	kind string
	from string
	to   string
	substitution
}

func newCNAMERule(line *corefile.Directive, args []string) (change, error) {
	if len(args) < 2 || len(args) > 3 {
		return nil, line.Errorf("a cname rule wants 2 or 3 arguments, but has %d; write %q", len(args), cnameForm)
	}
	r := &cnameRule{kind: exact}
	if len(args) == 3 {
		var err error
		if r.kind, err = parseKind(line, args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	// Unlike those of name rules, parts of names are taken as they are written, without a final dot.
	r.from, r.to = strings.ToLower(args[0]), strings.ToLower(args[1])
	if r.from == "" || r.to == "" {
		return nil, line.Errorf("FROM and TO must not be empty; write %q", cnameForm)
	}
	switch r.kind {
	case exact:
		r.from, r.to = normal(r.from), normal(r.to)
	case regex:
		pattern, err := compile(line, r.from)
		if err != nil {
			return nil, err
		}
		r.substitution = substitution{pattern, r.to}
	}
	return r, nil
}

func (r *cnameRule) apply(p *pass) (bool, error) {
	p.undo = append(p.undo, r)
	return true, nil
}

// retarget is the new target for one that the rule is about.
func (r *cnameRule) retarget(name string) (to string, ok bool) {
	switch r.kind {
	case exact:
		return r.to, name == r.from
	case prefix:
		rest, ok := strings.CutPrefix(name, r.from)
		return r.to + rest, ok
	case suffix:
		rest, ok := strings.CutSuffix(name, r.from)
		return rest + r.to, ok
	case substring:
		return strings.ReplaceAll(name, r.from, r.to), strings.Contains(name, r.from)
	}
	return r.rewrite(name), r.pattern.MatchString(name)
}

func (r *cnameRule) record(ctx context.Context, p *pass, m *dns.Msg, rr dns.RR) {
	cname, ok := rr.(*dns.CNAME)
	if !ok || p.x.Depth > deepest {
		return
	}
	from := cname.Target
	to, ok := r.retarget(from)
	if !ok {
		return
	}
	found, err := resolve(ctx, p.x, to)
	if err != nil {
		p.log.Error(fmt.Sprintf("the target %s of %s stays as it is: %v", from, cname.Hdr.Name, err))
		return
	}
	m.Answer = append(upTo(m.Answer, from, dns.Fqdn(to)), found.Answer...)
	m.Truncated = found.Truncated
}

// resolve asks what a new target has.
func resolve(ctx context.Context, x *plugin.Exchange, to string) (*dns.Msg, error) {
	name, err := wire.ParseName(to)
	if err != nil {
		return nil, err
	}
	found, err := x.Resolve(ctx, name, x.Query.Type)
	if err == nil && found == nil {
		err = fmt.Errorf("there is no reply for %s", name)
	}
	return found, err
}

// upTo is the CNAMEs of an answer up to the one that leads to a name, which is given another target.
func upTo(answer []dns.RR, from, to string) (kept []dns.RR) {
	for _, rr := range answer {
		cname, ok := rr.(*dns.CNAME)
		if !ok {
			continue
		}
		kept = append(kept, cname)
		if cname.Target == from {
			cname.Target = to
			break
		}
	}
	return kept
}
