package kubernetes

import (
	"slices"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/origin"
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
	metadata       bool     // pods' labels may be asked for
	hosts          []string // kinds of objects whose host names k8s_external answers
	ttl            uint32   // seconds
	fall           plugin.Zones
	sets           plugin.Zones // those that are a cluster set's
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
		Imports:   len(o.sets) > 0,
		Ingresses: slices.Contains(o.hosts, "ingress"),
		Gateways:  slices.Contains(o.hosts, "gateway"),
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
	k.pods, k.startupTimeout, k.metadata, k.hosts = podsDisabled, defaultStartupTimeout, env.Metadata, env.Hosts
	ttl := defaultTTL
	var names []string
	var problems corefile.Errors
	problems.Join(d.Decode(append(origin.Options(&k.origin, env.Dir, k.log),
		corefile.Enum("pods", &k.pods, podsDisabled, podsInsecure, podsVerified),
		corefile.Flag("endpoint_pod_names", &k.podNames).Repeated(),
		corefile.Flag("noendpoints", &k.noEndpoints).Repeated(),
		corefile.Flag("zonal", &k.zonal).Repeated(),
		corefile.Int("ttl", "ttl SECONDS", &ttl, 0, maxTTL),
		corefile.Strings("namespaces", "namespaces NAMESPACE...", 1, &names),
		corefile.Duration("startup_timeout", "startup_timeout DURATION", &k.startupTimeout, 0, 0),
		corefile.Func("fallthrough", "fallthrough [ZONE...]", 0, -1, k.decodeFallthrough),
		corefile.Func("ignore", "ignore empty_service", 0, 1, k.decodeIgnore),
		corefile.Func("multicluster", "multicluster [ZONE...]", 0, -1, k.decodeClusterSet),
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
