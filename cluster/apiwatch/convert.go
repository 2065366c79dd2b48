package apiwatch

import (
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/custom"
)

// The names under which the API server keeps what concerns us in an object's metadata.
const (
	labelService     = "kubernetes.io/service-name"
	labelProxyName   = "service.kubernetes.io/service-proxy-name"
	labelHeadless    = "service.kubernetes.io/headless"
	labelZone        = "topology.kubernetes.io/zone"
	annotationChange = "endpoints.kubernetes.io/last-change-trigger-time"
	annotationEnd    = "k8s.io/initial-events-end"
)

// metadata is what matters of an object's ObjectMeta.
type metadata struct {
	namespace, name string
	version         string            // resourceVersion
	service         string            // label kubernetes.io/service-name
	imported        string            // label multicluster.kubernetes.io/service-name
	cluster         string            // label multicluster.kubernetes.io/source-cluster
	zone            string            // label topology.kubernetes.io/zone
	proxy           string            // label service.kubernetes.io/service-proxy-name
	noProxy         bool              // that label is there, and empty, or label service.kubernetes.io/headless is
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
	switch string(key) {
	case labelService:
		meta.service = string(value)
	case labelProxyName:
		meta.proxy, meta.noProxy = string(value), meta.noProxy || len(value) == 0
	case labelHeadless:
		meta.noProxy = true
	case custom.LabelService:
		meta.imported = string(value)
	case custom.LabelCluster:
		meta.cluster = string(value)
	case labelZone:
		meta.zone = string(value)
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
