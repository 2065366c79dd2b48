package template

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/expression"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// longestPattern bounds regular expressions, in bytes, as CoreDNS does: what they compile to may be far larger.
const longestPattern = 10000

const form = "template CLASS TYPE [ZONE...]"

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "template",
		Summary: "makes records of the question",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	m, err := newMetrics(env.Metrics)
	if err != nil {
		return nil, lines[0].Errorf("cannot register metrics: %v", err)
	}
	h := &Handler{metrics: m, log: env.Log}
	var problems corefile.Errors
	for _, line := range lines {
		t, err := newTemplate(env, line)
		problems.Join(err)
		if err == nil {
			h.zones = append(h.zones, t.zones...)
			h.templates = append(h.templates, t)
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

func newTemplate(env *plugin.Env, line *corefile.Directive) (*template, error) {
	if err := line.WantArgs(2, -1, form); err != nil {
		return nil, err
	}
	var (
		t        = new(template)
		problems corefile.Errors
		ok       bool
		err      error
	)
	if t.class, ok = dns.StringToClass[line.Args[0].Text]; !ok {
		problems.Join(unknown(line, "class", line.Args[0].Text, dns.StringToClass))
	}
	if t.qtype, ok = dns.StringToType[line.Args[1].Text]; !ok {
		problems.Join(unknown(line, "type", line.Args[1].Text, dns.StringToType))
	}
	t.zones, err = plugin.ParseZones(line.Args[2:], env.Zones)
	problems.Join(err)
	problems.Join(line.Decode(t.options()...))
	if t.patterns == nil {
		t.patterns = []*regexp.Regexp{regexp.MustCompile(".*")}
	}
	return t, problems.Err()
}

// unknown is the error for a word that names no class, type or response code.
func unknown[V any](line *corefile.Directive, what, word string, known map[string]V) error {
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names) // of equally near names the first one is proposed, always the same
	hint := ""
	if near := corefile.Nearest(word, names); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return line.Errorf("%q is not a %s%s", word, what, hint)
}

func (t *template) options() []corefile.Option {
	scope := newScope()
	return []corefile.Option{
		corefile.Func("match", "match REGEX...", 1, -1, t.decodeMatch).Repeated(),
		t.section("answer", wire.Answer),
		t.section("additional", wire.Additional),
		t.section("authority", wire.Authority),
		corefile.Func("rcode", "rcode CODE", 1, 1, func(o *corefile.Directive) error {
			var ok bool
			if t.rcode, ok = dns.StringToRcode[o.Args[0].Text]; !ok {
				return unknown(o, "response code", o.Args[0].Text, dns.StringToRcode)
			}
			return nil
		}).Repeated(),
		corefile.Func("ederror", "ederror CODE [REASON]", 1, 2, t.decodeTrouble).Repeated(),
		corefile.Func("fallthrough", "fallthrough [ZONE...]", 0, -1, func(o *corefile.Directive) (err error) {
			t.fall, err = plugin.ParseZones(o.Args, plugin.Zones{wire.Root})
			return err
		}).Repeated(),
		corefile.Func("var", "var NAME EXPRESSION", 2, -1, t.decodeVariable(scope)).Repeated(),
		corefile.Func("expr", "expr EXPRESSION", 1, -1, t.decodeCondition(scope)).Repeated(),
		corefile.Func("upstream", "upstream", 0, -1, nil).Repeated(), // accepted, and without a meaning, in CoreDNS too
	}
}

func (t *template) decodeVariable(scope *expression.Scope) func(o *corefile.Directive) error {
	return func(o *corefile.Directive) error {
		name := o.Args[0].Text
		program, err := scope.Variable(o, name, o.Args[1:])
		t.variables = append(t.variables, variable{name, program})
		return err
	}
}

func (t *template) decodeCondition(scope *expression.Scope) func(o *corefile.Directive) error {
	return func(o *corefile.Directive) error {
		program, err := scope.Condition(o, o.Args)
		t.conditions = append(t.conditions, program)
		return err
	}
}

func (t *template) decodeMatch(o *corefile.Directive) error {
	var problems corefile.Errors
	for _, arg := range o.Args {
		if len(arg.Text) > longestPattern {
			problems.Join(o.Errorf("a regular expression of %d bytes is too long: at most %d are allowed", len(arg.Text), longestPattern))
			continue
		}
		pattern, err := regexp.Compile(arg.Text)
		if err != nil {
			problems.Join(o.Errorf("%q is not a regular expression: %v", arg.Text, err))
		}
		t.patterns = append(t.patterns, pattern)
	}
	return problems.Err()
}

func (t *template) section(name string, section wire.Section) corefile.Option {
	return corefile.Func(name, name+" RECORD...", 1, -1, func(o *corefile.Directive) error {
		var problems corefile.Errors
		for _, arg := range o.Args {
			text, err := parseText(name, arg.Text)
			if err != nil {
				problems.Join(o.Errorf("%q is not a template: %v", arg.Text, err))
			}
			t.records[section] = append(t.records[section], text)
		}
		return problems.Err()
	}).Repeated()
}

// decodeTrouble reads an extended error (RFC 8914, section 2).
func (t *template) decodeTrouble(o *corefile.Directive) error {
	code, err := strconv.ParseUint(o.Args[0].Text, 10, 16)
	if err != nil {
		return o.Errorf("%q is not the code of an extended error: a number from 0 to 65535 is wanted (RFC 8914, section 5.2)", o.Args[0].Text)
	}
	t.trouble = binary.BigEndian.AppendUint16(nil, uint16(code))
	if len(o.Args) > 1 {
		t.trouble = append(t.trouble, o.Args[1].Text...)
	}
	return nil
}
