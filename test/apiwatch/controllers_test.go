package apiwatch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/conformance"
	"github.com/nameplane/nameplane/cluster/manifest"
	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const nodesAndServices = `
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/zone: zone-a}}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: derived}
spec:
  clusterIP: 10.96.70.1
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: metrics, port: 81, targetPort: metrics}
---
apiVersion: v1
kind: Service
metadata: {name: eager, namespace: derived}
spec:
  type: NodePort
  clusterIP: 10.96.70.2
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  clusterIPs: [10.96.70.2, "fd00:10:96::7002"]
  publishNotReadyAddresses: true
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: 32700}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: derived}
spec:
  clusterIP: None
  selector: {app: web, tier: back}
  ports:
  - {name: http, port: 80, targetPort: 8080}
`

// derivedPod is a pod in one of the states that a kubelet writes.
type derivedPod struct {
	name, node, phase, ready string
	addr                     int
	ending                   bool
}

func (p derivedPod) yaml(deletion string) string {
	return strings.NewReplacer("NAME", p.name, "NODE", p.node, "PHASE", p.phase, "READY", p.ready, "ADDR", fmt.Sprint(p.addr), "DELETION", deletion).Replace(`
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: derived, labels: {app: web, tier: back}DELETION}
spec:
  nodeName: NODE
  hostname: NAME
  subdomain: db
  containers:
  - {name: main, image: example.org/main, ports: [{name: metrics, containerPort: 9090}]}
status:
  phase: PHASE
  podIP: 10.244.70.ADDR
  podIPs: [{ip: 10.244.70.ADDR}, {ip: "fd00:10:244::70:ADDR"}]
  conditions: [{type: Ready, status: "READY"}]
`)
}

// What manifests derive is what the controllers of a real cluster make of the same objects.
func TestDerivedAsByControllers(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	needs := cluster.Needs{Forwarding: true, PodNames: true, Zones: true, Node: "node-a"}
	pods := []derivedPod{
		{name: "ready", node: "node-a", phase: "Running", ready: "True", addr: 1},
		{name: "starting", node: "node-b", phase: "Running", ready: "False", addr: 2},
		{name: "ending", node: "node-a", phase: "Running", ready: "True", addr: 3, ending: true},
		{name: "ended", node: "node-b", phase: "Running", ready: "False", addr: 4, ending: true},
		{name: "done", node: "node-a", phase: "Succeeded", ready: "False", addr: 5},
		{name: "broken", node: "node-a", phase: "Failed", ready: "False", addr: 6},
	}
	c := kube.Start(t, kube.Options{Controllers: true})
	objects := objects{client: c.Client().CoreV1().RESTClient(), ctx: t.Context()}
	texts := separator.Split(nodesAndServices, -1)
	for _, p := range pods {
		texts = append(texts, p.yaml(""))
	}
	for _, text := range texts {
		if err := objects.apply(text); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
	}
	manifests := nodesAndServices
	for _, p := range pods {
		deletion := ""
		if p.ending {
			deletion = `, deletionTimestamp: "2026-11-21T10:00:00Z"`
			if err := objects.client.Delete().AbsPath("/api/v1/namespaces/derived/pods/" + p.name).Do(t.Context()).Error(); err != nil {
				t.Fatal(err)
			}
		}
		manifests += "---" + p.yaml(deletion)
	}
	want := readManifests(t, needs, manifests)
	f := follow(t, cluster.Origin{Kubeconfig: c.Kubeconfig()}, needs)
	got := ""
	for deadline := time.Now().Add(30 * time.Second); got != want && time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		got = conformance.View(f.store, "derived")
	}
	if diff := cmp.Diff(got, want); diff != "" || !strings.Contains(got, "terminating") {
		t.Errorf("(- controllers, + manifests)\n%s", diff)
	}
}

// readManifests is the view of manifests as the source reads them.
func readManifests(t *testing.T, needs cluster.Needs, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := manifest.Open(cluster.Origin{Manifests: []string{path}}, needs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	store, writer := cluster.NewStore()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, writer) }()
	eventually(t, 10*time.Second, "the manifests", store.Synced)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if status := store.Status(); status.Failure != "" || status.Skipped > 0 {
		t.Fatalf("manifests: %s, %d skipped", status, status.Skipped)
	}
	return conformance.View(store, "derived")
}
