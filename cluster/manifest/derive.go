package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/nameplane/nameplane/cluster"
)

// state is what the Store shall hold.
type state struct {
	namespaces []string
	services   []*cluster.ServiceSpec
	slices     []*cluster.SliceSpec
	pods       []*cluster.PodSpec
	imports    []*cluster.ServiceSpec
	hosts      []*cluster.HostSpec
	ending     []*cluster.PodSpec // pods that stay findable if they were so, until they are gone
	node       *cluster.Node      // the one of Needs.Node; nil when no manifest has it
	problems   []string
}

// derive makes of the files' objects what a cluster would make of them. It is pure.
func (r *rules) derive(files []*objects) *state {
	out := &state{}
	all := out.gather(files)
	out.namespaces = r.namespaces(all)
	out.addresses(r, all.services)
	out.nodePorts(all.services)
	if r.needs.Endpoints || r.needs.Imports {
		r.endpointSlices(out, all)
	}
	r.outsiders(out, &all.outsiders)
	for _, s := range all.services {
		if r.labels.Matches(labels.Set(s.labels)) {
			spec := s.spec
			out.services = append(out.services, &spec)
		}
	}
	if r.needs.Pods {
		for _, p := range all.pods {
			if p.running && len(p.addrs) > 0 && r.labels.Matches(labels.Set(p.labels)) {
				spec := &cluster.PodSpec{Namespace: p.namespace, Name: p.name, Addrs: p.addrs}
				if r.needs.PodLabels {
					spec.Labels = p.labels
				}
				if p.ending {
					out.ending = append(out.ending, spec)
				} else {
					out.pods = append(out.pods, spec)
				}
			}
		}
	}
	for _, n := range all.nodes {
		if n.name == r.needs.Node {
			out.node = n.spec
		}
	}
	return out
}

// gather puts the objects of all files together, sorted by namespace and name. Of two with one identity the later
// counts, as if they were applied one after the other.
func (out *state) gather(files []*objects) *objects {
	all := &objects{}
	for _, f := range files {
		all.services = append(all.services, f.services...)
		all.slices = append(all.slices, f.slices...)
		all.pods = append(all.pods, f.pods...)
		all.namespaces = append(all.namespaces, f.namespaces...)
		all.nodes = append(all.nodes, f.nodes...)
		all.outsiders.gather(&f.outsiders)
		all.named = append(all.named, f.named...)
		out.problems = append(out.problems, f.problems...)
	}
	all.services = unique(out, "Service", all.services, func(s *service) *object { return &s.object })
	for i, s := range all.services { // to be completed; the file's own stays as it is written
		complete := *s
		complete.spec.ClusterIPs = slices.Clip(s.spec.ClusterIPs)
		all.services[i] = &complete
	}
	all.slices = unique(out, "EndpointSlice", all.slices, func(s *endpointSlice) *object { return &s.object })
	all.pods = unique(out, "Pod", all.pods, func(p *pod) *object { return &p.object })
	all.namespaces = unique(out, "Namespace", all.namespaces, func(n *object) *object { return n })
	all.nodes = unique(out, "Node", all.nodes, func(n *node) *object { return &n.object })
	all.outsiders.unique(out)
	return all
}

func unique[T any](out *state, kind string, list []*T, of func(*T) *object) []*T {
	slices.SortStableFunc(list, func(a, b *T) int {
		return cmp.Or(cmp.Compare(of(a).namespace, of(b).namespace), cmp.Compare(of(a).name, of(b).name))
	})
	kept := list[:0]
	for i, item := range list {
		if o := of(item); i+1 < len(list) && of(list[i+1]).namespace == o.namespace && of(list[i+1]).name == o.name {
			out.problemf("%s: %s %s: is defined again at %s, which counts", o.at, kind, o.title(), of(list[i+1]).at)
			continue
		}
		kept = append(kept, item)
	}
	return kept
}

func (o *object) title() string {
	if o.namespace == "" {
		return o.name
	}
	return o.namespace + "/" + o.name
}

func (out *state) problemf(format string, args ...any) {
	out.problems = append(out.problems, fmt.Sprintf(format, args...))
}

