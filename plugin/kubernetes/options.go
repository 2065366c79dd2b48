package kubernetes

import (
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// How pods' names are answered.
const (
	podsDisabled = "disabled"
	podsInsecure = "insecure"
	podsVerified = "verified"
)

const (
	defaultTTL            = 5 // seconds
	maxTTL                = 3600
	defaultStartupTimeout = 5 * time.Second
)

// options are what the Corefile says.
type options struct {
	pods           string
	namespaces     map[string]struct{} // none for all
	filtered       bool                // not all namespaces are shown
	noEndpoints    bool
	podNames       bool // an endpoint without a hostname goes by its pod's name
	ignoreEmpty    bool
	zonal          bool
	metadata       bool   // pods' labels may be asked for
	ttl            uint32 // seconds
	fall           plugin.Zones
	startupTimeout time.Duration
	origin         cluster.Origin
}

// needs is what the options want of the Store.
func (o *options) needs() cluster.Needs {
	return cluster.Needs{
		Endpoints: !o.noEndpoints,
		PodNames:  o.podNames,
		Zones:     o.zonal,
		Pods:      o.pods == podsVerified,
		PodLabels: o.pods == podsVerified && o.metadata,
		External:  true, // for k8s_external; without external addresses it costs 31 bytes a service
	}
}

// Spec declares the directive; its stores are shared through pool.
func Spec(pool *cluster.Pool) plugin.Spec {
	return plugin.Spec{
		Name:    "kubernetes",
		Summary: "cluster names, from an API server or from manifests",
		Build: func(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
			return build(env, lines, pool)
		},
	}
}

func build(env *plugin.Env, lines []*corefile.Directive, pool *cluster.Pool) (plugin.Handler, error) {
	d := lines[0]
	var problems corefile.Errors
	for _, again := range lines[1:] {
		problems.Join(again.Errorf("given twice in one server block; the first one is at %s", d.Pos))
	}
	k := &Kubernetes{log: env.Log, listen: env.Listen}
	zones, err := plugin.ParseZones(d.Args, env.Zones)
	problems.Join(err)
	k.zones = zones
	problems.Join(k.checkZones(d))
	problems.Join(k.decode(d, env))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if k.metrics, err = newMetrics(env.Metrics, env.Now); err != nil {
		return nil, d.Errorf("%v", err)
	}
	k.lease, err = pool.Lease(k.origin, k.needs(), k.metrics.telemetry())
	if err != nil {
		return nil, d.Errorf("%v", err)
	}
	k.store = k.lease.Store
	return k, nil
}

// checkZones finds the primary zone, into which reverse names point, and zones without room for the names of their SOA.
func (k *Kubernetes) checkZones(d *corefile.Directive) error {
	var problems corefile.Errors
	for _, z := range slices.Backward(k.zones) {
		if len(soaMailbox)+len(z) > wire.MaxName {
			problems.Join(d.Errorf("zone %s is too long: hostmaster.%[1]s has to be a name of 255 bytes at most", z))
		}
		if !z.IsReverse() {
			k.primary = z
		}
	}
	if k.primary == "" && len(k.zones) > 0 {
		problems.Join(d.Errorf("only reverse zones are given: a zone for the names themselves is wanted too, such as cluster.local"))
	}
	return problems.Err()
}

// decode reads the body.
func (k *Kubernetes) decode(d *corefile.Directive, env *plugin.Env) error {
	k.pods, k.startupTimeout, k.metadata = podsDisabled, defaultStartupTimeout, env.Metadata
	ttl := defaultTTL
	var names []string
	var problems corefile.Errors
	problems.Join(d.Decode(append(k.originOptions(env),
		corefile.Enum("pods", &k.pods, podsDisabled, podsInsecure, podsVerified),
		corefile.Flag("endpoint_pod_names", &k.podNames).Repeated(),
		corefile.Flag("noendpoints", &k.noEndpoints).Repeated(),
		corefile.Flag("zonal", &k.zonal).Repeated(),
		corefile.Int("ttl", "ttl SECONDS", &ttl, 0, maxTTL),
		corefile.Strings("namespaces", "namespaces NAMESPACE...", 1, &names),
		corefile.Duration("startup_timeout", "startup_timeout DURATION", &k.startupTimeout, 0, 0),
		corefile.Func("fallthrough", "fallthrough [ZONE...]", 0, -1, k.decodeFallthrough),
		corefile.Func("ignore", "ignore empty_service", 0, 1, k.decodeIgnore),
		corefile.Func("multicluster", "multicluster [ZONE...]", 0, -1, func(o *corefile.Directive) error {
			return o.Errorf("names of a cluster set (clusterset.local) are not answered; without this line the zones answer names of this cluster")
		}),
	)...))
	k.ttl = uint32(ttl)
	k.showOnly(names)
	if len(names) > 0 && k.origin.NamespaceLabels != "" {
		problems.Join(d.Errorf("namespaces and namespace_labels exclude each other: keep one"))
	}
	if k.zonal && k.noEndpoints {
		problems.Join(d.Errorf("zonal names are answered from endpoints: remove noendpoints or zonal"))
	}
	return problems.Err()
}

func (k *Kubernetes) showOnly(names []string) {
	k.namespaces = make(map[string]struct{}, len(names))
	for _, name := range names {
		k.namespaces[name] = struct{}{}
	}
	k.filtered = len(names) > 0 || k.origin.NamespaceLabels != ""
}

func (k *Kubernetes) decodeFallthrough(o *corefile.Directive) error {
	zones, err := plugin.ParseZones(o.Args, plugin.Zones{wire.Root})
	k.fall = zones
	return err
}

// decodeIgnore: a bare "ignore" does nothing in CoreDNS, and so here.
func (k *Kubernetes) decodeIgnore(o *corefile.Directive) error {
	if len(o.Args) == 0 {
		return nil
	}
	if word := o.Args[0]; word.Text != "empty_service" {
		return word.Errorf("ignore: unknown word %q: empty_service is wanted", word.Text)
	}
	k.ignoreEmpty = true
	return nil
}

// originOptions are the lines that say where the objects come from.
func (k *Kubernetes) originOptions(env *plugin.Env) []corefile.Option {
	o := &k.origin
	return []corefile.Option{
		corefile.Func("endpoint", "endpoint URL", 1, -1, func(line *corefile.Directive) error {
			o.Endpoint = line.Args[0].Text
			if len(line.Args) > 1 {
				k.log.Warn("only the first endpoint is used", "at", line.Pos, "endpoint", o.Endpoint)
			}
			return nil
		}),
		corefile.Func("tls", "tls CERT KEY CA", 3, 3, func(line *corefile.Directive) error {
			o.CertFile, o.KeyFile, o.CAFile = path(env, line.Args[0]), path(env, line.Args[1]), path(env, line.Args[2])
			return nil
		}),
		corefile.Func("kubeconfig", "kubeconfig FILE [CONTEXT]", 1, 2, func(line *corefile.Directive) error {
			o.Kubeconfig = path(env, line.Args[0])
			if len(line.Args) == 2 {
				o.Context = line.Args[1].Text
			}
			return nil
		}),
		corefile.Func("manifests", "manifests PATH...", 1, -1, func(line *corefile.Directive) error {
			for _, arg := range line.Args {
				o.Manifests = append(o.Manifests, path(env, arg))
			}
			return nil
		}).Repeated(),
		corefile.Func("service_cidr", "service_cidr CIDR...", 1, -1, k.decodeServiceCIDR),
		corefile.Func("labels", "labels SELECTOR", 1, -1, selector(&o.Labels)),
		corefile.Func("namespace_labels", "namespace_labels SELECTOR", 1, -1, selector(&o.NamespaceLabels)),
		corefile.Func("apiserver_qps", "apiserver_qps REQUESTS", 1, 1, func(line *corefile.Directive) error {
			qps, err := strconv.ParseFloat(line.Args[0].Text, 32)
			if err != nil || qps < 0 || math.IsInf(qps, 0) || math.IsNaN(qps) {
				return line.Errorf("%q is not a number of requests a second, 0 or more", line.Args[0].Text)
			}
			o.QPS = float32(qps)
			return nil
		}),
		corefile.Int("apiserver_burst", "apiserver_burst REQUESTS", &o.Burst, 0, math.MaxInt32),
		corefile.Int("apiserver_max_inflight", "apiserver_max_inflight REQUESTS", &o.MaxInflight, 0, math.MaxInt32),
	}
}

func (k *Kubernetes) decodeServiceCIDR(line *corefile.Directive) error {
	var problems corefile.Errors
	for _, arg := range line.Args {
		cidr, err := netip.ParsePrefix(arg.Text)
		if err != nil {
			problems.Join(arg.Errorf("service_cidr: %q is not an address block such as 10.96.0.0/12", arg.Text))
			continue
		}
		k.origin.ServiceCIDRs = append(k.origin.ServiceCIDRs, cidr.Masked())
	}
	return problems.Err()
}

// selector joins the words of a label selector, which may hold spaces.
func selector(into *string) func(*corefile.Directive) error {
	return func(line *corefile.Directive) error {
		words := make([]string, len(line.Args))
		for i, arg := range line.Args {
			words[i] = arg.Text
		}
		*into = strings.Join(words, " ")
		return nil
	}
}

// path is a file's; relative ones start where the Corefile lies.
func path(env *plugin.Env, arg corefile.Token) string {
	if filepath.IsAbs(arg.Text) {
		return arg.Text
	}
	return filepath.Join(env.Dir, arg.Text)
}
