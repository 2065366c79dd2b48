package transfer

import (
	"net/netip"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "transfer",
		Summary: "hands whole zones to other servers, and tells them of changes",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	h := &Handler{env: env, log: env.Log}
	var problems corefile.Errors
	for _, line := range lines {
		r, err := readRule(env, line)
		problems.Join(err)
		h.rules = append(h.rules, r)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

func readRule(env *plugin.Env, line *corefile.Directive) (r rule, err error) {
	var problems corefile.Errors
	r.zones, err = plugin.ParseZones(line.Args, env.Zones)
	problems.Join(err)
	named := false
	problems.Join(line.Decode(
		corefile.Func("to", "to ADDRESS...", 1, -1, func(o *corefile.Directive) error {
			named = true
			return r.readTo(o)
		}).Repeated(),
		corefile.Func("source", "source ADDRESS", 1, 1, func(o *corefile.Directive) error {
			source, err := netip.ParseAddr(o.Args[0].Text)
			if err != nil {
				return o.Errorf("%q is not an IP address", o.Args[0].Text)
			}
			r.source = source.Unmap()
			return nil
		}),
	))
	if !named {
		problems.Join(line.Errorf(`nobody may have the zone; say who by a line "to ADDRESS...", or "to *" for everybody`))
	}
	return r, problems.Err()
}

func (r *rule) readTo(o *corefile.Directive) error {
	var problems corefile.Errors
	for _, arg := range o.Args {
		if arg.Text == "*" {
			r.everyone = true
			continue
		}
		to, err := parseAddress(arg.Text)
		if err != nil {
			problems.Join(o.Errorf("%q is neither an IP address, with or without a port, nor *", arg.Text))
			continue
		}
		r.to = append(r.to, to)
	}
	return problems.Err()
}

// parseAddress reads an address; the port of those without one is 53.
func parseAddress(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), 53), nil
	}
	to, err := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), err
}
