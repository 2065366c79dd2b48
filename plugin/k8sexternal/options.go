package k8sexternal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const (
	defaultTTL  = 5 // seconds
	maxTTL      = 3600
	defaultApex = "dns"
)

// options are what the Corefile says.
type options struct {
	zones    plugin.Zones
	apex     string // label below which the name servers' names are
	ns, mbox string // the name server's name and the mailbox, below the zone: labels in wire form
	ttl      uint32 // seconds
	headless bool
	kinds    []string // of objects whose host names are answered
	fall     plugin.Zones
}

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "k8s_external",
		Summary: "names of a cluster's services for the outside of the cluster",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	h := &Handler{env: env}
	var problems corefile.Errors
	h.zones, err = plugin.ParseZones(line.Args, env.Zones)
	problems.Join(err)
	problems.Join(h.decode(line))
	for _, z := range h.zones {
		if len(h.mbox)+len(z) > wire.MaxName {
			problems.Join(line.Errorf("zone %s is too long: hostmaster.%s.%[1]s has to be a name of 255 bytes at most", z, h.apex))
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	env.Hosts = h.kinds // for kubernetes, which is built later
	return h, nil
}

func (o *options) decode(line *corefile.Directive) error {
	ttl, apex := defaultTTL, defaultApex
	var problems corefile.Errors
	problems.Join(line.Decode(
		corefile.Int("ttl", "ttl SECONDS", &ttl, 0, maxTTL),
		corefile.Func("apex", "apex LABEL", 1, 1, func(d *corefile.Directive) error {
			apex = strings.ToLower(d.Args[0].Text)
			if err := checkLabel(apex); err != nil {
				return d.Errorf("%v", err)
			}
			return nil
		}),
		corefile.Flag("headless", &o.headless).Repeated(),
		corefile.Func("hosts", "hosts ingress|gateway...", 1, 2, o.decodeHosts),
		corefile.Func("fallthrough", "fallthrough [ZONE...]", 0, -1, func(d *corefile.Directive) (err error) {
			o.fall, err = plugin.ParseZones(d.Args, plugin.Zones{wire.Root})
			return err
		}),
	))
	o.ttl, o.apex = uint32(ttl), apex
	below := string(rune(len(apex))) + apex
	o.ns, o.mbox = nameServer+below, mailbox+below
	return problems.Err()
}

func (o *options) decodeHosts(d *corefile.Directive) error {
	var problems corefile.Errors
	for _, arg := range d.Args {
		switch {
		case arg.Text != ingress && arg.Text != gateway:
			problems.Join(arg.Errorf("hosts: unknown kind %q: %s or %s is wanted", arg.Text, ingress, gateway))
		case slices.Contains(o.kinds, arg.Text):
			problems.Join(arg.Errorf("hosts: %s is given twice", arg.Text))
		default:
			o.kinds = append(o.kinds, arg.Text)
		}
	}
	return problems.Err()
}

func checkLabel(text string) error {
	if name, err := wire.ParseName(text); err != nil || name.Labels() != 1 {
		return fmt.Errorf("%q is not one label of 1 to 63 bytes such as %q", text, defaultApex)
	}
	return nil
}
