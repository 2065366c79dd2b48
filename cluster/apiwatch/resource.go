package apiwatch

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/custom"
)

// resource is one kind of object as the API server has it: where to ask, and how to hand over what comes.
type resource struct {
	kind   cluster.Kind
	group  string // API group; empty for the core group
	path   string
	labels string // label selector
	fields string // field selector
	format format
	custom bool // of a CustomResourceDefinition, which may be missing
	// put hands an object that is there over to the Writer, drop one that is gone; both return its resourceVersion.
	put, drop func(object []byte) (version string, err error)
}

// runningPods leaves out, on the server, the pods that no longer have an address of their own.
const runningPods = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"

// resources are those that needs asks for.
func resources(origin cluster.Origin, needs cluster.Needs, d *delivery) []resource {
	all := []resource{
		{
			kind: cluster.KindNamespace, path: "/api/v1/namespaces", labels: origin.NamespaceLabels,
			put: d.putNamespace, drop: d.dropNamespace,
		},
		{
			kind: cluster.KindService, path: "/api/v1/services", labels: origin.Labels,
			put: d.putService, drop: d.dropService,
		},
	}
	if needs.Endpoints || needs.Imports {
		all = append(all, resource{
			kind: cluster.KindEndpointSlice, group: "discovery.k8s.io", path: "/apis/discovery.k8s.io/v1/endpointslices", labels: origin.Labels,
			put: d.putSlice, drop: d.dropSlice,
		})
	}
	if needs.Pods {
		all = append(all, resource{
			kind: cluster.KindPod, path: "/api/v1/pods", labels: origin.Labels, fields: runningPods,
			put: d.putPod, drop: d.dropPod,
		})
	}
	if needs.Node != "" {
		all = append(all, resource{
			kind: cluster.KindNode, path: "/api/v1/nodes", fields: "metadata.name=" + needs.Node,
			put: d.putNode, drop: d.dropNode,
		})
	}
	for i := range all {
		if r := &all[i]; r.kind == cluster.KindEndpointSlice && !needs.Endpoints {
			r.labels = strings.TrimPrefix(r.labels+","+custom.LabelService, ",")
		}
		all[i].format = protobufFormat{}
	}
	return append(all, outsiders(origin, needs, d)...)
}

// query is what every request for the resource carries.
func (r *resource) query() url.Values {
	q := url.Values{}
	if r.labels != "" {
		q.Set("labelSelector", r.labels)
	}
	if r.fields != "" {
		q.Set("fieldSelector", r.fields)
	}
	return q
}

// delivery reads objects and hands them over to the Writer. Each kind's functions are for one goroutine.
type delivery struct {
	needs  cluster.Needs
	writer *cluster.Writer
	log    *slog.Logger
	slice  cluster.SliceSpec // memory used again: the Writer copies what it keeps of a slice
	said   said
}

func (d *delivery) putService(object []byte) (string, error) {
	spec, meta, flaws, err := readService(object, d.needs)
	if err != nil {
		return "", err
	}
	d.complain(cluster.KindService, meta, flaws)
	d.writer.PutService(&spec)
	for _, addr := range spec.ClusterIPs {
		if other := d.writer.Sharer(&spec, addr); other != nil && d.said.first(meta.namespace+"/"+meta.name+" shares") {
			d.log.Warn("two services have the same cluster IP: both names are served",
				"address", addr.String(), "service", spec.Namespace+"/"+spec.Name, "other", other.String())
		}
	}
	return meta.version, nil
}

func (d *delivery) dropService(object []byte) (string, error) {
	return d.drop(object, d.writer.DeleteService)
}

func (d *delivery) putSlice(object []byte) (string, error) {
	meta, flaws, err := readSlice(object, d.needs, &d.slice)
	if err != nil {
		return "", err
	}
	d.complain(cluster.KindEndpointSlice, meta, flaws)
	d.writer.PutSlice(&d.slice)
	return meta.version, nil
}

func (d *delivery) dropSlice(object []byte) (string, error) {
	return d.drop(object, d.writer.DeleteSlice)
}

func (d *delivery) putNamespace(object []byte) (string, error) {
	meta, err := readMetadata(object)
	if err != nil {
		return "", err
	}
	d.writer.PutNamespace(meta.name)
	return meta.version, nil
}

func (d *delivery) dropNamespace(object []byte) (string, error) {
	return d.drop(object, func(_, name string) { d.writer.DeleteNamespace(name) })
}

// putPod leaves a pod that is being deleted as it was: it keeps its address until its containers have ended.
func (d *delivery) putPod(object []byte) (string, error) {
	spec, meta, flaws, err := readPod(object, d.needs)
	if err != nil {
		return "", err
	}
	if meta.deleting {
		d.writer.KeepPod(spec.Namespace, spec.Name)
		return meta.version, nil
	}
	d.complain(cluster.KindPod, meta, flaws)
	d.writer.PutPod(&spec)
	return meta.version, nil
}

func (d *delivery) dropPod(object []byte) (string, error) {
	return d.drop(object, d.writer.DeletePod)
}

func (d *delivery) putNode(object []byte) (string, error) {
	node, meta, flaws, err := readNode(object)
	if err != nil {
		return "", err
	}
	d.complain(cluster.KindNode, meta, flaws)
	d.writer.PutNode(node)
	return meta.version, nil
}

func (d *delivery) dropNode(object []byte) (string, error) {
	return d.drop(object, func(_, name string) { d.writer.DeleteNode(name) })
}

func (d *delivery) drop(object []byte, gone func(namespace, name string)) (string, error) {
	return d.dropper(protobufFormat{}, gone)(object)
}

// complain counts what was left out of an object, and logs it the first time.
func (d *delivery) complain(kind cluster.Kind, meta metadata, flaws []flaw) {
	if len(flaws) == 0 {
		return
	}
	for range flaws {
		d.writer.Skip()
	}
	if d.said.first(fmt.Sprintf("%s %s/%s", kind, meta.namespace, meta.name)) {
		d.log.Warn("left out a part of an object that neither names nor virtual IPs can be made of",
			"kind", kind.String(), "object", meta.namespace+"/"+meta.name, flaws[0].what, flaws[0].value, "parts", len(flaws))
	}
}

// said remembers what was logged, so that an object which changes every second fills no log.
type said struct {
	mu    sync.Mutex
	known map[string]struct{} // guarded by mu
}

// first tells whether text comes for the first time. After a thousand texts it is silent: a log with so many lines of
// this sort gains nothing by another, and memory stays bounded.
func (s *said) first(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[text]; ok || len(s.known) >= 1000 {
		return false
	}
	if s.known == nil {
		s.known = map[string]struct{}{}
	}
	s.known[text] = struct{}{}
	return true
}
