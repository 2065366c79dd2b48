package rewrite

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// longestPattern bounds regular expressions, in bytes, as CoreDNS does: what they compile to may be far larger.
const longestPattern = 10000

// The ways to match a name.
const (
	exact     = "exact"
	prefix    = "prefix"
	suffix    = "suffix"
	substring = "substring"
	regex     = "regex"
)

func kinds() []string { return []string{exact, prefix, suffix, substring, regex} }

// parseKind reads a way to match, in any spelling.
func parseKind(line *corefile.Directive, word string) (string, error) {
	kind := strings.ToLower(word)
	for _, known := range kinds() {
		if kind == known {
			return kind, nil
		}
	}
	return "", line.Errorf("%q is none of %s%s", word, strings.Join(kinds(), ", "), near(word, kinds()))
}

// near is `; did you mean "WORD"?` when a known word is near, else "".
func near(word string, known []string) string {
	if nearest := corefile.Nearest(word, known); nearest != "" {
		return fmt.Sprintf("; did you mean %q?", nearest)
	}
	return ""
}

// matcher matches questions' names.
type matcher struct {
	kind    string
	text    string // lower case, with the final dot; the pattern's source for regex
	wire    string // exact: the name in wire form, none if text is no name
	pattern *regexp.Regexp
}

// newMatcher reads what a name is compared with. All but patterns get a final dot, as in CoreDNS: a prefix ends with a
// label.
func newMatcher(line *corefile.Directive, kind, text string) (matcher, error) {
	m := matcher{kind: kind, text: text}
	switch kind {
	case regex:
		var err error
		m.pattern, err = compile(line, text)
		return m, err
	case exact:
		if name, err := wire.ParseName(text); err == nil {
			m.wire = string(name)
		}
	}
	m.text = normal(text)
	return m, nil
}

// normal is a name, or a part of one, in lower case and with the final dot.
func normal(text string) string { return strings.ToLower(dns.Fqdn(text)) }

func compile(line *corefile.Directive, text string) (*regexp.Regexp, error) {
	if len(text) > longestPattern {
		return nil, line.Errorf("a regular expression of %d bytes is too long: at most %d are allowed", len(text), longestPattern)
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, line.Errorf("%q is not a regular expression: %v", text, err)
	}
	return pattern, nil
}

// matches tells whether the question's name matches.
func (m *matcher) matches(p *pass) bool {
	switch m.kind {
	case exact:
		return string(p.x.Query.Name()) == m.wire
	case prefix:
		return hasPrefix(p.name(), m.text)
	case suffix:
		return hasSuffix(p.name(), m.text)
	case substring:
		return contains(p.name(), m.text)
	}
	return m.pattern.Match(p.name())
}

func hasPrefix(name []byte, text string) bool {
	return len(name) >= len(text) && string(name[:len(text)]) == text
}

func hasSuffix(name []byte, text string) bool {
	return len(name) >= len(text) && string(name[len(name)-len(text):]) == text
}

func contains(name []byte, text string) bool {
	for at := 0; len(name)-at >= len(text); at++ {
		skip := bytes.IndexByte(name[at:], text[0]) // the text is never empty: it ends in a dot
		if skip < 0 {
			return false
		}
		at += skip
		if hasPrefix(name[at:], text) {
			return true
		}
	}
	return false
}

// expand puts the groups of a match into the places {0}, {1} and so on.
func expand(to string, groups []string) string {
	for i, group := range groups {
		to = strings.ReplaceAll(to, "{"+strconv.Itoa(i)+"}", group)
	}
	return to
}

// checkGroups returns an error when a replacement names more groups than a pattern has.
func checkGroups(line *corefile.Directive, pattern *regexp.Regexp, to string) error {
	const highest = 100
	used := 0
	for i := range highest + 1 {
		if strings.Contains(to, "{"+strconv.Itoa(i)+"}") {
			used++
		}
	}
	if used > pattern.NumSubexp() {
		return line.Errorf("%q uses %d groups, but %q has %d", to, used, pattern, pattern.NumSubexp())
	}
	return nil
}
