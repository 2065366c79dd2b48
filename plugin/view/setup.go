package view

import (
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/expression"
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
	scope := expression.NewScope()
	if err := line.WantArgs(1, 1, "view NAME"); err != nil {
		problems.Join(err)
	} else {
		h.name = line.Args[0].Text
	}
	problems.Join(line.Decode(corefile.Func("expr", "expr EXPRESSION", 1, -1, func(o *corefile.Directive) error {
		program, err := scope.Condition(o, o.Args)
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
