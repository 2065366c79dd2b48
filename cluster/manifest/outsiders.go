package manifest

import (
	"cmp"
	"slices"

	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/custom"
)

// outsiders are objects by which more than this cluster's services is known: what other clusters share with it, and what
// leads into it from outside.
type outsiders struct {
	imports                     []*serviceImport
	ingresses, gateways, routes []*hosts
}

type serviceImport struct {
	object
	spec cluster.ServiceSpec
}

type hosts struct {
	object
	spec cluster.HostSpec
}

func (r *reader) title(meta custom.Meta) object {
	return object{r.place(), cmp.Or(meta.Namespace, "default"), meta.Name, meta.Labels}
}

func (r *reader) serviceImport(data []byte) error {
	spec, meta, flaws, err := custom.ServiceImport(data)
	if err != nil {
		return r.shape(data, err)
	}
	s := &serviceImport{r.title(meta), spec}
	s.spec.Namespace = s.namespace
	if _, ok := cluster.ServiceKey(s.namespace, s.name); !ok {
		r.problem([]any{"metadata", "name"}, "name and namespace have to be DNS labels of 1 to 63 letters; the import is left out")
		return nil
	}
	for _, f := range flaws {
		r.problem(fieldPath(f.Field), "%s %q: cannot be read; it is left out", f.Field, f.Value)
	}
	r.out.imports = append(r.out.imports, s)
	return nil
}

func (r *reader) ingress(in *networking.Ingress) {
	spec := cluster.HostSpec{Kind: cluster.KindIngress, Namespace: in.Namespace, Name: in.Name}
	for i, tls := range in.Spec.TLS {
		for j, host := range tls.Hosts {
			r.host(&spec, host, "spec", "tls", i, "hosts", j)
		}
	}
	for i, rule := range in.Spec.Rules {
		r.host(&spec, rule.Host, "spec", "rules", i, "host")
	}
	for _, b := range in.Status.LoadBalancer.Ingress {
		if text := cmp.Or(b.IP, b.Hostname); text != "" {
			spec.External = append(spec.External, cluster.ParseExternal(text))
		}
	}
	r.out.ingresses = append(r.out.ingresses, &hosts{object{r.place(), in.Namespace, in.Name, in.Labels}, spec})
}

// host adds a host name; an empty one is a rule for all of them, which is no name.
func (r *reader) host(spec *cluster.HostSpec, name string, path ...any) {
	if name == "" {
		return
	}
	if _, ok := cluster.HostKey(name); !ok {
		r.problem(path, "%s %q: not a host name; it is left out", join(path), name)
		return
	}
	spec.Hosts = append(spec.Hosts, cluster.HostRule{Name: name})
}

func (r *reader) gateway(data []byte) error {
	spec, meta, err := custom.Gateway(data)
	return r.hosts(&r.out.gateways, data, spec, meta, err)
}

// route takes the Gateways that an HTTPRoute names for such as accepted it, unless it has a status: no controller will
// write one into a file.
func (r *reader) route(data []byte) error {
	spec, meta, err := custom.HTTPRoute(data, true)
	return r.hosts(&r.out.routes, data, spec, meta, err)
}

func (r *reader) hosts(into *[]*hosts, data []byte, spec cluster.HostSpec, meta custom.Meta, err error) error {
	if err != nil {
		return r.shape(data, err)
	}
	h := &hosts{r.title(meta), spec}
	for i := range h.spec.Parents { // those that say no namespace are in the object's own
		h.spec.Parents[i].Namespace = cmp.Or(h.spec.Parents[i].Namespace, h.namespace)
	}
	h.spec.Namespace = h.namespace
	*into = append(*into, h)
	return nil
}

// gather adds a file's objects; of two with one identity the later counts.
func (o *outsiders) gather(f *outsiders) {
	o.imports = append(o.imports, f.imports...)
	o.ingresses = append(o.ingresses, f.ingresses...)
	o.gateways = append(o.gateways, f.gateways...)
	o.routes = append(o.routes, f.routes...)
}

func (o *outsiders) unique(out *state) {
	o.imports = unique(out, "ServiceImport", o.imports, func(s *serviceImport) *object { return &s.object })
	of := func(h *hosts) *object { return &h.object }
	o.ingresses = unique(out, "Ingress", o.ingresses, of)
	o.gateways = unique(out, "Gateway", o.gateways, of)
	o.routes = unique(out, "HTTPRoute", o.routes, of)
}

// outsiders picks what is needed. Imports have no selector, as with an API server.
func (r *rules) outsiders(out *state, all *outsiders) {
	if r.needs.Imports {
		for _, s := range all.imports {
			spec := s.spec
			spec.Ports, spec.ClusterIPs = slices.Clone(spec.Ports), slices.Clone(spec.ClusterIPs) // the Writer keeps them
			out.imports = append(out.imports, &spec)
		}
	}
	var lists [][]*hosts
	if r.needs.Ingresses {
		lists = append(lists, all.ingresses)
	}
	if r.needs.Gateways {
		lists = append(lists, all.gateways, all.routes)
	}
	for _, list := range lists {
		for _, h := range list {
			if r.labels.Matches(labels.Set(h.labels)) {
				spec := h.spec
				out.hosts = append(out.hosts, &spec)
			}
		}
	}
}
