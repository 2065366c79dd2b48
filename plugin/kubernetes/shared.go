package kubernetes

import (
	"net/netip"

	"github.com/nameplane/nameplane/cluster"
)

// What follows is for other directives of the server block that show the same services by other names. They find this one
// among the block's handlers when they start.

// Store is what the answers come from.
func (k *Kubernetes) Store() *cluster.Store { return k.store }

// Exposed tells whether a namespace, a label in wire form and in lower case, exists and is shown.
func (k *Kubernetes) Exposed(namespace []byte) bool { return k.exposed(namespace) }

// Shows tells whether a service may be named to those who know only its address.
func (k *Kubernetes) Shows(svc *cluster.Service) bool { return k.shows(svc) }

// Endpoints are those of a service, unless "noendpoints" says that there be none.
func (k *Kubernetes) Endpoints(svc *cluster.Service) *cluster.Endpoints {
	return k.endpoints(svc, false)
}

// PodNames tells whether an endpoint without a hostname goes by its pod's name.
func (k *Kubernetes) PodNames() bool { return k.podNames }

// Local are the addresses by which the cluster may know this host; not before Start.
func (k *Kubernetes) Local() []netip.Addr { return k.local }
