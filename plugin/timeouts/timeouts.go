// Package timeouts is the directive that sets how long clients' connections are waited for, by TCP and TLS. UDP has none.
package timeouts

import (
	"strconv"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// CoreDNS's bounds.
const (
	least = time.Second
	most  = 24 * time.Hour
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "timeouts",
		Summary: "sets how long connections are waited for",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	for _, line := range lines {
		problems.Join(line.WantArgs(0, 0, "timeouts"))
		times := &env.Listen.Timeouts
		problems.Join(line.Decode(
			duration("read", &times.Read), duration("idle", &times.Idle), duration("write", &times.Write),
			queries(&times.Queries),
		))
		if len(line.Body) == 0 {
			problems.Join(line.Errorf("no timeout is given; write at least one of read, write, idle in { }"))
		}
	}
	return nil, problems.Err()
}

// duration is an option with a time. Here, and nowhere else, a bare number is seconds, as in CoreDNS.
func duration(name string, into *time.Duration) corefile.Option {
	form := name + " DURATION"
	return corefile.Func(name, form, 1, 1, func(o *corefile.Directive) error {
		text := o.Args[0].Text
		if _, err := strconv.Atoi(text); err == nil {
			text += "s"
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return o.Errorf("%q is not a duration such as 5s, or a number of seconds", o.Args[0].Text)
		}
		if d < least || d > most {
			return o.Errorf("%q is out of range; it must be from 1s to 24h", o.Args[0].Text)
		}
		*into = d
		return nil
	})
}

// queries is how many a connection may bring; -1 is any number.
func queries(into *int) corefile.Option {
	const name = "maxtcpqueries"
	return corefile.Func(name, name+" NUMBER", 1, 1, func(o *corefile.Directive) error {
		n, err := strconv.Atoi(o.Args[0].Text)
		if err != nil || n == 0 || n < -1 {
			return o.Errorf("%q is neither a number of queries above 0, nor -1 for any number", o.Args[0].Text)
		}
		*into = max(n, 0)
		return nil
	})
}