// namespaces are those that exist: the ones with a manifest of their own, those that objects name, and those that every
// cluster has.
func (r *rules) namespaces(all *objects) []string {
	sets := map[string]labels.Set{}
	for _, name := range append(all.named, corev1.NamespaceDefault, "kube-system", "kube-public", corev1.NamespaceNodeLease) {
		sets[name] = labels.Set{corev1.LabelMetadataName: name}
	}
	for _, n := range all.namespaces {
		sets[n.name] = n.labels
	}
	var out []string
	for name, set := range sets {
		if _, ok := cluster.ServiceKey(name, "any"); ok && r.namespaceLabels.Matches(set) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// addresses gives every service the families and virtual IPs it has to have. Those that name their own come first.
func (out *state) addresses(r *rules, services []*service) {
	pool := newAddresses(r.cidrs)
	owners := map[cluster.Addr]*service{}
	for _, s := range services {
		for _, addr := range s.spec.ClusterIPs {
			pool.used[addr] = true
			if other := owners[addr]; other != nil && other != s {
				out.problemf("%s: Service %s: cluster IP %s is the one of Service %s (%s) too; both are served", s.at, s.title(), addr, other.title(), other.at)
			}
			owners[addr] = s
		}
	}
	for _, s := range services {
		s.families = pool.families(s)
		if !s.wantsIP {
			continue
		}
		for _, family := range s.families {
			if slices.ContainsFunc(s.spec.ClusterIPs, func(a cluster.Addr) bool { return familyOf(&a) == family }) {
				continue
			}
			addr, ok := pool.take(s.namespace+"/"+s.name, family)
			if !ok {
				out.problemf("%s: Service %s: no %s address is left in the service CIDR; it has none", s.at, s.title(), family)
				continue
			}
			s.spec.ClusterIPs = append(s.spec.ClusterIPs, addr)
		}
	}
}

// endpointSlices are those that were given and those that the endpoint slice controller would make.
func (r *rules) endpointSlices(out *state, all *objects) {
	const byLegacy, bySlice = 1, 2
	given := map[[2]string]int{}
	for _, s := range all.slices {
		key := [2]string{s.namespace, s.spec.Service}
		given[key] = max(given[key], map[bool]int{true: byLegacy, false: bySlice}[s.legacy])
	}
	for _, s := range all.slices {
		if s.legacy && given[[2]string{s.namespace, s.spec.Service}] == bySlice {
			continue
		}
		if r.labels.Matches(labels.Set(s.labels)) {
			spec := s.spec
			if !r.needs.Endpoints {
				spec.Service = ""
			}
			if spec.Service+spec.Import != "" {
				out.slices = append(out.slices, &spec)
			}
		}
	}
	if !r.needs.Endpoints {
		return
	}
	pods := newPodIndex(all.pods)
	zones := map[string]string{}
	for _, n := range all.nodes {
		zones[n.name] = n.spec.Zone
	}
	for _, s := range all.services {
		if len(s.selector) == 0 || s.spec.Type == cluster.ExternalName || given[[2]string{s.namespace, s.name}] != 0 {
			continue
		}
		if r.labels.Matches(labels.Set(s.labels)) { // the controller copies the service's labels to its slices
			out.slices = append(out.slices, r.slicesOf(s, pods.matching(s), zones)...)
		}
	}
}

// slicesOf are a service's slices, one for each family and each set of ports that its pods have.
func (r *rules) slicesOf(s *service, pods []*pod, zones map[string]string) []*cluster.SliceSpec {
	var out []*cluster.SliceSpec
	for _, family := range s.families {
		byPorts := map[string]*cluster.SliceSpec{}
		for _, p := range pods {
			if !p.running || !r.needs.Forwarding && !p.published(s) {
				continue
			}
			ports := p.ports(s)
			// The slash keeps these apart from all names that an object can have.
			name := fmt.Sprintf("%s/%s/%v", s.name, family, ports)
			for _, addr := range p.addrs {
				if familyOf(&addr) != family {
					continue
				}
				slice := byPorts[name]
				if slice == nil {
					slice = &cluster.SliceSpec{Namespace: s.namespace, Name: name, Service: s.name, Ports: ports, Backends: r.needs.Forwarding}
					byPorts[name] = slice
					out = append(out, slice)
				}
				slice.Endpoints = append(slice.Endpoints, r.endpoint(s, p, addr, zones))
			}
		}
	}
	return out
}

// published tells whether the pod is a ready endpoint of a service.
func (p *pod) published(s *service) bool { return s.publish || p.ready && !p.ending }

func (r *rules) endpoint(s *service, p *pod, addr cluster.Addr, zones map[string]string) cluster.EndpointSpec {
	e := cluster.EndpointSpec{Addr: addr}
	if r.needs.Forwarding {
		e.Unready, e.Unserving, e.Terminating = !p.published(s), !p.ready, p.ending
		e.Place = &cluster.Place{Node: p.node, Zone: zones[p.node]}
	}
	switch {
	case p.hostname != "" && p.subdomain == s.name:
		e.Name = p.hostname
	case r.needs.PodNames:
		e.Name, e.PodName = p.name, true
	}
	if r.needs.Zones {
		e.Zone = zones[p.node]
	}
	return e
}

// ports are the service's ports as this pod has them. A port by a name that no container has is left out.
func (p *pod) ports(s *service) []cluster.Port {
	ports := make([]cluster.Port, 0, len(s.targets))
	for i, target := range s.targets {
		port := s.spec.Ports[i]
		if target.Type == intstr.Int {
			port.Number = uint16(target.IntVal)
			ports = append(ports, port)
			continue
		}
		for _, named := range p.portsByName {
			if named.name == target.StrVal && named.protocol == port.Protocol {
				port.Number = named.number
				ports = append(ports, port)
				break
			}
		}
	}
	return ports
}

// podIndex finds the pods of a selector without asking each: ten thousand services times ten thousand pods would be
// seconds.
type podIndex map[string][]*pod // by namespace, label and value

func newPodIndex(pods []*pod) podIndex {
	index := podIndex{}
	for _, p := range pods {
		for label, value := range p.labels {
			key := indexKey(p.namespace, label, value)
			index[key] = append(index[key], p)
		}
	}
	return index
}

func indexKey(namespace, label, value string) string {
	return strings.Join([]string{namespace, label, value}, "\x00")
}

// matching are the pods that a service selects, sorted by name as the index is.
func (index podIndex) matching(s *service) []*pod {
	var fewest []*pod
	first := true
	for label, value := range s.selector {
		if have := index[indexKey(s.namespace, label, value)]; first || len(have) < len(fewest) {
			fewest, first = have, false
		}
	}
	selector := labels.SelectorFromSet(s.selector)
	var out []*pod
	for _, p := range fewest {
		if selector.Matches(labels.Set(p.labels)) {
			out = append(out, p)
		}
	}
	return out
}
