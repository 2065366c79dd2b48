package rewrite

import (
	"slices"
	"strings"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const form = "rewrite [continue|stop] FIELD ..."

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "rewrite",
		Summary: "changes questions, and replies back",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	h := new(Handler)
	h.passes.New = func() any { return &pass{log: env.Log} }
	var problems corefile.Errors
	for _, line := range lines {
		r, err := h.parse(line)
		problems.Join(err)
		h.rules = append(h.rules, r)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// fields are what rules are about.
func fields() []string { return []string{"class", "cname", "edns0", "name", "rcode", "ttl", "type"} }

// parse reads one rule. Its words may go on in braces, where lines do not count.
func (h *Handler) parse(line *corefile.Directive) (r rule, err error) {
	words, err := wordsOf(line)
	if err != nil {
		return rule{}, err
	}
	if len(words) > 0 {
		switch strings.ToLower(words[0]) {
		case "continue":
			r.goOn = true
			words = words[1:]
		case "stop":
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return rule{}, line.Errorf("a rule is missing; write %q with a FIELD out of %s", form, strings.Join(fields(), ", "))
	}
	field, args := strings.ToLower(words[0]), words[1:]
	switch field {
	case "name":
		r.change, err = newNameRule(line, args)
	case "type":
		r.change, err = newTypeRule(line, args)
	case "class":
		r.change, err = newClassRule(line, args)
	case "ttl":
		r.change, err = newTTLRule(line, args)
	case "rcode":
		r.change, err = newRcodeRule(line, args)
	case "cname":
		r.change, err = newCNAMERule(line, args)
	case "edns0":
		r.change, err = h.parseOption(line, args)
	case "answer":
		err = line.Errorf("an answer rule has to follow a name rule in the same line or braces")
	default:
		err = line.Errorf("%q is none of %s%s", words[0], strings.Join(fields(), ", "), near(field, append(fields(), "continue", "stop")))
	}
	return r, err
}

func (h *Handler) parseOption(line *corefile.Directive, args []string) (change, error) {
	r, local, err := newOptionRule(line, args)
	if err != nil {
		return nil, err
	}
	if local && !slices.Contains(h.echoed, r.code) {
		h.echoed = append(h.echoed, r.code)
	}
	return r, nil
}

// wordsOf are the words of a rule: those of the line, and those in braces when the line has one at most.
func wordsOf(line *corefile.Directive) ([]string, error) {
	var words []string
	for _, arg := range line.Args {
		words = append(words, arg.Text)
	}
	if line.Body != nil && len(words) > 1 {
		return nil, line.Errorf("a rule stands in the line or in braces, not in both")
	}
	for _, part := range line.Body {
		if err := part.NoBody(); err != nil {
			return nil, err
		}
		words = append(words, part.Name)
		for _, arg := range part.Args {
			words = append(words, arg.Text)
		}
	}
	return words, nil
}
