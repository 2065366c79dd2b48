package kubernetes

import (
	"bytes"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Some zones may be a cluster set's (KEP-1645): what they answer for is the services that clusters share, and their
// endpoints have the name of a cluster behind their own, ENDPOINT.CLUSTER.SERVICE.NAMESPACE.svc. All the rest is as in
// other zones.

// decodeClusterSet reads "multicluster". Without a zone it has no effect, as in CoreDNS.
func (k *Kubernetes) decodeClusterSet(o *corefile.Directive) error {
	if len(o.Args) == 0 {
		return nil
	}
	zones, err := plugin.ParseZones(o.Args, nil)
	if err != nil {
		return err
	}
	var problems corefile.Errors
	for _, z := range zones {
		if !slices.Contains(k.zones, z) {
			problems.Join(o.Errorf("%s is none of the directive's zones; it has to be one of them", z))
		}
	}
	for _, z := range k.zones { // a zone within a cluster set's is one, too
		if slices.ContainsFunc(zones, func(set wire.Name) bool { return set.Contains(z) }) {
			k.sets = append(k.sets, z)
		}
	}
	return problems.Err()
}

// services are those that a zone has names of.
func (k *Kubernetes) services(zone wire.Name) *cluster.Store {
	if k.isSet(zone) {
		return k.store.Imports()
	}
	return k.store
}

func (k *Kubernetes) isSet(zone wire.Name) bool {
	return len(k.sets) > 0 && slices.Contains(k.sets, zone)
}

// namesEndpoint tells whether the two labels left of a service in a cluster set's zone are an endpoint's and its cluster's: they
// are unless one begins with an underscore, as a port's and a protocol's do.
func namesEndpoint(left, right []byte) bool {
	return !bytes.HasPrefix(left, []byte("_")) && !bytes.HasPrefix(right, []byte("_"))
}

// endpointLabels is the length of an endpoint's own labels at most: its name and its cluster's.
const endpointLabels = 128

// appendEndpoint appends an endpoint's own label in wire form and, in a cluster set's zone, that of its cluster; nil for one of
// a cluster whose name is no label.
func (k *Kubernetes) appendEndpoint(b []byte, list *cluster.Endpoints, e *cluster.Endpoint, set bool) []byte {
	b = list.AppendLabel(b, e, k.podNames)
	if !set {
		return b
	}
	name := list.Zone(e)
	if name == "" || strings.IndexByte(name, '.') >= 0 {
		return nil
	}
	return append(append(b, byte(len(name))), name...)
}
