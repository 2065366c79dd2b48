package corefile

import "strings"

// deepestBody bounds the nesting of braces: no directive needs more than two, and a hostile file must not exhaust the stack.
const deepestBody = 32

// tree reads the tokens of one directive, all its occurrences after each other, into Directives.
type tree struct {
	tokens []Token
	next   int
}

func newTree(tokens []Token) *tree {
	return &tree{tokens: tokens}
}

// directives reads all occurrences of the directive called name. The name is given because the token in its place still
// holds environment variables.
func (t *tree) directives(name string, problems *Errors) []*Directive {
	var found []*Directive
	for t.next < len(t.tokens) {
		d := &Directive{Name: name, Pos: t.tokens[t.next].Pos}
		if name == "{" {
			problems.Add(d.Pos, `unexpected "{": a directive must come before it`)
		}
		t.next++
		t.rest(d, 1, problems)
		for t.next < len(t.tokens) && t.continues() {
			t.unexpected(problems)
		}
		found = append(found, d)
	}
	return found
}

// rest reads what follows the name of d: arguments up to the end of the line, and a body when a "{" comes next.
func (t *tree) rest(d *Directive, depth int, problems *Errors) {
	for t.next < len(t.tokens) && t.continues() && !t.at("{") && !t.at("}") {
		d.Args = append(d.Args, t.tokens[t.next])
		t.next++
	}
	if !t.at("{") {
		return
	}
	if depth > deepestBody {
		problems.Add(t.tokens[t.next].Pos, `"{" is nested more than %d deep`, deepestBody)
		t.next = len(t.tokens)
		return
	}
	t.next++
	d.Body = []*Directive{}
	t.body(d, depth, problems)
}

// body reads the lines of d up to and with its "}".
func (t *tree) body(d *Directive, depth int, problems *Errors) {
	for fresh := true; t.next < len(t.tokens); fresh = false {
		switch {
		case t.at("}"):
			t.next++
			return
		case t.at("{"), !fresh && t.continues():
			t.unexpected(problems)
			continue
		}
		line := &Directive{Name: t.tokens[t.next].Text, Pos: t.tokens[t.next].Pos}
		t.next++
		t.rest(line, depth+1, problems)
		d.Body = append(d.Body, line)
	}
}

// unexpected reports and skips what stands behind a "}" on its line, or a "{" that opens the body of nothing, with that body.
func (t *tree) unexpected(problems *Errors) {
	token := t.tokens[t.next]
	t.next++
	if token.Text == "{" {
		problems.Add(token.Pos, `unexpected "{": an option must come before it`)
		t.skipBody()
		return
	}
	problems.Add(token.Pos, `unexpected %q after "}": start a new line`, token.Text)
	for t.next < len(t.tokens) && t.continues() && !t.at("{") && !t.at("}") {
		t.next++
	}
}

// skipBody moves behind the "}" that matches a "{" just read.
func (t *tree) skipBody() {
	for open := 1; open > 0 && t.next < len(t.tokens); t.next++ {
		switch t.tokens[t.next].Text {
		case "{":
			open++
		case "}":
			open--
		}
	}
}

// at tells whether the next token is text.
func (t *tree) at(text string) bool {
	return t.next < len(t.tokens) && t.tokens[t.next].Text == text
}

// continues tells whether the next token stands on the line of the one before it.
func (t *tree) continues() bool {
	return sameLine(t.tokens[t.next-1], t.tokens[t.next])
}

// sameLine tells whether next stands on the line where token ends. A quoted token may hold line breaks; one that got them
// from an environment variable ends where it began.
func sameLine(token, next Token) bool {
	if token.Pos.File != next.Pos.File {
		return false
	}
	end := token.Pos.Line + strings.Count(token.Text, "\n")
	return next.Pos.Line == token.Pos.Line || next.Pos.Line == end
}
