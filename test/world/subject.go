package world

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/miekg/dns"
)

// subject is a name to ask for, and what it is in this world.
type subject struct{ name, why string }

// subjects collects them without repeats, in an order that follows from the world.
type subjects struct {
	all  []subject
	seen map[string]bool
}

// add takes names that fit into a message (RFC 1035 section 2.3.4); others cannot be asked for.
func (s *subjects) add(why string, labels ...string) {
	name := dns.Fqdn(strings.Join(labels, "."))
	if s.seen[name] {
		return
	}
	if _, err := dns.PackDomainName(name, make([]byte, 256), 0, nil, false); err != nil {
		return
	}
	s.seen[name] = true
	s.all = append(s.all, subject{name: name, why: why})
}

// subjects lists every name that follows from the world's objects, with wrong ones beside the right ones.
func (w *World) subjects() []subject {
	s := &subjects{seen: map[string]bool{}}
	addApex(s)
	for _, ns := range w.namespaces {
		addNamespace(s, ns.Name)
	}
	for i, service := range w.services {
		addService(s, service)
		addPorts(s, service)
		// The name of some other service, with this one's namespace: mostly wrong, sometimes right.
		other := w.services[(i+17)%len(w.services)]
		s.add("service of another namespace", other.Name, service.Namespace, "svc", Zone)
	}
	for _, slice := range w.slices {
		addSlice(s, slice)
	}
	for i, p := range w.pods {
		addPod(s, p, w.pods[(i+5)%len(w.pods)].Namespace)
	}
	for _, name := range outsideNames {
		s.add("outside name", name)
		s.add("outside name on the search path", name, "default.svc", Zone)
		s.add("outside name on the search path", name, "svc", Zone)
		s.add("outside name on the search path", name, Zone)
	}
	addOddities(s)
	return s.all
}

func addApex(s *subjects) {
	s.add("apex", Zone)
	for _, label := range []string{"svc", "pod", "dns", "ns.dns", "hostmaster", "node", "_tcp", "x", "ns", "any.svc", "any.any.svc", "x.y.svc", "svc.svc", "_http._tcp.svc", "1-2-3-4.pod"} {
		s.add("beside the apex", label, Zone)
	}
	s.add("dns-version", "dns-version", Zone)
	s.add("below dns-version", "x.dns-version", Zone)
	for _, name := range []string{".", "local.", "cluster.", "xcluster.local.", "svc.cluster.", "clusterset.local.", "web.default.svc.clusterset.local."} {
		s.add("outside the zone", name)
	}
}

func addNamespace(s *subjects, ns string) {
	s.add("namespace", ns, "svc", Zone)
	s.add("namespace of pods", ns, "pod", Zone)
	s.add("namespace alone", ns, Zone)
	s.add("below a namespace", "_tcp", ns, "svc", Zone)
	s.add("below a namespace", "_http._tcp", ns, "svc", Zone)
	s.add("wildcard", "*", ns, "svc", Zone)
	s.add("wildcard", "any", ns, "svc", Zone)
	s.add("wildcard", "*."+ns, "pod", Zone)
	s.add("unknown service", "no-such-service", ns, "svc", Zone)
	s.add("unknown namespace", "web", ns+"x", "svc", Zone)
	s.add("unknown namespace", "10-0-0-1", ns+"x", "pod", Zone)
	for _, pod := range []string{"1-2-3", "1-2-3-4-5", "1-2-3-256", "a-b-c-d", "1--2-3", "01-2-3-4", "fd00--1", "--1", "0-0-0-0", "--", "x", "1-2-3-4x", "fd00-10-244--1-2-3-4-5-6", "--ffff-1-2-3-4", "FD00--A"} {
		s.add("pod name that is no address", pod, ns, "pod", Zone)
	}
	s.add("any pod address", "10-244-77-1", ns, "pod", Zone)
	s.add("label left of a pod", "x.10-244-77-1", ns, "pod", Zone)
}

func addService(s *subjects, service *corev1.Service) {
	base := service.Name + "." + service.Namespace + ".svc." + Zone
	why := "ClusterIP service"
	switch {
	case isAlias(service):
		why = "ExternalName service"
	case isHeadless(service):
		why = "headless service"
	}
	s.add(why, base)
	s.add("service misspelt", service.Name+"x", service.Namespace, "svc", Zone)
	s.add("service in pod space", service.Name, service.Namespace, "pod", Zone)
	s.add("service without svc", service.Name, service.Namespace, Zone)
	s.add("service on the search path", service.Name, service.Namespace, "default.svc", Zone)
	s.add("service on the search path", base[:len(base)-1], "default.svc", Zone)
	s.add("service on the search path", service.Name, service.Namespace, "svc."+Zone[:len(Zone)-1], Zone)
	s.add("unknown endpoint", "no-such-endpoint", base)
	s.add("unknown endpoint", "10-9-9-9", base)
	s.add("too many labels", "a.b.c", base)
	s.add("too many labels", "a._http._tcp", base)
	s.add("zonal name", "zone-a.pin._zone", base)
	s.add("zonal name", "zone-b.prefer._zone", base)
	if isAlias(service) {
		s.add("target of an ExternalName", service.Spec.ExternalName)
		s.add("target on the search path", strings.TrimSuffix(service.Spec.ExternalName, "."), "default.svc", Zone)
	}
	if isClusterIP(service) {
		for _, ip := range service.Spec.ClusterIPs {
			addReverse(s, "reverse of a ClusterIP", netip.MustParseAddr(ip))
		}
	}
}

