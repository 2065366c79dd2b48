// Package corefile turns a Corefile into server blocks whose every word knows its file and line, and decodes the options of a
// directive by declaration.
//
// Syntax, imports, snippets, globs and environment variables ({$NAME} and {%NAME%}) are those of CoreDNS because the same
// parser reads them: coredns/caddy's caddyfile. That parser groups a block's tokens by directive and forgets the order of
// different directives and the places of the keys, so this package reads the text a second time for positions only
// (outline). The text alone decides nothing: where the two readings disagree, the nearest known position stands in.
//
// A block without keys is dropped, as caddyfile does. No plugin is known here by name; a plugin declares its options
// (Option), and unknown, repeated and malformed ones are reported in one way, all of them at once.
package corefile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/coredns/caddy/caddyfile"
)

// defaultName stands in positions when the Corefile has no name, and is what CoreDNS looks for in its folder.
const defaultName = "Corefile"

// File is a Corefile with its imports put in place.
type File struct {
	Name   string
	Blocks []*Block
}

// Block is a server block: its keys (zones with their transport and port) and its directives. A directive may occur more
// than once. The directives stand in the order of the text.
type Block struct {
	Keys       []Key
	Directives []*Directive
	Pos        Position
}

// Key is one key of a server block as written, environment variables replaced.
type Key struct {
	Text string
	Pos  Position
}

// Token is one word, or one quoted string, of a line.
type Token struct {
	Text string
	Pos  Position
}

// Directive is one line of a block, or one line of a directive's body: a name, its arguments and the lines in its braces.
// Without braces Body is nil; empty braces give an empty Body.
type Directive struct {
	Name string
	Pos  Position
	Args []Token
	Body []*Directive
}

// Lines are the lines of a directive in all server blocks.
func (f *File) Lines(directive string) (found []*Directive) {
	for _, block := range f.Blocks {
		for _, d := range block.Directives {
			if d.Name == directive {
				found = append(found, d)
			}
		}
	}
	return found
}

// Parse reads content as a Corefile. Positions carry name, and relative imports are looked up in its folder. The error is an
// Errors of positioned *Error; a Corefile without blocks is no error.
func Parse(name string, content []byte) (*File, error) {
	if name == "" {
		name = defaultName
	}
	text, err := readOutline(name, content)
	if err != nil {
		return nil, Errors{err}
	}
	parsed, err := guarded(name, func() ([]caddyfile.ServerBlock, error) {
		return caddyfile.Parse(name, bytes.NewReader(content), nil)
	})
	if err != nil {
		return nil, Errors{explainSyntax(err, name, text)}
	}
	var (
		problems Errors
		file     = &File{Name: name}
	)
	for _, server := range parsed {
		file.Blocks = append(file.Blocks, newBlock(name, server, text, &problems))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return file, nil
}

// guarded keeps a panic of caddyfile from taking the process down. Its lexer raises one when an imported file cannot be read
// to its end.
func guarded(name string, parse func() ([]caddyfile.ServerBlock, error)) (blocks []caddyfile.ServerBlock, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%s:1 - Error during parsing: cannot be read: %v", name, cause)
		}
	}()
	return parse()
}

// newBlock builds the directives of server and gives its keys their places.
func newBlock(name string, server caddyfile.ServerBlock, text *outline, problems *Errors) *Block {
	var sequences [][]*Directive
	for _, directive := range slices.Sorted(maps.Keys(server.Tokens)) {
		tokens := convert(name, server.Tokens[directive])
		sequences = append(sequences, newTree(tokens).directives(directive, problems))
	}
	h := text.nextHeader(server.Keys)
	block := &Block{Directives: text.inOrder(h, sequences)}
	if h != nil {
		block.Keys = h.keys
	} else {
		block.Keys = keysNear(name, server.Keys, block.Directives)
	}
	block.Pos = block.Keys[0].Pos
	checkKeys(block.Keys, problems)
	return block
}

// checkKeys reports what caddyfile takes for keys though it can only be a mistake.
func checkKeys(keys []Key, problems *Errors) {
	for _, key := range keys {
		if key.Text == "}" {
			problems.Add(key.Pos, `unexpected "}": no "{" is open here`)
		}
	}
	if name, ok := snippetName(keys[0].Text); ok && len(keys) == 1 {
		problems.Add(keys[0].Pos, `the snippet "(%s)" has no body`, name)
	}
}

// convert turns caddyfile's tokens into ours. Those of the main file carry no file name.
func convert(name string, tokens []caddyfile.Token) []Token {
	converted := make([]Token, len(tokens))
	for i, t := range tokens {
		pos := Position{File: t.File, Line: max(t.Line, 1)}
		if pos.File == "" {
			pos.File = name
		}
		converted[i] = Token{Text: t.Text, Pos: pos}
	}
	return converted
}

// keysNear places keys that the outline could not find, as those of a snippet which holds whole blocks, at the first
// directive of their block.
func keysNear(name string, texts []string, directives []*Directive) []Key {
	pos := Position{File: name, Line: 1}
	if len(directives) > 0 {
		pos = directives[0].Pos
	}
	keys := make([]Key, len(texts))
	for i, text := range texts {
		keys[i] = Key{Text: text, Pos: pos}
	}
	return keys
}
