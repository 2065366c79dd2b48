// Package bind is the directive that names the addresses which a server block's listeners bind to. It has no part in the
// chain: it only changes how sockets are opened.
package bind

import (
	"slices"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const form = "bind ADDRESS|IFACE..."

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "bind",
		Summary: "binds listeners to addresses or interfaces",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	known, err := readInterfaces()
	if err != nil {
		return nil, lines[0].Errorf("cannot list the interfaces: %v", err)
	}
	hosts, err := known.hosts(lines)
	if err != nil {
		return nil, err
	}
	env.Listen.Hosts = append(env.Listen.Hosts, hosts...)
	return nil, nil
}

// hosts are the addresses of all lines; an exception counts for its own line only.
func (known interfaces) hosts(lines []*corefile.Directive) (hosts []string, err error) {
	var problems corefile.Errors
	for _, line := range lines {
		found, err := known.line(line)
		problems.Join(err)
		for _, host := range found {
			if !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts, problems.Err()
}

func (known interfaces) line(line *corefile.Directive) (hosts []string, err error) {
	var (
		problems corefile.Errors
		except   []string
	)
	problems.Join(line.WantArgs(1, -1, form))
	hosts, err = known.resolve(line, line.Args)
	problems.Join(err)
	problems.Join(line.Decode(corefile.Func("except", "except ADDRESS|IFACE...", 1, -1, func(o *corefile.Directive) (err error) {
		except, err = known.resolve(o, o.Args)
		return err
	})))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	hosts = slices.DeleteFunc(hosts, func(host string) bool { return slices.Contains(except, host) })
	if len(hosts) == 0 {
		return nil, line.Errorf("no address is left to bind to after the exceptions")
	}
	return hosts, nil
}
