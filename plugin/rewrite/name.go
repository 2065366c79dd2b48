package rewrite

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const nameForm = "rewrite name [exact|prefix|suffix|substring|regex] FROM TO [metadata] [answer auto|name FROM TO|value FROM TO ...]"

// nameRule asks for another name.
type nameRule struct {
	matcher
	to     string
	wireTo []byte // exact: to in wire form, none if it is no name
	parts  []part // of to, where it takes metadata
	auto   bool   // names in the reply that are the one asked for instead become the client's
	answer []undo
}

func newNameRule(line *corefile.Directive, args []string) (change, error) {
	if len(args) < 2 {
		return nil, line.Errorf("a name rule wants at least 2 arguments, but has %d; write %q", len(args), nameForm)
	}
	kind, args := exact, args
	if len(args) > 2 {
		var err error
		if kind, err = parseKind(line, args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	if len(args) < 2 {
		return nil, line.Errorf("FROM or TO is missing; write %q", nameForm)
	}
	m, err := newMatcher(line, kind, args[0])
	if err != nil {
		return nil, err
	}
	r := &nameRule{matcher: m, to: normal(args[1])}
	rest := args[2:]
	if metadata := len(rest) > 0 && rest[0] == "metadata"; metadata {
		if kind != regex {
			return nil, line.Errorf("metadata goes with regex only, not with %s", kind)
		}
		if r.parts, err = parseParts(line, dns.Fqdn(args[1]), m.pattern.NumSubexp()); err != nil {
			return nil, err
		}
		rest = rest[1:]
	} else if kind == regex {
		if err := checkGroups(line, m.pattern, args[1]); err != nil {
			return nil, err
		}
	}
	if err := r.parseAnswers(line, rest); err != nil {
		return nil, err
	}
	if kind == exact { // the reply's names are always changed back
		r.auto = false
		r.answer = append(remap{from: r.to, to: r.text}.undo(), r.answer...)
		if name, err := wire.ParseName(r.to); err == nil {
			r.wireTo = []byte(name)
		}
	}
	return r, nil
}

// parseAnswers reads [answer] auto | name FROM TO | value FROM TO, any number of times. Only the first "answer" has to be
// written.
func (r *nameRule) parseAnswers(line *corefile.Directive, args []string) error {
	const form = "answer auto, answer name FROM TO or answer value FROM TO"
	if len(args) == 0 {
		return nil
	}
	if args[0] != "answer" {
		return line.Errorf("%q is not understood behind TO%s; write %s", args[0], near(args[0], []string{"answer"}), form)
	}
	auto, names := false, false
	for len(args) > 0 {
		if args[0] == "answer" {
			args = args[1:]
		}
		if len(args) == 0 {
			return line.Errorf("answer is not followed by what is meant; write %s", form)
		}
		switch word := args[0]; word {
		case "auto":
			auto, args = true, args[1:]
		case "name", "value":
			if len(args) < 3 {
				return line.Errorf("answer %s wants FROM and TO", word)
			}
			s, err := newSubstitution(line, args[1], args[2])
			if err != nil {
				return err
			}
			if word == "name" {
				names = true
				r.answer = append(r.answer, owners{s})
			} else {
				r.answer = append(r.answer, values{s})
			}
			args = args[3:]
		default:
			return line.Errorf("%q is none of auto, name, value%s; write %s", word, near(word, []string{"auto", "name", "value"}), form)
		}
	}
	if auto && names {
		return line.Errorf("answer auto and answer name exclude each other: keep one")
	}
	if auto && r.kind == suffix {
		back := swappedSuffix{from: r.to, to: r.text}
		r.answer = append([]undo{owners{back}, values{back}}, r.answer...)
		return nil
	}
	r.auto = r.auto || auto
	return nil
}

func (r *nameRule) apply(p *pass) (bool, error) {
	if !r.matches(p) {
		return false, nil
	}
	q := &p.x.Query
	if r.wireTo != nil {
		p.undo = append(p.undo, r.answer...)
		return true, p.ask(r.wireTo, q.Type, q.Class)
	}
	was := string(p.name())
	to, ok := r.replacement(p, was)
	if !ok {
		return false, nil
	}
	name, err := wire.ParseName(to)
	if err != nil {
		return false, fmt.Errorf("rewrite: %s would be %w", was, err)
	}
	if r.auto {
		p.undo = append(p.undo, remap{from: to, to: was}.undo()...)
	}
	p.undo = append(p.undo, r.answer...)
	return true, p.ask([]byte(name), q.Type, q.Class)
}

// replacement is the name to ask for; ok is false when metadata that it is made of is missing.
func (r *nameRule) replacement(p *pass, was string) (to string, ok bool) {
	switch r.kind {
	case prefix:
		return r.to + was[len(r.text):], true
	case suffix:
		return was[:len(was)-len(r.text)] + r.to, true
	case substring:
		return strings.ReplaceAll(was, r.text, r.to), true
	case regex:
		groups := r.pattern.FindStringSubmatch(was)
		if r.parts != nil {
			return join(r.parts, groups, p.x.Metadata)
		}
		return expand(r.to, groups), true
	}
	return r.to, true
}

// rewriter changes a name in a reply.
type rewriter interface{ rewrite(name string) string }

// remap puts one name, and the end of names below it, in the place of another.
type remap struct{ from, to string }

func (m remap) rewrite(name string) string {
	above, found := strings.CutSuffix(name, m.from)
	if found && (above == "" || strings.HasSuffix(above, ".")) {
		return above + m.to
	}
	return name
}

func (m remap) undo() []undo { return []undo{owners{m}, values{m}} }

// swappedSuffix undoes a suffix rule.
type swappedSuffix struct{ from, to string }

func (s swappedSuffix) rewrite(name string) string {
	if above, found := strings.CutSuffix(name, s.from); found {
		return above + s.to
	}
	return name
}

// substitution makes a name of the groups of a pattern.
type substitution struct {
	pattern *regexp.Regexp
	to      string
}

func newSubstitution(line *corefile.Directive, from, to string) (substitution, error) {
	pattern, err := compile(line, from)
	if err != nil {
		return substitution{}, err
	}
	return substitution{pattern, normal(to)}, checkGroups(line, pattern, to)
}

func (s substitution) rewrite(name string) string {
	if groups := s.pattern.FindStringSubmatch(name); groups != nil {
		return expand(s.to, groups)
	}
	return name
}

// owners changes the owners of records.
type owners struct{ rewriter }

func (o owners) record(_ context.Context, _ *pass, _ *dns.Msg, rr dns.RR) {
	rr.Header().Name = o.rewrite(rr.Header().Name)
}

// values changes names in the data of records.
type values struct{ rewriter }

func (v values) record(_ context.Context, _ *pass, _ *dns.Msg, rr dns.RR) {
	if name := target(rr); name != nil && *name != "" {
		*name = v.rewrite(*name)
	}
}

// target is the name in the data of a record; nil where there is none that rules speak of.
func target(rr dns.RR) *string {
	switch rr := rr.(type) {
	case *dns.CNAME:
		return &rr.Target
	case *dns.DNAME:
		return &rr.Target
	case *dns.MX:
		return &rr.Mx
	case *dns.NAPTR:
		return &rr.Replacement
	case *dns.NS:
		return &rr.Ns
	case *dns.PTR:
		return &rr.Ptr
	case *dns.SOA:
		return &rr.Ns
	case *dns.SRV:
		return &rr.Target
	}
	return nil
}
