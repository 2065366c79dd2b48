// Package world makes up clusters, and questions about them, from a seed. Comparing two DNS servers is worth as much as
// the variety of what they are compared on; hand-written fixtures hold the cases that their author knew. The objects
// are such as a real API server accepts, and the same set can be loaded into one or written out as manifests, so that
// both kinds of sources can be examined with the same questions.
//
// A world carries all its endpoint slices itself, also those of services with a selector: it is meant for a control
// plane without controllers, which would add slices of their own.
package world

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Zone is the cluster domain of every world.
const Zone = "cluster.local."

// World is a cluster's content. It does not change after New.
type World struct {
	seed       uint64
	namespaces []*corev1.Namespace
	nodes      []*corev1.Node
	services   []*corev1.Service
	slices     []*discoveryv1.EndpointSlice
	pods       []*corev1.Pod
}

// New makes the world of a seed; the same seed makes the same world.
func New(seed uint64) *World {
	return newGenerator(seed).world()
}

// Objects lists everything, in an order in which it can be created. The objects are the world's own: copy one before
// changing it.
func (w *World) Objects() []runtime.Object {
	var all []runtime.Object
	for _, o := range w.namespaces {
		all = append(all, o)
	}
	for _, o := range w.nodes {
		all = append(all, o)
	}
	for _, o := range w.services {
		all = append(all, o)
	}
	for _, o := range w.slices {
		all = append(all, o)
	}
	for _, o := range w.pods {
		all = append(all, o)
	}
	return all
}

// WriteManifests writes every object into dir, which must exist: a file of YAML documents for each namespace, named
// after it, and cluster.yaml for what belongs to none.
func (w *World) WriteManifests(dir string) error {
	files := map[string]*bytes.Buffer{}
	for _, o := range w.Objects() {
		name := "cluster.yaml"
		if namespace := o.(metav1.Object).GetNamespace(); namespace != "" {
			name = "namespace-" + namespace + ".yaml"
		}
		text, err := yaml.Marshal(o)
		if err != nil {
			return fmt.Errorf("manifest of %T: %w", o, err)
		}
		if files[name] == nil {
			files[name] = new(bytes.Buffer)
		} else {
			files[name].WriteString("---\n")
		}
		files[name].Write(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
