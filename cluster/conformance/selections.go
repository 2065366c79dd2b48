package conformance

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

func labelled(object, label string) string {
	return strings.Replace(object, "metadata: {", "metadata: {labels: {tier: "+label+"}, ", 1)
}

// selections are the selectors of cluster.Origin.
func selections() []scenario {
	return []scenario{
		{
			name:   "labels",
			needs:  cluster.Needs{Endpoints: true, Pods: true},
			labels: "tier in (front, middle)",
			addrs:  []string{"10.244.71.1", "10.244.71.2"},
			steps: []step{
				{
					apply: strings.Join([]string{
						labelled(clusterIP("front", "10.96.45.1"), "front"), labelled(clusterIP("back", "10.96.45.2"), "back"), clusterIP("bare", "10.96.45.3"),
						labelled(pod("front", "Running", "10.244.71.1"), "front"), pod("bare", "Running", "10.244.71.2"),
						slice("front", "true"), // which has not the label
					}, "---"),
					want: `
						namespace
						service front cluster-ip 10.96.45.1 /tcp=80
						pod 10.244.71.1 front`,
				},
				{
					apply: labelled(clusterIP("front", "10.96.45.1"), "back") + "---" + labelled(clusterIP("back", "10.96.45.2"), "middle"),
					want: `
						namespace
						service back cluster-ip 10.96.45.2 /tcp=80
						pod 10.244.71.1 front`,
				},
			},
		},
		{
			name:            "namespace-labels",
			namespaceLabels: "shown=yes",
			steps: []step{
				{
					apply: namespace("no") + "---" + clusterIP("web", "10.96.46.1"),
					want: `
						service web cluster-ip 10.96.46.1 /tcp=80`,
				},
				{
					apply: namespace("yes"),
					want: `
						namespace
						service web cluster-ip 10.96.46.1 /tcp=80`,
				},
			},
		},
	}
}

func namespace(shown string) string {
	return `
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE, labels: {shown: "` + shown + `"}}
`
}
