package template

import (
	"strconv"
	"sync"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/expression"
)

// variable is what a template computes for its records.
type variable struct {
	name  string
	value *expression.Program
}

// newScope is what the expressions of a template may use.
func newScope() *expression.Scope {
	scope := expression.NewScope()
	scope.Function("group", (&data{}).group)
	return scope
}

// group is a group of the pattern that matched, by its name or number; empty where there is none.
func (d *data) group(which any) string {
	switch w := which.(type) {
	case int:
		return d.Group[strconv.Itoa(w)]
	case string:
		return d.Group[w]
	}
	return ""
}

// evaluate works out the variables, and tells whether all conditions are true.
func (t *template) evaluate(x *plugin.Exchange, d *data, queries *sync.Pool) (holds bool, err error) {
	if len(t.variables) == 0 && len(t.conditions) == 0 {
		return true, nil
	}
	q, ok := queries.Get().(*expression.Query)
	if !ok {
		q = expression.NewQuery()
	}
	q.Begin(x, func() *plugin.Metadata { return x.Metadata })
	defer func() {
		q.End()
		queries.Put(q)
	}()
	q.Set("group", d.group)
	d.Var = make(map[string]any, len(t.variables))
	for _, v := range t.variables {
		value, err := q.Run(v.value)
		if err != nil {
			return false, err
		}
		q.Set(v.name, value)
		d.Var[v.name] = value
	}
	for _, c := range t.conditions {
		if holds, err := q.Holds(c); err != nil || !holds {
			return false, err
		}
	}
	return true, nil
}
