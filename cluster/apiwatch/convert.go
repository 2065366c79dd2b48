package apiwatch

import (
	"cmp"
	"strings"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// The names under which the API server keeps what concerns us in an object's metadata.
const (
	labelService     = "kubernetes.io/service-name"
	annotationChange = "endpoints.kubernetes.io/last-change-trigger-time"
	annotationEnd    = "k8s.io/initial-events-end"
)

// metadata is what matters of an object's ObjectMeta.
type metadata struct {
	namespace, name string
	version         string            // resourceVersion
	service         string            // label kubernetes.io/service-name
	labels          map[string]string // all labels; left out where it is nil
	trigger         time.Time
	deleting        bool // deletionTimestamp is set
	listed          bool // annotation k8s.io/initial-events-end: a bookmark which ends the initial events
}

// metadata reads the current field as an ObjectMeta.
func (m *message) metadata(meta *metadata) {
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			meta.name = string(in.bytes)
		case 3:
			meta.namespace = string(in.bytes)
		case 6:
			meta.version = string(in.bytes)
		case 9:
			meta.deleting = true
		case 11:
			meta.label(in.pair())
		case 12:
			meta.annotation(in.pair())
		}
	}
	m.adopt(in.err)
}

func (meta *metadata) label(key, value []byte) {
	if string(key) == labelService {
		meta.service = string(value)
	}
	if meta.labels != nil {
		meta.labels[string(key)] = string(value)
	}
}

func (meta *metadata) annotation(key, value []byte) {
	switch string(key) {
	case annotationChange:
		if at, err := time.Parse(time.RFC3339Nano, string(value)); err == nil {
			meta.trigger = at
		}
	case annotationEnd:
		meta.listed = string(value) == "true"
	}
}

// readMetadata is the ObjectMeta of any object.
func readMetadata(object []byte) (meta metadata, err error) {
	m := message{rest: object}
	for m.next() {
		if m.number == 1 {
			m.metadata(&meta)
		}
	}
	return meta, m.err
}

// flaw is a part of an object that broke a rule and was left out.
type flaw struct{ what, value string }

// readService is what matters of a Service.
func readService(object []byte, needs cluster.Needs) (spec cluster.ServiceSpec, meta metadata, flaws []flaw, err error) {
	var virtual virtualIPs
	var balanced []cluster.External
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			in := m.inner()
			for in.next() {
				switch in.number {
				case 1:
					spec.Ports = append(spec.Ports, in.port())
				case 3:
					virtual.single = string(in.bytes)
				case 4:
					virtual.kind = string(in.bytes)
				case 5:
					if needs.External {
						spec.External = append(spec.External, cluster.ParseExternal(string(in.bytes)))
					}
				case 10:
					spec.ExternalName = string(in.bytes)
				case 18:
					virtual.all = append(virtual.all, string(in.bytes))
				}
			}
			m.adopt(in.err)
		case 3:
			if needs.External {
				balanced = m.serviceStatus()
			}
		}
	}
	spec.Namespace, spec.Name, spec.External = meta.namespace, meta.name, append(spec.External, balanced...)
	flaws = virtual.apply(&spec)
	return spec, meta, flaws, m.err
}

// serviceStatus reads the current field as a ServiceStatus: by what the service's load balancer is known.
func (m *message) serviceStatus() (balanced []cluster.External) {
	status := m.inner()
	for status.next() {
		if status.number != 1 { // loadBalancer
			continue
		}
		in := status.inner()
		for in.next() {
			if in.number == 1 {
				if text := in.ingress(); text != "" {
					balanced = append(balanced, cluster.ParseExternal(text))
				}
			}
		}
		status.adopt(in.err)
	}
	m.adopt(status.err)
	return balanced
}

// ingress reads the current field as a LoadBalancerIngress: its address or, without one, its host name.
func (m *message) ingress() string {
	var ip, hostname string
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			ip = string(in.bytes)
		case 2:
			hostname = string(in.bytes)
		}
	}
	m.adopt(in.err)
	return cmp.Or(ip, hostname)
}

// virtualIPs are the fields of a ServiceSpec that tell its type and addresses.
type virtualIPs struct {
	kind   string   // type
	single string   // clusterIP
	all    []string // clusterIPs
}

func (v *virtualIPs) apply(spec *cluster.ServiceSpec) (flaws []flaw) {
	addresses := v.all
	if len(addresses) == 0 && v.single != "" {
		addresses = []string{v.single}
	}
	switch {
	case v.kind == "ExternalName":
		spec.Type = cluster.ExternalName
		return nil
	case len(addresses) > 0 && addresses[0] == "None":
		spec.Type, spec.ExternalName = cluster.Headless, ""
		return nil
	}
	spec.Type, spec.ExternalName = cluster.ClusterIP, ""
	for _, text := range addresses {
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			flaws = append(flaws, flaw{"cluster IP", text})
			continue
		}
		spec.ClusterIPs = append(spec.ClusterIPs, addr)
	}
	return flaws
}

