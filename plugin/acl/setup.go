package acl

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "acl",
		Summary: "allows, blocks, filters or drops queries by client, zone and type",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	h := &Handler{}
	for _, line := range lines {
		r, err := newRule(env, line)
		problems.Join(err)
		h.rules = append(h.rules, r)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var err error
	if h.metrics, err = newMetrics(env); err != nil {
		return nil, lines[0].Errorf("%v", err)
	}
	return h, nil
}

func newRule(env *plugin.Env, line *corefile.Directive) (r rule, err error) {
	var problems corefile.Errors
	r.zones, err = plugin.ParseZones(line.Args, env.Zones)
	problems.Join(err)
	var options []corefile.Option
	for _, a := range []struct {
		name   string
		action action
	}{{"allow", allowing}, {"block", blocking}, {"filter", filtering}, {"drop", dropping}} {
		form := a.name + " [type TYPE...] [net SOURCE...]"
		options = append(options, corefile.Func(a.name, form, 0, -1, func(o *corefile.Directive) error {
			p, err := newPolicy(a.action, o)
			r.policies = append(r.policies, p)
			return err
		}).Repeated())
	}
	problems.Join(line.AnyCase().Decode(options...))
	return r, problems.Err()
}

// newPolicy reads the sections of a line, each a keyword and its words. A line without a section of a kind is for all.
func newPolicy(act action, o *corefile.Directive) (policy, error) {
	var problems corefile.Errors
	p := policy{action: act}
	types, sources := section{name: "type", add: p.addType}, section{name: "net", add: p.addNet}
	var current *section
	for _, word := range o.Args {
		switch strings.ToLower(word.Text) {
		case "type":
			problems.Join(current.end(o))
			current = &types
			current.begin()
		case "net":
			problems.Join(current.end(o))
			current = &sources
			current.begin()
		default:
			problems.Join(current.take(o, word))
		}
	}
	problems.Join(current.end(o))
	if types.all {
		p.types = nil
	}
	if sources.all {
		p.nets = nil
	}
	return p, problems.Err()
}

// section is the words behind a keyword.
type section struct {
	name  string
	words int
	all   bool // "*" is one of them
	add   func(o *corefile.Directive, word corefile.Token) error
}

func (s *section) begin() { s.words = 0 }

func (s *section) take(o *corefile.Directive, word corefile.Token) error {
	if s == nil {
		return o.Errorf("%q stands before %q or %q", word.Text, "type", "net")
	}
	s.words++
	if word.Text == "*" {
		s.all = true
		return nil
	}
	return s.add(o, word)
}

func (s *section) end(o *corefile.Directive) error {
	if s != nil && s.words == 0 {
		return o.Errorf("nothing stands behind %q; write %q for all", s.name, s.name+" *")
	}
	return nil
}

func (p *policy) addType(o *corefile.Directive, word corefile.Token) error {
	qtype, ok := dns.StringToType[strings.ToUpper(word.Text)]
	if !ok {
		return o.Errorf("%q is not a record type such as A or PTR", word.Text)
	}
	if p.types == nil {
		p.types = map[uint16]struct{}{}
	}
	p.types[qtype] = struct{}{}
	return nil
}

func (p *policy) addNet(o *corefile.Directive, word corefile.Token) error {
	if p.nets == nil {
		p.nets = &nets{}
	}
	if err := p.nets.add(word.Text); err != nil {
		return o.Errorf("%v", err)
	}
	return nil
}
