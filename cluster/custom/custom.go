// Package custom reads what names need of custom resources: ServiceImports of the multi-cluster services API (KEP-1645), and
// Gateways and HTTPRoutes of the Gateway API. Kubernetes has no protobuf of them, so an API server sends JSON, which is what
// YAML files come down to as well; hence one package for both sources.
//
// Only the fields that matter are named, and the rest is passed over: these APIs have many versions and vendors, and
// whether an object is right is their controllers' affair. What cannot be a part of a name is left out, and told.
package custom

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// The labels of endpoint slices that belong to an imported service.
const (
	LabelService = "multicluster.kubernetes.io/service-name"
	LabelCluster = "multicluster.kubernetes.io/source-cluster"
)

// Meta is what matters of an object's metadata.
type Meta struct {
	Namespace       string            `json:"namespace"`
	Name            string            `json:"name"`
	ResourceVersion string            `json:"resourceVersion"`
	Labels          map[string]string `json:"labels"`
	Annotations     map[string]string `json:"annotations"`
}

// Metadata reads that of any object.
func Metadata(text []byte) (Meta, error) {
	var object struct {
		Metadata Meta `json:"metadata"`
	}
	err := json.Unmarshal(text, &object)
	return object.Metadata, err
}

// ServiceImport reads a ServiceImport of multicluster.x-k8s.io/v1alpha1.
func ServiceImport(text []byte) (spec cluster.ServiceSpec, meta Meta, flaws []cluster.Flaw, err error) {
	var object struct {
		Metadata Meta `json:"metadata"`
		Spec     struct {
			Type  string   `json:"type"`
			IPs   []string `json:"ips"`
			Ports []struct {
				Name     string `json:"name"`
				Protocol string `json:"protocol"`
				Port     int    `json:"port"`
			} `json:"ports"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return spec, meta, nil, err
	}
	meta = object.Metadata
	spec = cluster.ServiceSpec{Namespace: meta.Namespace, Name: meta.Name, Type: cluster.ClusterIP}
	if object.Spec.Type == "Headless" {
		spec.Type = cluster.Headless
	}
	for i, ip := range object.Spec.IPs {
		addr, err := cluster.ParseAddr(ip)
		if err != nil {
			flaws = append(flaws, cluster.Flaw{Field: fmt.Sprintf("spec.ips[%d]", i), Value: ip})
			continue
		}
		if spec.Type == cluster.ClusterIP {
			spec.ClusterIPs = append(spec.ClusterIPs, addr)
		}
	}
	for i, p := range object.Spec.Ports {
		if p.Port < 1 || p.Port > 65535 {
			flaws = append(flaws, cluster.Flaw{Field: fmt.Sprintf("spec.ports[%d].port", i), Value: fmt.Sprint(p.Port)})
			continue
		}
		spec.Ports = append(spec.Ports, cluster.Port{Name: p.Name, Protocol: cluster.ParseProtocol(p.Protocol), Number: uint16(p.Port)})
	}
	return spec, meta, flaws, nil
}

// Gateway reads a Gateway of gateway.networking.k8s.io/v1: its listeners' host names, and its addresses.
func Gateway(text []byte) (spec cluster.HostSpec, meta Meta, err error) {
	var object struct {
		Metadata Meta `json:"metadata"`
		Spec     struct {
			Listeners []struct {
				Name     string `json:"name"`
				Hostname string `json:"hostname"`
			} `json:"listeners"`
		} `json:"spec"`
		Status struct {
			Addresses []struct {
				Value string `json:"value"`
			} `json:"addresses"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return spec, meta, err
	}
	meta = object.Metadata
	spec = cluster.HostSpec{Kind: cluster.KindGateway, Namespace: meta.Namespace, Name: meta.Name}
	for _, l := range object.Spec.Listeners {
		spec.Hosts = append(spec.Hosts, cluster.HostRule{Name: strings.ToLower(l.Hostname), Listener: l.Name})
	}
	for _, a := range object.Status.Addresses {
		if a.Value != "" {
			spec.External = append(spec.External, cluster.ParseExternal(a.Value))
		}
	}
	return spec, meta, nil
}

// reference is to a Gateway or, if kind or group say so, to something else.
type reference struct {
	Group       *string `json:"group"`
	Kind        *string `json:"kind"`
	Namespace   *string `json:"namespace"`
	Name        string  `json:"name"`
	SectionName *string `json:"sectionName"`
}

// parent is the Gateway that is meant; ok is false where it is none.
func (r *reference) parent(namespace string) (p cluster.Parent, ok bool) {
	if r.Kind != nil && *r.Kind != "Gateway" || r.Group != nil && *r.Group != "gateway.networking.k8s.io" {
		return p, false
	}
	p = cluster.Parent{Namespace: namespace, Name: r.Name}
	if r.Namespace != nil {
		p.Namespace = *r.Namespace
	}
	if r.SectionName != nil {
		p.Listener = *r.SectionName
	}
	return p, true
}

// HTTPRoute reads an HTTPRoute of gateway.networking.k8s.io/v1. Its parents are the Gateways whose controllers say that they
// accepted it, as anybody may name any Gateway; where nobody else will say so, as in a folder of files, accepted takes
// those that it names.
func HTTPRoute(text []byte, accepted bool) (spec cluster.HostSpec, meta Meta, err error) {
	var object struct {
		Metadata Meta `json:"metadata"`
		Spec     struct {
			Hostnames  []string    `json:"hostnames"`
			ParentRefs []reference `json:"parentRefs"`
		} `json:"spec"`
		Status struct {
			Parents []struct {
				ParentRef  reference `json:"parentRef"`
				Conditions []struct {
					Type   string `json:"type"`
					Status string `json:"status"`
				} `json:"conditions"`
			} `json:"parents"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return spec, meta, err
	}
	meta = object.Metadata
	spec = cluster.HostSpec{Kind: cluster.KindHTTPRoute, Namespace: meta.Namespace, Name: meta.Name}
	for _, host := range object.Spec.Hostnames {
		spec.Hosts = append(spec.Hosts, cluster.HostRule{Name: strings.ToLower(host)})
	}
	add := func(r *reference) {
		if p, ok := r.parent(meta.Namespace); ok {
			spec.Parents = append(spec.Parents, p)
		}
	}
	for i := range object.Status.Parents {
		for _, c := range object.Status.Parents[i].Conditions {
			if c.Type == "Accepted" && c.Status == "True" {
				add(&object.Status.Parents[i].ParentRef)
			}
		}
	}
	if accepted && len(object.Status.Parents) == 0 {
		for i := range object.Spec.ParentRefs {
			add(&object.Spec.ParentRefs[i])
		}
	}
	return spec, meta, nil
}