// port reads the current field as a ServicePort or an EndpointPort: what we want of them has the same numbers.
func (m *message) port() (p cluster.Port) {
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			p.Name = string(in.bytes)
		case 2:
			p.Protocol = cluster.ParseProtocol(string(in.bytes))
		case 3:
			p.Number = uint16(in.value)
		}
	}
	m.adopt(in.err)
	return p
}

// readSlice is what matters of an EndpointSlice. It fills spec, whose slices are used again.
func readSlice(object []byte, needs cluster.Needs, spec *cluster.SliceSpec) (meta metadata, flaws []flaw, err error) {
	*spec = cluster.SliceSpec{Ports: spec.Ports[:0], Endpoints: spec.Endpoints[:0]}
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			var e endpoint
			m.adopt(e.read(m.inner(), needs))
			flaws = append(flaws, e.apply(spec)...)
		case 3:
			spec.Ports = append(spec.Ports, m.port())
		case 4:
			if string(m.bytes) == "FQDN" {
				flaws = append(flaws, flaw{"address type", "FQDN"})
			}
		}
	}
	if fqdn(flaws) { // its addresses are names, which are no flaws of their own
		spec.Endpoints, flaws = spec.Endpoints[:0], []flaw{{"address type", "FQDN"}}
	}
	spec.Namespace, spec.Name, spec.Service, spec.Trigger = meta.namespace, meta.name, meta.service, meta.trigger
	return meta, flaws, m.err
}

func fqdn(flaws []flaw) bool {
	for _, f := range flaws {
		if f == (flaw{"address type", "FQDN"}) {
			return true
		}
	}
	return false
}

// endpoint is one element of an EndpointSlice's endpoints.
type endpoint struct {
	addresses [][]byte
	unready   bool
	hostname  []byte
	pod       []byte // targetRef.name
	zone      []byte
	first     [1][]byte // room for the usual single address
}

func (e *endpoint) read(m message, needs cluster.Needs) error {
	e.addresses = e.first[:0]
	for m.next() {
		switch m.number {
		case 1:
			e.addresses = append(e.addresses, m.bytes)
		case 2:
			in := m.inner()
			for in.next() {
				if in.number == 1 {
					e.unready = in.value == 0
				}
			}
			m.adopt(in.err)
		case 3:
			e.hostname = m.bytes
		case 4:
			if needs.PodNames {
				e.pod = m.targetName()
			}
		case 7:
			if needs.Zones {
				e.zone = m.bytes
			}
		}
	}
	return m.err
}

// targetName reads the current field as an ObjectReference.
func (m *message) targetName() (name []byte) {
	in := m.inner()
	for in.next() {
		if in.number == 3 {
			name = in.bytes
		}
	}
	m.adopt(in.err)
	return name
}

func (e *endpoint) apply(spec *cluster.SliceSpec) (flaws []flaw) {
	if e.unready {
		return nil
	}
	out := cluster.EndpointSpec{Name: string(e.hostname), Zone: string(e.zone)}
	if out.Name == "" && len(e.pod) > 0 && len(e.pod) < 64 {
		out.Name, out.PodName = string(e.pod), true
	}
	for _, raw := range e.addresses {
		text := string(raw)
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			flaws = append(flaws, flaw{"endpoint address", text})
			continue
		}
		each := out
		each.Addr = addr
		if each.Name == "" && unusual(text, addr) {
			each.Name = dashed(text)
		}
		spec.Endpoints = append(spec.Endpoints, each)
	}
	return flaws
}

// unusual tells that text is not how addr is commonly written.
func unusual(text string, addr cluster.Addr) bool {
	var room [46]byte // INET6_ADDRSTRLEN
	return string(addr.Netip().AppendTo(room[:0])) != text
}

// dashed is the label of an endpoint by the address as its slice spells it (Kubernetes DNS specification 1.1.0, section
// 2.4.1): clients have the spelling from the API, too.
func dashed(text string) string {
	label := strings.NewReplacer(".", "-", ":", "-").Replace(text)
	if strings.HasSuffix(label, "-") {
		label += "0"
	}
	return label
}

// readPod is what matters of a Pod.
func readPod(object []byte, needs cluster.Needs) (spec cluster.PodSpec, meta metadata, flaws []flaw, err error) {
	var single string
	var all []string
	if needs.PodLabels {
		meta.labels = map[string]string{}
	}
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 3:
			in := m.inner()
			for in.next() {
				switch in.number {
				case 6:
					single = string(in.bytes)
				case 12:
					all = append(all, in.podIP())
				}
			}
			m.adopt(in.err)
		}
	}
	if len(all) == 0 && single != "" {
		all = []string{single}
	}
	spec.Namespace, spec.Name, spec.Labels = meta.namespace, meta.name, meta.labels
	for _, text := range all {
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			flaws = append(flaws, flaw{"pod IP", text})
			continue
		}
		spec.Addrs = append(spec.Addrs, addr)
	}
	return spec, meta, flaws, m.err
}

// podIP reads the current field as a PodIP.
func (m *message) podIP() (ip string) {
	in := m.inner()
	for in.next() {
		if in.number == 1 {
			ip = string(in.bytes)
		}
	}
	m.adopt(in.err)
	return ip
}
