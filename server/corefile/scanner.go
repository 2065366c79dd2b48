package corefile

import "strings"

// scanner follows keys and braces through the tokens of one file.
type scanner struct {
	outline *outline
	blocks  bool
	depth   int
	open    []Position // the "{" that are open
	header  header
	begun   bool // a key was read, be it an empty one
	body    bool // the body has begun
	comma   bool // the last key ends in a comma, so that another key follows
}

// beginBareBody sees the first line of a block without braces, which reaches to the end of the file.
func (s *scanner) beginBareBody(t Token, fresh bool) {
	if s.depth == 0 && fresh && s.begun && !s.comma && t.Text != "{" {
		s.depth, s.body = 1, true
	}
}

// addImport notes an import. In a snippet's body it is resolved later.
func (s *scanner) addImport(pos Position, arg Token) error {
	pattern, _ := expandVariables(arg.Text)
	line := &importLine{pos: pos, pattern: pattern}
	s.outline.imports = append(s.outline.imports, line)
	if _, snippet := s.snippet(); snippet {
		return nil
	}
	return s.outline.resolve(line, s.blocks && s.depth == 0)
}

// token takes a token that is no import.
func (s *scanner) token(t Token) {
	switch {
	case t.Text == "{":
		s.depth, s.body = s.depth+1, true
		s.open = append(s.open, t.Pos)
	case t.Text == "}" && s.depth > 0:
		s.depth--
		if len(s.open) > 0 {
			s.open = s.open[:len(s.open)-1]
		}
		if s.depth == 0 {
			s.end(t.Pos.Line)
		}
	case s.depth == 0:
		s.key(t)
	}
}

// key takes a key; as in caddyfile it may end in one comma, and an empty one is left out.
func (s *scanner) key(t Token) {
	s.begun = true
	text, _ := expandVariables(t.Text)
	if text == "" {
		return
	}
	text, s.comma = strings.CutSuffix(text, ",")
	if len(s.header.keys) == 0 {
		s.header.region = region{file: t.Pos.File, from: t.Pos.Line}
	}
	s.header.keys = append(s.header.keys, Key{Text: text, Pos: t.Pos})
}

// end closes the block whose last line is given.
func (s *scanner) end(line int) {
	h := s.header
	name, snippet := s.snippet()
	h.region.to = line
	switch {
	case snippet && s.body:
		s.outline.snippets[name] = h.region
	case s.blocks && len(h.keys) > 0:
		s.outline.headers = append(s.outline.headers, &h)
	}
	s.outline.unclosed = append(s.outline.unclosed, s.open...)
	s.header, s.begun, s.body, s.comma = header{}, false, false, false
}

// snippet returns the name of the snippet that the current block defines.
func (s *scanner) snippet() (name string, ok bool) {
	if len(s.header.keys) != 1 {
		return "", false
	}
	return snippetName(s.header.keys[0].Text)
}

// snippetName returns NAME of a key "(NAME)".
func snippetName(key string) (name string, ok bool) {
	name, opened := strings.CutPrefix(key, "(")
	name, closed := strings.CutSuffix(name, ")")
	return name, opened && closed
}
