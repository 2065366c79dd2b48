package corefile

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/caddy/caddyfile"
)

// maxImports bounds the files that one Corefile may bring in, counted each time.
const maxImports = 10000

// Bounds for one token with its environment variables replaced.
const (
	maxReplacements = 1000
	maxTokenBytes   = 1 << 20
)

// importReader opens imported files, ahead of caddyfile, which opens whatever the name leads to.
type importReader struct {
	stack []string // absolute paths of the files being read, outermost first
	count int
}

// matches returns the absolute paths of the files that an import in file names by pattern. What is wrong with a pattern is
// caddyfile's to say.
func (r *importReader) matches(file, pattern string) []string {
	if pattern == "" {
		return nil
	}
	if !filepath.IsAbs(pattern) {
		absolute, err := filepath.Abs(file)
		if err != nil {
			return nil
		}
		pattern = filepath.Join(filepath.Dir(absolute), pattern)
	}
	brackets := strings.Contains(pattern, "[") && strings.Contains(pattern, "]")
	if strings.Count(pattern, "*") > 1 || strings.Count(pattern, "?") > 1 || brackets {
		return nil // caddyfile refuses these
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	return paths
}

// enter notes that path is read on behalf of the import at pos. It refuses a file that is being read already.
func (r *importReader) enter(path string, pos Position) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return pos.errorf("cannot make the path %q absolute: %v", path, err)
	}
	if slices.Contains(r.stack, absolute) {
		return pos.errorf("import: %s imports itself: %s", absolute, strings.Join(append(r.stack, absolute), " -> "))
	}
	if r.count++; r.count > maxImports {
		return pos.errorf("import: more than %d files are imported", maxImports)
	}
	r.stack = append(r.stack, absolute)
	return nil
}

// leave ends what the last enter began.
func (r *importReader) leave() {
	r.stack = r.stack[:len(r.stack)-1]
}

// read returns the content of an imported file. Only a regular file has an end.
func (r *importReader) read(path string, pos Position) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, pos.errorf("import: %v", err)
	}
	if info.IsDir() {
		return nil, pos.errorf("import: %s is a directory; write %q for the files in it", path, filepath.Join(path, "*"))
	}
	if !info.Mode().IsRegular() {
		return nil, pos.errorf("import: %s is not a regular file", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, pos.errorf("import: %v", err)
	}
	return content, nil
}

// lex splits content into tokens with caddyfile's lexer.
func lex(name string, content []byte) []Token {
	var (
		tokens []Token
		words  = caddyfile.NewDispenser(name, bytes.NewReader(content))
	)
	for words.Next() {
		tokens = append(tokens, Token{Text: words.Val(), Pos: Position{File: name, Line: words.Line()}})
	}
	return tokens
}

// expandVariables replaces {%NAME%} and {$NAME}, also those that a variable's value brings in. It reports false when that does
// not come to an end.
func expandVariables(text string) (string, bool) {
	text, windows := expandStyle(text, "{%", "%}")
	text, unix := expandStyle(text, "{$", "}")
	return text, windows && unix
}

func expandStyle(text, open, end string) (string, bool) {
	for range maxReplacements {
		_, rest, found := strings.Cut(text, open)
		name, _, closed := strings.Cut(rest, end)
		overlap := strings.HasPrefix((open + rest)[1:], end) // "{%}" is no reference and ends the search
		if !found || !closed || name == "" || overlap {
			return text, true
		}
		text = strings.ReplaceAll(text, open+name+end, os.Getenv(name))
		if len(text) > maxTokenBytes {
			return text, false
		}
	}
	return text, false
}
