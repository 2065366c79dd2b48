package view

import (
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "view",
		Summary: "chooses the queries of a server block by an expression",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	h := &Handler{env: env}
	if err := line.WantArgs(1, 1, "view NAME"); err != nil {
		problems.Join(err)
	} else {
		h.name = line.Args[0].Text
	}
	problems.Join(line.Decode(corefile.Func("expr", "expr EXPRESSION", 1, -1, func(o *corefile.Directive) error {
		program, err := compile(o)
		if err == nil {
			h.programs = append(h.programs, program)
		}
		return err
	}).Repeated()))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// compile reads an expression. Its words may be separated, as no quotes are wanted around the whole.
func compile(o *corefile.Directive) (*vm.Program, error) {
	words := make([]string, len(o.Args))
	for i, arg := range o.Args {
		words[i] = arg.Text
	}
	source := strings.Join(words, " ")
	blocks := &blockCheck{}
	// The built-in function "type" would hide that of the query.
	program, err := expr.Compile(source, expr.Env(functions{}), expr.AsBool(), expr.DisableBuiltin("type"), expr.Patch(blocks))
	switch {
	case err != nil:
		return nil, o.Errorf("%s in %q", reason(err), source)
	case blocks.problem != nil:
		return nil, o.Errorf("%v", blocks.problem)
	}
	return program, nil
}

// reason is the first line of what the compiler says, without its picture of the place.
func reason(err error) string {
	if at, ok := err.(*file.Error); ok {
		return at.Message
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
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
