// Package conformance is the exam that every cluster.Source has to pass: it feeds Kubernetes objects as YAML and looks
// at what the Store then holds. One suite for all sources, because a directive must not be able to tell whether it reads
// an API server or a folder of manifests.
//
// The objects are such that a real API server accepts them: cluster IPs lie in 10.96.0.0/12 and fd00:10:96::/112, and
// every case lives in a namespace of its own, so that cases may run beside each other on one server.
package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// Cluster is a cluster under a source.
type Cluster struct {
	// Apply creates or replaces the objects of a text of one or more YAML documents, status included. Where an API
	// forbids to change a field, it deletes the object and creates it again. The namespace exists when an object needs it.
	Apply func(yaml string)
	// Delete removes an object; kind as in YAML.
	Delete func(kind, namespace, name string)
	// Store is what the source fills.
	Store *cluster.Store
}

// Open makes an empty cluster with a running source; t.Cleanup ends both. labels and namespaceLabels are the selectors
// of cluster.Origin.
type Open func(t *testing.T, needs cluster.Needs, labels, namespaceLabels string) Cluster

// step is a change and the state after it.
type step struct {
	apply  string
	delete [][3]string // kind, namespace, name
	want   string
}

// scenario is a story of one namespace.
type scenario struct {
	name            string // of the test and, as "conf-"+name, of the namespace
	needs           cluster.Needs
	labels          string
	namespaceLabels string
	addrs           []string // for reverse look-ups
	steps           []step
}

// Run runs the suite on the clusters that open makes.
func Run(t *testing.T, open Open) {
	for _, group := range [][]scenario{services(), endpointSlices(), lifecycles(), pods(), selections(), forwardings(), backendSlices(), nodes(), outside()} {
		for _, s := range group {
			t.Run(s.name, func(t *testing.T) { s.run(t, open) })
		}
	}
}

func (s scenario) run(t *testing.T, open Open) {
	namespace := "conf-" + s.name
	s.needs.Node = strings.ReplaceAll(s.needs.Node, "NAMESPACE", namespace)
	c := open(t, s.needs, s.labels, s.namespaceLabels)
	for i, step := range s.steps {
		if step.apply != "" {
			c.Apply(strings.ReplaceAll(step.apply, "NAMESPACE", namespace))
		}
		for _, d := range step.delete {
			c.Delete(d[0], strings.ReplaceAll(d[1], "NAMESPACE", namespace), strings.ReplaceAll(d[2], "NAMESPACE", namespace))
		}
		s.await(t, c.Store, i, namespace, sorted(strings.ReplaceAll(step.want, "NAMESPACE", namespace)))
	}
	if serial := max(c.Store.Serial(), c.Store.ExternalSerial(), c.Store.Imports().Serial()); serial == 0 {
		t.Error("the serial is 0 after changes")
	}
}

func (s scenario) await(t *testing.T, store *cluster.Store, step int, namespace, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		got := View(store, namespace, s.addrs...)
		if got == want && store.Synced() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("step %d: synced %v; the store holds\n%s\nwanted\n%s\nstatus: %s", step, store.Synced(), got, want, store.Status())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// sorted brings the indented lines of a test into the form of View.
func sorted(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return join(lines)
}
