package kubernetes

import (
	"strings"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// parseError is what the label kubernetes/parse-error says of a name that is none of the specification's, as in CoreDNS.
const parseError = "invalid query name"

// Metadata implements plugin.Provider: what stands in a name of the zones, and with "pods verified" who asks.
func (k *Kubernetes) Metadata(q *plugin.Asked, label string) (value string, ok bool) {
	label, ok = strings.CutPrefix(label, "kubernetes/")
	if !ok {
		return "", false
	}
	if client, ok := strings.CutPrefix(label, "client-"); ok {
		return k.clientMetadata(q.Exchange, client)
	}
	zone, left, ok := k.zones.Match(&q.Query)
	if !ok {
		return "", false
	}
	return k.nameMetadata(&q.Query, left, k.isSet(zone), label)
}

// clientMetadata is about the pod with the client's address.
func (k *Kubernetes) clientMetadata(x *plugin.Exchange, label string) (value string, ok bool) {
	pod := k.client(x)
	if pod == nil {
		return "", false
	}
	switch label {
	case "namespace":
		return pod.Namespace, true
	case "pod-name":
		return pod.Name, true
	}
	if label, ok := strings.CutPrefix(label, "label/"); ok {
		return pod.Label(label)
	}
	return "", false
}

// nameMetadata is about the labels left of the zone. A name has all the values or an error; those of labels that it has
// not are empty.
func (k *Kubernetes) nameMetadata(q *wire.Query, left int, set bool, label string) (value string, ok bool) {
	if !k.isWellFormed(q, left, set) {
		return parseError, label == "parse-error"
	}
	part := func(i int, when bool) (string, bool) {
		if !when {
			return "", true
		}
		return string(q.Label(i)), true
	}
	inCluster := set && left == 5 && namesEndpoint(q.Label(0), q.Label(1))
	switch label {
	case "kind":
		return part(left-1, left > 1)
	case "namespace":
		return part(left-2, left > 1)
	case "service":
		return part(left-3, left > 2)
	case "endpoint":
		return part(0, left == 4 || inCluster)
	case "cluster":
		value, ok = part(1, inCluster)
		return value, ok && set
	case "protocol", "port-name":
		i := 0
		if label == "protocol" {
			i = 1
		}
		value, ok = part(i, left == 5 && !inCluster)
		return strings.TrimPrefix(value, "_"), ok
	case "zone":
		if left > 5 {
			var labels []string
			for i := range left - 5 {
				labels = append(labels, string(q.Label(i)))
			}
			value = strings.Join(labels, ".")
		}
		return value, k.zonal
	}
	return "", false
}

// isWellFormed tells whether the labels left of the zone are of one of the forms of names, whatever exists.
func (k *Kubernetes) isWellFormed(q *wire.Query, left int, set bool) bool {
	if left == 0 {
		return true
	}
	kind := string(q.Label(left - 1))
	if kind != "svc" && kind != "pod" {
		return false
	}
	if left < 6 {
		return true
	}
	if !k.zonal || set || kind != "svc" || string(q.Label(left-4)) != "_zone" {
		return false
	}
	directive := string(q.Label(left - 5))
	return directive == "pin" || directive == "prefer"
}
