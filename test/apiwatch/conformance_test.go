package apiwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/conformance"
	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// The suite that every source passes, on a real API server.
func TestConformance(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{})
	c.InstallCRDs(t, kube.ServiceImports, kube.Gateways)
	conformance.Run(t, func(t *testing.T, needs cluster.Needs, labels, namespaceLabels string) conformance.Cluster {
		if other := peer.OtherKubernetes(); other != "" && needs.Forwarding {
			t.Skipf("the case has fields that an API server of version %s may not know", other)
		}
		f := follow(t, cluster.Origin{Kubeconfig: c.Kubeconfig(), Labels: labels, NamespaceLabels: namespaceLabels}, needs)
		objects := objects{client: c.Client().CoreV1().RESTClient(), ctx: t.Context()}
		return conformance.Cluster{
			Store: f.store,
			Apply: func(text string) {
				t.Helper()
				for _, document := range separator.Split(text, -1) {
					if err := objects.apply(document); err != nil {
						t.Fatalf("%v:\n%s", err, document)
					}
				}
			},
			Delete: func(kind, namespace, name string) {
				t.Helper()
				if err := objects.delete(kind, namespace, name); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// objects writes objects of any kind by their YAML.
type objects struct {
	client rest.Interface
	ctx    context.Context
}

// apply creates an object, or replaces it; where the API forbids that, it is deleted first.
func (o objects) apply(document string) error {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(document), &object); err != nil || object == nil {
		return err
	}
	kind, _ := object["kind"].(string)
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	if namespace != "" {
		own := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}}
		if err := o.send("POST", "/api/v1/namespaces", own); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	folder, err := folder(kind, namespace)
	if err != nil {
		return err
	}
	err = o.replace(folder+"/"+name, object)
	if apierrors.IsInvalid(err) {
		if err := o.delete(kind, namespace, name); err != nil {
			return err
		}
	}
	if apierrors.IsInvalid(err) || apierrors.IsNotFound(err) {
		err = o.send("POST", folder, object)
	}
	if err != nil || object["status"] == nil {
		return err
	}
	return o.replace(folder+"/"+name+"/status", object)
}

// replace puts object in the place of the one at path, at its current version.
func (o objects) replace(path string, object map[string]any) error {
	text, err := o.client.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(o.ctx)
	if err != nil {
		return err
	}
	var current struct {
		Metadata struct{ ResourceVersion string }
		Spec     map[string]any
	}
	if err := json.Unmarshal(text, &current); err != nil {
		return err
	}
	object["metadata"].(map[string]any)["resourceVersion"] = current.Metadata.ResourceVersion
	if object["kind"] == "Pod" { // whose spec cannot change, and has defaults by now
		object["spec"] = current.Spec
	}
	return o.send("PUT", path, object)
}

func (o objects) send(verb, path string, object map[string]any) error {
	if verb == "POST" {
		delete(object["metadata"].(map[string]any), "resourceVersion")
	}
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return o.client.Verb(verb).AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).Do(o.ctx).Error()
}

func (o objects) delete(kind, namespace, name string) error {
	folder, err := folder(kind, namespace)
	if err != nil {
		return err
	}
	return o.client.Delete().AbsPath(folder+"/"+name).Param("gracePeriodSeconds", "0").Do(o.ctx).Error()
}

// folder is the path above the objects of a kind.
func folder(kind, namespace string) (string, error) {
	core := "/api/v1/namespaces/" + namespace
	switch kind {
	case "Namespace":
		return "/api/v1/namespaces", nil
	case "Service":
		return core + "/services", nil
	case "Node":
		return "/api/v1/nodes", nil
	case "Pod":
		return core + "/pods", nil
	}
	groups := map[string]string{
		"EndpointSlice": "discovery.k8s.io/v1", "Ingress": "networking.k8s.io/v1", "ServiceImport": "multicluster.x-k8s.io/v1alpha1",
		"Gateway": "gateway.networking.k8s.io/v1", "HTTPRoute": "gateway.networking.k8s.io/v1",
	}
	if group := groups[kind]; group != "" {
		plural := strings.ToLower(kind) + "s"
		if kind == "Ingress" {
			plural = "ingresses"
		}
		return "/apis/" + group + "/namespaces/" + namespace + "/" + plural, nil
	}
	return "", fmt.Errorf("no path for the kind %q", kind)
}
