// Package multisocket is the directive by which CoreDNS opens several sockets for an address. Here there is one for each
// processor anyway, so that it is accepted and changes nothing.
package multisocket

import (
	"fmt"
	"strconv"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// most is CoreDNS's bound.
const most = 1024

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "multisocket",
		Summary: "accepted: there is a socket for each processor anyway",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	problems.Join(line.WantArgs(0, 1, "multisocket [NUMBER]"))
	problems.Join(line.NoBody())
	if err := problems.Err(); err != nil || len(line.Args) == 0 {
		return nil, err
	}
	text := line.Args[0].Text
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return nil, line.Errorf("%q is not a whole number from 1 to %d", text, most)
	}
	if n != env.Shards {
		env.Log.Warn(fmt.Sprintf("the number %d has no effect: an address has %d sockets, one for each processor (GOMAXPROCS)", n, env.Shards))
	}
	return nil, nil
}
