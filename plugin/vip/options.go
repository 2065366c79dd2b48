package vip

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/origin"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/plugin/vip/plan"
	"github.com/nameplane/nameplane/server/corefile"
)

// The modes.
const (
	modeNftables = "nftables"
	modeRelay    = "relay"
	modePlan     = "plan"
)

const (
	defaultProxyName = "nameplane"
	defaultHealthz   = ":10256" // kube-proxy's
)

// options are what the Corefile says.
type options struct {
	mode    string
	policy  plan.Policy
	healthz string // address of /healthz and /livez; empty for none
	origin  cluster.Origin
}

// needs is what the options want of the Store.
func (o *options) needs() cluster.Needs {
	return cluster.Needs{Endpoints: true, Zones: true, Forwarding: true, Node: o.policy.Node}
}

// decode reads the directive.
func (o *options) decode(d *corefile.Directive, env *plugin.Env) error {
	o.mode = modeNftables
	o.policy = plan.Policy{ProxyName: defaultProxyName, AllowPods: true, AllowNode: true}
	p := &o.policy
	external := "off"
	var problems corefile.Errors
	problems.Join(d.WantArgs(0, 0, "vip"))
	problems.Join(d.Decode(append(origin.Options(&o.origin, env.Dir, env.Log),
		corefile.Enum("mode", &o.mode, modeNftables, modeRelay, modePlan),
		corefile.Func("node", "node NAME", 0, 1, func(line *corefile.Directive) error {
			if len(line.Args) == 1 {
				p.Node = line.Args[0].Text
			}
			return nil
		}),
		corefile.Func("services", "services all|proxy-name=NAME", 1, 1, decodeServices(p)),
		corefile.Func("pod_cidr", "pod_cidr CIDR...", 1, -1, func(line *corefile.Directive) (err error) {
			p.PodCIDRs, err = origin.CIDRs(line, line.Args, "10.244.0.0/16")
			return err
		}),
		corefile.Func("allow_from", "allow_from pods|node|CIDR...", 1, -1, decodeAllow(p)),
		corefile.Func("nodeport_addresses", "nodeport_addresses primary|CIDR...", 1, -1, decodeNodePorts(p)),
		corefile.Enum("external_ips", &external, "off", "on"),
		corefile.Func("healthz", "healthz [HOST:PORT]", 0, 1, func(line *corefile.Directive) (err error) {
			o.healthz, err = line.Address(defaultHealthz)
			return err
		}),
	)...))
	p.ExternalIPs = external == "on"
	if err := problems.Err(); err != nil {
		return err
	}
	return o.complete(d, env)
}

// decodeServices: a service that names a proxy is that one's; all others are kube-proxy's, or ours with "all".
func decodeServices(p *plan.Policy) func(*corefile.Directive) error {
	return func(line *corefile.Directive) error {
		word := line.Args[0]
		name, named := strings.CutPrefix(word.Text, "proxy-name=")
		switch {
		case word.Text == "all":
			p.All = true
		case named && name != "":
			p.ProxyName = name
		default:
			return word.Errorf("services: %q is neither all nor proxy-name=NAME%s", word.Text, hint(word.Text, "all", "proxy-name="))
		}
		return nil
	}
}

// decodeAllow: what is written takes the place of the default.
func decodeAllow(p *plan.Policy) func(*corefile.Directive) error {
	return func(line *corefile.Directive) error {
		p.AllowPods, p.AllowNode = false, false
		var problems corefile.Errors
		for _, word := range line.Args {
			switch word.Text {
			case "pods":
				p.AllowPods = true
			case "node":
				p.AllowNode = true
			default:
				cidr, err := netip.ParsePrefix(word.Text)
				if err != nil {
					problems.Join(word.Errorf("allow_from: %q is neither pods nor node nor an address block such as 192.168.0.0/24%s",
						word.Text, hint(word.Text, "pods", "node")))
					continue
				}
				p.AllowFrom = append(p.AllowFrom, cidr.Masked())
			}
		}
		return problems.Err()
	}
}

