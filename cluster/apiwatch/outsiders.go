package apiwatch

import (
	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/custom"
)

// outsiders are the resources by which more than this cluster's services is known: what other clusters share with it, and
// what leads into it from outside. Imports have no selector of ours, as in CoreDNS: their controllers label them as they
// like.
func outsiders(origin cluster.Origin, needs cluster.Needs, d *delivery) (all []resource) {
	const gateways = "gateway.networking.k8s.io"
	if needs.Imports {
		const group = "multicluster.x-k8s.io"
		all = append(all, resource{
			kind: cluster.KindServiceImport, group: group, path: "/apis/" + group + "/v1alpha1/serviceimports",
			format: jsonFormat{}, custom: true, put: d.putImport, drop: d.dropper(jsonFormat{}, d.writer.DeleteImport),
		})
	}
	if needs.Ingresses {
		const group = "networking.k8s.io"
		all = append(all, resource{
			kind: cluster.KindIngress, group: group, path: "/apis/" + group + "/v1/ingresses", labels: origin.Labels,
			format: protobufFormat{}, put: d.putIngress, drop: d.hostsDropper(protobufFormat{}, cluster.KindIngress),
		})
	}
	if needs.Gateways {
		all = append(all, resource{
			kind: cluster.KindGateway, group: gateways, path: "/apis/" + gateways + "/v1/gateways", labels: origin.Labels,
			format: jsonFormat{}, custom: true, put: d.putGateway, drop: d.hostsDropper(jsonFormat{}, cluster.KindGateway),
		}, resource{
			kind: cluster.KindHTTPRoute, group: gateways, path: "/apis/" + gateways + "/v1/httproutes", labels: origin.Labels,
			format: jsonFormat{}, custom: true, put: d.putRoute, drop: d.hostsDropper(jsonFormat{}, cluster.KindHTTPRoute),
		})
	}
	return all
}

func (d *delivery) dropper(f format, gone func(namespace, name string)) func([]byte) (string, error) {
	return func(object []byte) (string, error) {
		meta, err := f.metadata(object)
		if err != nil {
			return "", err
		}
		gone(meta.namespace, meta.name)
		return meta.version, nil
	}
}

func (d *delivery) hostsDropper(f format, kind cluster.Kind) func([]byte) (string, error) {
	return d.dropper(f, func(namespace, name string) { d.writer.DeleteHosts(kind, namespace, name) })
}

func (d *delivery) putImport(object []byte) (string, error) {
	spec, meta, flaws, err := custom.ServiceImport(object)
	if err != nil {
		return "", err
	}
	parts := make([]flaw, len(flaws))
	for i, f := range flaws {
		parts[i] = flaw{f.Field, f.Value}
	}
	d.complain(cluster.KindServiceImport, metadata{namespace: meta.Namespace, name: meta.Name}, parts)
	d.writer.PutImport(&spec)
	return meta.ResourceVersion, nil
}

func (d *delivery) putIngress(object []byte) (string, error) {
	spec, meta, err := readIngress(object)
	return d.putHosts(&spec, meta.version, err)
}

func (d *delivery) putGateway(object []byte) (string, error) {
	spec, meta, err := custom.Gateway(object)
	return d.putHosts(&spec, meta.ResourceVersion, err)
}

func (d *delivery) putRoute(object []byte) (string, error) {
	spec, meta, err := custom.HTTPRoute(object, false)
	return d.putHosts(&spec, meta.ResourceVersion, err)
}

func (d *delivery) putHosts(spec *cluster.HostSpec, version string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	d.writer.PutHosts(spec)
	return version, nil
}

// readIngress is what matters of an Ingress: the hosts of its rules and certificates, and its load balancers.
func readIngress(object []byte) (spec cluster.HostSpec, meta metadata, err error) {
	spec.Kind = cluster.KindIngress
	status := serviceFields{needs: cluster.Needs{External: true}} // the status of an Ingress is as a Service's
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			m.ingressSpec(&spec)
		case 3:
			m.adopt(status.status(m.inner()))
		}
	}
	spec.Namespace, spec.Name, spec.External = meta.namespace, meta.name, status.external()
	return spec, meta, m.err
}

// ingressSpec reads the current field as an IngressSpec.
func (m *message) ingressSpec(spec *cluster.HostSpec) {
	in := m.inner()
	for in.next() {
		if in.number == 2 || in.number == 3 { // tls, rules
			in.hosts(spec)
		}
	}
	m.adopt(in.err)
}

// hosts reads the current field as an IngressTLS or an IngressRule: the hosts of both have the same number.
func (m *message) hosts(spec *cluster.HostSpec) {
	in := m.inner()
	for in.next() {
		if in.number == 1 && len(in.bytes) > 0 {
			spec.Hosts = append(spec.Hosts, cluster.HostRule{Name: string(in.bytes)})
		}
	}
	m.adopt(in.err)
}
