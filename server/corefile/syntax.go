package corefile

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// syntaxError is the shape of caddyfile's errors.
var syntaxError = regexp.MustCompile(`(?s)^(.*?):(\d+) - (?:Error during parsing|Syntax error): (.*)$`)

// explanations are our words for caddyfile's. The first one whose beginning fits is taken; %s is what follows that beginning.
var explanations = []struct{ theirs, ours string }{
	{"Wrong argument count or unexpected line ending after 'import'", "import: wants 1 argument: a file, a glob pattern or a snippet"},
	{"Import takes only one argument", "import: wants 1 argument: a file, a glob pattern or a snippet"},
	{"Import requires a non-empty filepath", "import: the argument is empty; name a file, a glob pattern or a snippet"},
	{"Could not import ", "import: %s"},
	{"Could not read tokens while importing ", "import: %s"},
	{"Failed to use import pattern ", "import: bad pattern %s"},
	{"Glob pattern may only contain one wildcard (*), but has others: ", `import: only one wildcard is allowed in "%s"`},
	{"maximum snippet import depth ", "import: the snippet imports itself, or over 10000 snippets are imported"},
	{"maximum file import depth ", "import: over 100000 files are imported"},
	{"redeclaration of previously declared snippet ", `the snippet "(%s)" is defined twice`},
	{"Expected another address but had '{'", `expected another key after the comma, but found "{"`},
	{"Unexpected '}' because no matching opening brace", `unexpected "}": it must stand on a line of its own, after the "{" that it closes`},
}

// explainSyntax turns caddyfile's error about the Corefile called name into a positioned one.
func explainSyntax(err error, name string, text *outline) error {
	pos, problem := Position{File: name, Line: 1}, err.Error()
	if parts := syntaxError.FindStringSubmatch(problem); parts != nil {
		line, _ := strconv.Atoi(parts[2]) // digits; a line that does not fit an int becomes the greatest one
		pos, problem = Position{File: parts[1], Line: max(line, 1)}, parts[3]
	}
	if problem == "Unexpected EOF" || strings.HasSuffix(problem, "expecting '}'") {
		return endOfFile(pos, text)
	}
	if word, ok := strings.CutSuffix(problem, "', expecting '{'"); ok {
		word = strings.TrimPrefix(word, "Unexpected token '")
		return pos.errorf(`unexpected %q: the body of a snippet must begin with "{"`, word)
	}
	if pattern, ok := strings.CutPrefix(problem, "File to import not found: "); ok {
		return notFound(pos, pattern, text)
	}
	for _, e := range explanations {
		if rest, ok := strings.CutPrefix(problem, e.theirs); ok {
			return pos.errorf("%s", strings.Replace(e.ours, "%s", rest, 1))
		}
	}
	return pos.errorf("%s", problem)
}

// endOfFile names the innermost "{" that is still open where the text ends; the end itself would tell little. (One missing "}"
// of the last block is forgiven by caddyfile, hence by CoreDNS, hence here.)
func endOfFile(end Position, text *outline) error {
	if n := len(text.unclosed); n > 0 {
		return text.unclosed[n-1].errorf(`"{" is never closed: a "}" is missing`)
	}
	return end.errorf(`the file ends where another key or a "}" is expected`)
}

// notFound is the error for an import at pos that names nothing.
func notFound(pos Position, pattern string, text *outline) error {
	if filepath.IsAbs(pattern) {
		return pos.errorf("import: there is no file %s", pattern)
	}
	folder, err := filepath.Abs(filepath.Dir(pos.File))
	if err != nil {
		folder = filepath.Dir(pos.File)
	}
	hint := didYouMean(pattern, slices.Sorted(maps.Keys(text.snippets)))
	return pos.errorf("import: %q is neither a snippet defined above nor a file in %s%s", pattern, folder, hint)
}