func addPorts(s *subjects, service *corev1.Service) {
	base := service.Name + "." + service.Namespace + ".svc." + Zone
	for _, p := range service.Spec.Ports {
		protocol := strings.ToLower(string(p.Protocol))
		if p.Name != "" {
			s.add("port", "_"+p.Name+"._"+protocol, base)
			s.add("port without underscores", p.Name+"."+protocol, base)
			s.add("port with one underscore", "_"+p.Name+"."+protocol, base)
			s.add("port with one underscore", p.Name+"._"+protocol, base)
			s.add("port alone", "_"+p.Name, base)
		}
		s.add("port by number", fmt.Sprintf("_%d._%s", p.Port, protocol), base)
	}
	for _, port := range []string{"_http._tcp", "_http._udp", "_nope._tcp", "_dns._udp", "_http._xyz", "_tcp", "_._tcp", "*._tcp", "_*._*", "any.any", "__http._tcp", "_only-here._tcp"} {
		s.add("guessed port", port, base)
	}
}

func addSlice(s *subjects, slice *discoveryv1.EndpointSlice) {
	base := slice.Labels[discoveryv1.LabelServiceName] + "." + slice.Namespace + ".svc." + Zone
	for _, e := range slice.Endpoints {
		if e.Hostname != nil {
			s.add("endpoint by hostname", *e.Hostname, base)
			s.add("port of an endpoint", "_http._tcp."+*e.Hostname, base)
		}
		if e.TargetRef != nil {
			s.add("endpoint by pod name", e.TargetRef.Name, base)
		}
		for _, address := range e.Addresses {
			dashed := strings.NewReplacer(".", "-", ":", "-").Replace(address)
			s.add("endpoint by address", dashed, base)
			if a, err := netip.ParseAddr(address); err == nil {
				if a.Is6() {
					s.add("endpoint by address", strings.ReplaceAll(a.String(), ":", "-"), base)
					s.add("endpoint by padded address", strings.ReplaceAll(a.String(), ":", "-")+"0", base)
				}
				s.add("endpoint as a pod", dashed, slice.Namespace, "pod", Zone)
				addReverse(s, "reverse of an endpoint", a)
			}
		}
	}
}

func addPod(s *subjects, p *corev1.Pod, elsewhere string) {
	s.add("pod by its own name", p.Name, p.Namespace, "pod", Zone)
	for _, ip := range p.Status.PodIPs {
		a := netip.MustParseAddr(ip.IP)
		dashed := strings.NewReplacer(".", "-", ":", "-").Replace(ip.IP)
		s.add("pod", dashed, p.Namespace, "pod", Zone)
		s.add("pod of another namespace", dashed, elsewhere, "pod", Zone)
		s.add("label left of a pod", "x."+dashed, p.Namespace, "pod", Zone)
		s.add("pod address in another place", dashed, p.Namespace, "svc", Zone)
		if a.Is6() {
			s.add("pod by expanded address", strings.ReplaceAll(a.StringExpanded(), ":", "-"), p.Namespace, "pod", Zone)
		}
		addReverse(s, "reverse of a pod", a)
	}
}

// addReverse adds the reverse name of an address and names that are almost one.
func addReverse(s *subjects, why string, a netip.Addr) {
	name, err := dns.ReverseAddr(a.String())
	if err != nil {
		return
	}
	s.add(why, name)
	labels := dns.SplitDomainName(name)
	s.add("reverse name too short", labels[1:]...)
	s.add("reverse name too short", labels[2:]...)
	s.add("reverse name too short", labels[len(labels)-3:]...)
	s.add("reverse name too long", "1", name)
	wrong := slices.Clone(labels)
	wrong[1] = "g"
	s.add("reverse name malformed", wrong...)
	wrong[1] = "256"
	s.add("reverse name malformed", wrong...)
	wrong[1] = "0" + labels[1]
	s.add("reverse name malformed", wrong...)
	s.add("reverse of a neighbour", append([]string{neighbour(labels[0])}, labels[1:]...)...)
}

// neighbour changes the last digit of an address.
func neighbour(label string) string {
	if label == "1" {
		return "2"
	}
	return "1"
}

// addOddities adds names that no object explains.
func addOddities(s *subjects) {
	for _, name := range []string{
		"in-addr.arpa.", "ip6.arpa.", "arpa.", "10.in-addr.arpa.", "96.10.in-addr.arpa.", "0.0.0.0.in-addr.arpa.", "1.0.0.127.in-addr.arpa.",
		"255.255.255.255.in-addr.arpa.", "x.in-addr.arpa.", "d.f.ip6.arpa.", "0.0.d.f.ip6.arpa.", "1.1.168.192.in-addr.arpa.",
		"b._dns-sd._udp." + Zone, "lb._dns-sd._udp.0.96.10.in-addr.arpa.", "version.bind.", "id.server.", "localhost.", "localhost." + Zone,
		`a\.b.default.svc.` + Zone, `a\032b.default.svc.` + Zone, `\000.default.svc.` + Zone, `\255\254.default.svc.` + Zone, `web\;.default.svc.` + Zone,
		strings.Repeat("a.", 100) + Zone, strings.Repeat("x.", 60) + "svc." + Zone, strings.Repeat("1.", 50) + "in-addr.arpa.",
	} {
		s.add("oddity", name)
	}
}
