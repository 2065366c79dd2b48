package rewrite

import (
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// part is a piece of a name that is put together for each question.
type part struct {
	literal string
	label   string // of metadata
	group   int    // of the match; -1 for other parts
}

// parseParts reads a name with {0}, {1}... for the groups of a match and {plugin/label} for metadata.
func parseParts(line *corefile.Directive, to string, groups int) ([]part, error) {
	var parts []part
	for to != "" {
		before, rest, found := strings.Cut(to, "{")
		if strings.Contains(before, "}") {
			return nil, line.Errorf("%q has a } without {", to)
		}
		if before != "" {
			parts = append(parts, part{literal: strings.ToLower(before), group: -1})
		}
		if !found {
			break
		}
		word, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, line.Errorf("%q has a { without }", to)
		}
		piece, err := parsePlace(line, word, groups)
		if err != nil {
			return nil, err
		}
		parts, to = append(parts, piece), after
	}
	return parts, nil
}

// parsePlace reads what stands between { and }.
func parsePlace(line *corefile.Directive, word string, groups int) (part, error) {
	if group, err := strconv.Atoi(word); err == nil {
		if group < 0 || group > groups {
			return part{}, line.Errorf("{%s} names a group that the pattern does not have: there are %d", word, groups)
		}
		return part{group: group}, nil
	}
	if !isLabel(word) || strings.Contains(word, "{") {
		return part{}, line.Errorf("{%s} is neither the number of a group nor a label PLUGIN/NAME", word)
	}
	return part{label: word, group: -1}, nil
}

// isLabel tells whether a word is a label of metadata: PLUGIN/NAME.
func isLabel(word string) bool {
	directive, name, found := strings.Cut(word, "/")
	return found && directive != "" && name != ""
}

// join puts parts together; ok is false when metadata is missing.
func join(parts []part, groups []string, known *plugin.Metadata) (name string, ok bool) {
	var b strings.Builder
	for _, p := range parts {
		switch {
		case p.group >= 0:
			b.WriteString(groups[p.group])
		case p.label != "":
			value, ok := known.Value(p.label)
			if !ok || value == "" {
				return "", false
			}
			b.WriteString(strings.ToLower(value))
		default:
			b.WriteString(p.literal)
		}
	}
	return b.String(), true
}
