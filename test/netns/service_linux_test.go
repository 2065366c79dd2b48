package netns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// source is where the subject has its objects from: a folder of manifests, or an API server.
type source interface {
	// put makes these, and no others, what is known under a name.
	put(t testing.TB, name string, objects ...runtime.Object)
}

// folder is a source of manifests, a file for each name.
type folder string

// put replaces the file in one step, as every tool should that writes where somebody reads.
func (f folder) put(t testing.TB, name string, objects ...runtime.Object) {
	t.Helper()
	path := filepath.Join(string(f), name+".yaml")
	if len(objects) == 0 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	f.write(t, path, text(t, objects...))
}

func (f folder) write(t testing.TB, path, text string) {
	t.Helper()
	draft := filepath.Join(filepath.Dir(string(f)), filepath.Base(path)+".draft")
	if err := os.WriteFile(draft, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(draft, path); err != nil {
		t.Fatal(err)
	}
}

// text is objects as manifests.
func text(t testing.TB, objects ...runtime.Object) string {
	t.Helper()
	var out strings.Builder
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "---\n%s", text)
	}
	return out.String()
}

// service is a Service with its endpoint slices. Whoever changes one publishes it again.
type service struct {
	corev1.Service
	slices []*discoveryv1.EndpointSlice
	family family
	source source
}

// port is a service's port, and the one of its backends.
func port(number int32, target int32, protocol corev1.Protocol) corev1.ServicePort {
	return corev1.ServicePort{
		Name: strings.ToLower(fmt.Sprintf("%s-%d", protocol, number)), Port: number, Protocol: protocol, TargetPort: intstr.FromInt32(target),
	}
}

func tcp(number, target int32) corev1.ServicePort { return port(number, target, corev1.ProtocolTCP) }
func udp(number, target int32) corev1.ServicePort { return port(number, target, corev1.ProtocolUDP) }

// newService is a service of one family, without endpoints.
func newService(from source, f family, name string, ip netip.Addr, ports ...corev1.ServicePort) *service {
	s := &service{family: f, source: from}
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}
	s.ObjectMeta = metav1.ObjectMeta{Namespace: "exam", Name: name, Labels: map[string]string{}}
	s.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: ip.String(), ClusterIPs: []string{ip.String()},
		IPFamilies: []corev1.IPFamily{corev1.IPFamily(f.String())}, Ports: ports,
	}
	return s
}

// vip is the service's address with its i-th port.
func (s *service) vip(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(s.Spec.ClusterIP), uint16(s.Spec.Ports[i].Port))
}

// to leads the service to these backends alone, by its ports' targets.
func (s *service) to(backends ...discoveryv1.Endpoint) *service {
	s.slices = nil
	return s.also(0, backends...)
}

// also adds a slice, whose port is not the services' target unless it is 0.
func (s *service) also(target int32, backends ...discoveryv1.Endpoint) *service {
	slice := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: fmt.Sprintf("%s-%d", s.Name, len(s.slices)),
			Labels: map[string]string{discoveryv1.LabelServiceName: s.Name},
		},
		AddressType: discoveryv1.AddressType(s.family.String()), Endpoints: backends,
	}
	for label, value := range s.Labels { // the controller copies them
		slice.Labels[label] = value
	}
	for _, p := range s.Spec.Ports {
		number := p.TargetPort.IntVal
		if target != 0 {
			number = target
		}
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &number, Protocol: &p.Protocol})
	}
	s.slices = append(s.slices, slice)
	return s
}

// publish hands the service to the subject.
func (s *service) publish(t testing.TB) *service {
	t.Helper()
	s.source.put(t, s.Name, s.objects()...)
	return s
}

// withdraw deletes the service.
func (s *service) withdraw(t testing.TB) {
	t.Helper()
	s.source.put(t, s.Name)
}

func (s *service) objects() []runtime.Object {
	all := []runtime.Object{&s.Service}
	for _, slice := range s.slices {
		all = append(all, slice)
	}
	return all
}

// label sets a label of the service and of its slices, or takes it away.
func (s *service) label(name, value string) {
	for _, o := range s.objects() {
		labels := o.(metav1.Object).GetLabels()
		labels[name] = value
		if value == "" {
			delete(labels, name)
		}
	}
}

// condition is in which state a backend is.
type condition struct{ ready, serving, terminating bool }

// backend is an endpoint in some condition.
func (w *world) backend(h *host, f family, c condition) discoveryv1.Endpoint {
	node := nodeName
	if h == w.remote {
		node = remoteName
	}
	return discoveryv1.Endpoint{
		Addresses:  []string{h.addr(f).String()},
		Conditions: discoveryv1.EndpointConditions{Ready: &c.ready, Serving: &c.serving, Terminating: &c.terminating},
		NodeName:   &node,
	}
}

// externalName is a service that is an alias.
func externalName(namespace, name, target string) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: target},
	}
}
