package conformance

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// pod is a pod without a node, so that no controller of a real cluster touches its status.
func pod(name, phase string, addrs ...string) string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = `{ip: "` + a + `"}`
	}
	return strings.NewReplacer("POD", name, "PHASE", phase, "FIRST", addrs[0], "LIST", strings.Join(list, ", ")).Replace(`
apiVersion: v1
kind: Pod
metadata: {name: POD, namespace: NAMESPACE}
spec:
  containers:
  - {name: main, image: example.org/main}
status:
  phase: PHASE
  podIP: "FIRST"
  podIPs: [LIST]
`)
}

// ofApp is a pod with the label "app".
func ofApp(pod, app string) string {
	return strings.Replace(pod, "metadata: {", "metadata: {labels: {app: "+app+", tier: back}, ", 1)
}

// pods are found by address, in both families, as long as they run.
func pods() []scenario {
	needs := cluster.Needs{Pods: true}
	addrs := []string{"10.244.70.1", "10.244.70.2", "10.244.70.3", "fd00:10:244::70"}
	return []scenario{
		{
			name:  "pods",
			needs: needs,
			addrs: addrs,
			steps: []step{
				{
					apply: strings.Join([]string{
						pod("one", "Running", "10.244.70.1", "fd00:10:244::70"), pod("two", "Running", "10.244.70.2"),
						pod("neighbour", "Pending", "10.244.70.2"), pod("done", "Succeeded", "10.244.70.3"), pod("broken", "Failed", "10.244.70.3"),
					}, "---"),
					want: `
						namespace
						pod 10.244.70.1 one
						pod fd00:10:244::70 one
						pod 10.244.70.2 two
						pod 10.244.70.2 neighbour`,
				},
				{
					apply:  pod("one", "Succeeded", "10.244.70.1", "fd00:10:244::70"),
					delete: [][3]string{{"Pod", "NAMESPACE", "two"}},
					want: `
						namespace
						pod 10.244.70.2 neighbour`,
				},
			},
		},
		{
			name:  "pods-labelled",
			needs: cluster.Needs{Pods: true, PodLabels: true},
			addrs: addrs,
			steps: []step{
				{
					apply: ofApp(pod("one", "Running", "10.244.70.1", "fd00:10:244::70"), "first"),
					want: `
						namespace
						pod 10.244.70.1 one app=first
						pod fd00:10:244::70 one app=first`,
				},
				{
					apply: ofApp(pod("one", "Running", "10.244.70.1", "fd00:10:244::70"), "second"),
					want: `
						namespace
						pod 10.244.70.1 one app=second
						pod fd00:10:244::70 one app=second`,
				},
			},
		},
		{
			name:  "pods-labels-unneeded",
			needs: needs,
			addrs: addrs,
			steps: []step{{
				apply: ofApp(pod("one", "Running", "10.244.70.1"), "first"),
				want: `
					namespace
					pod 10.244.70.1 one`,
			}},
		},
		{
			name:  "pods-unneeded",
			addrs: addrs,
			steps: []step{{
				apply: pod("one", "Running", "10.244.70.1") + "---" + clusterIP("web", "10.96.44.1"),
				want: `
					namespace
					service web cluster-ip 10.96.44.1 /tcp=80`,
			}},
		},
	}
}
