// Package expression is the language in which directives ask about a query: view chooses queries by it, template computes
// with it.
//
// Expressions are those of github.com/expr-lang/expr, as in CoreDNS: a language of our own, or a part of that one, would
// turn Corefiles into something to be translated. They are compiled when the Corefile is read, against the types of
// what they may ask, so that a misspelled function or a result that is not true or false is an error at its line. They have
// no effects and no loops without end.
package expression

import (
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/nameplane/nameplane/server/corefile"
)

// Program is a compiled expression.
type Program struct{ compiled *vm.Program }

// Scope is the names that an expression may use, with their types.
type Scope struct{ types map[string]any }

// NewScope has the functions of a Query, and those of the language.
func NewScope() *Scope { return &Scope{types: NewQuery().env} }

// Function adds a function, which Query.Set gives the value of the same type.
func (s *Scope) Function(name string, f any) { s.types[name] = f }

// Variable compiles an expression, and adds a variable of its type, which later ones may use.
func (s *Scope) Variable(o *corefile.Directive, name string, words []corefile.Token) (*Program, error) {
	if !identifier(name) {
		return nil, o.Errorf("%q cannot be the name of a variable: letters, digits and _ are wanted, no digit first", name)
	}
	if _, taken := s.types[name]; taken || !free(name) {
		return nil, o.Errorf("%q is the name of something else: choose another one for the variable", name)
	}
	p, err := s.compile(o, words)
	if err != nil {
		return nil, err
	}
	if t := p.compiled.Node().Type(); t == nil || t.Kind() == reflect.Interface {
		s.types[name] = new(any)
	} else {
		s.types[name] = reflect.Zero(t).Interface()
	}
	return p, nil
}

// Condition compiles an expression that is true or false.
func (s *Scope) Condition(o *corefile.Directive, words []corefile.Token) (*Program, error) {
	return s.compile(o, words, expr.AsBool())
}

// compile reads an expression. Its words may be separated, as no quotes are wanted around the whole.
func (s *Scope) compile(o *corefile.Directive, words []corefile.Token, options ...expr.Option) (*Program, error) {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = word.Text
	}
	source := strings.Join(texts, " ")
	blocks := &blockCheck{}
	// The built-in function "type" would hide that of the query.
	options = append(options, expr.Env(s.types), expr.DisableBuiltin("type"), expr.Patch(blocks))
	compiled, err := expr.Compile(source, options...)
	switch {
	case err != nil:
		return nil, o.Errorf("%s in %q", reason(err), source)
	case blocks.problem != nil:
		return nil, o.Errorf("%v", blocks.problem)
	}
	return &Program{compiled}, nil
}

// reason is the first line of what the compiler says, without its picture of the place.
func reason(err error) string {
	if at, ok := err.(*file.Error); ok {
		return at.Message
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

func identifier(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// free tells whether an identifier means nothing in the language: it is no function, keyword or literal.
func free(name string) bool {
	if _, taken := builtin.Index[name]; taken {
		return false
	}
	tree, err := parser.Parse(name)
	if err != nil {
		return false
	}
	node, ok := tree.Node.(*ast.IdentifierNode)
	return ok && node.Value == name
}

// blockCheck looks at the address blocks that an expression spells out.
type blockCheck struct{ problem error }

// Visit implements ast.Visitor.
func (c *blockCheck) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok || len(call.Arguments) != 2 {
		return
	}
	callee, ok := call.Callee.(*ast.IdentifierNode)
	text, constant := call.Arguments[1].(*ast.StringNode)
	if !ok || !constant || callee.Value != "incidr" || c.problem != nil {
		return
	}
	_, c.problem = parseBlock(text.Value)
}