func decodeNodePorts(p *plan.Policy) func(*corefile.Directive) error {
	return func(line *corefile.Directive) (err error) {
		if len(line.Args) == 1 && !strings.Contains(line.Args[0].Text, "/") {
			word := line.Args[0]
			if word.Text == "primary" {
				return nil
			}
			return word.Errorf("nodeport_addresses: %q is neither primary nor an address block such as 192.168.0.0/24%s",
				word.Text, hint(word.Text, "primary"))
		}
		p.NodePortAddrs, err = origin.CIDRs(line, line.Args, "192.168.0.0/24")
		return err
	}
}

func hint(word string, known ...string) string {
	if near := corefile.Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// complete fills in what follows from the machine and from the directive kubernetes.
func (o *options) complete(d *corefile.Directive, env *plugin.Env) error {
	var problems corefile.Errors
	if o.policy.Node == "" { // also where {$NODE_NAME} is not set
		name, err := os.Hostname()
		if err != nil {
			problems.Join(d.Errorf("this host's name cannot be read (%v): write \"node NAME\"", err))
		}
		o.policy.Node = strings.ToLower(name) // as a kubelet names its node
	}
	o.policy.ServiceCIDRs = o.origin.ServiceCIDRs
	problems.Join(o.share(d, env))
	problems.Join(o.check(d))
	return problems.Err()
}

// share takes the source of the directive kubernetes, unless this one has lines of its own for that: then both read one
// store.
func (o *options) share(d *corefile.Directive, env *plugin.Env) error {
	own := o.origin
	own.ServiceCIDRs = nil
	if env.File == nil || key(own) != key(cluster.Origin{}) {
		return nil
	}
	lines := env.File.Lines("kubernetes")
	for i, line := range lines {
		theirs, err := origin.Of(line, env.Dir)
		if err != nil {
			return nil // which kubernetes tells
		}
		if i > 0 && key(theirs) != key(o.origin) {
			return d.Errorf("the directives kubernetes at %s and %s have different sources: say here which one is meant (kubeconfig, endpoint or manifests)",
				lines[0].Pos, line.Pos)
		}
		o.origin = theirs
	}
	if len(o.policy.ServiceCIDRs) == 0 {
		o.policy.ServiceCIDRs = o.origin.ServiceCIDRs
	}
	return nil
}

// key tells origins apart.
func key(o cluster.Origin) string { return fmt.Sprintf("%+v", o) }

// check finds what cannot work together.
func (o *options) check(d *corefile.Directive) error {
	p := &o.policy
	var problems corefile.Errors
	if p.AllowPods && len(p.PodCIDRs) == 0 && o.mode == modeNftables {
		problems.Join(d.Errorf("pod_cidr is missing: ClusterIPs answer pods, which are known by their addresses (or else write \"allow_from node\")"))
	}
	for _, cidr := range p.ServiceCIDRs {
		if !cidr.Addr().IsLoopback() {
			continue
		}
		if o.mode == modeNftables {
			problems.Join(d.Errorf("service_cidr %s: the kernel forwards no loopback address; mode relay does", cidr))
		}
		p.Loopback = cidr
	}
	return problems.Err()
}

// checkServer refuses an API server that is reached by what this process forwards: after a restart of the node nobody
// would reach it, so nobody would learn how to.
func (o *options) checkServer(source string) error {
	addr := serverAddr(source)
	if !o.policy.All || !addr.IsValid() {
		return nil
	}
	for _, cidr := range o.policy.ServiceCIDRs {
		if cidr.Contains(addr) {
			return fmt.Errorf("the API server is reached at %s, which is a virtual IP (service_cidr %s) that this process is to forward: "+
				"give it the server's own address, by kubeconfig or endpoint (or KUBERNETES_SERVICE_HOST)", source, cidr)
		}
	}
	return nil
}

// serverAddr is the address in a source's URL; not valid for a name, and for manifests.
func serverAddr(source string) netip.Addr {
	u, err := url.Parse(source)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(u.Hostname())
	return addr.Unmap()
}
