package kube

import (
	"context"
	"embed"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"
)

// The definitions that InstallCRDs knows.
const (
	ServiceImports = "serviceimports"
	Gateways       = "gateways" // and HTTPRoutes
)

//go:embed crds
var crds embed.FS

// InstallCRDs installs custom resource definitions, and waits until the server serves their resources.
func (c *Cluster) InstallCRDs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := crds.ReadFile("crds/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			if err := c.installCRD(t.Context(), document); err != nil {
				t.Fatalf("definition of %s: %v", name, err)
			}
		}
	}
}

func (c *Cluster) installCRD(ctx context.Context, document string) error {
	body, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		return err
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Plural string }
			Versions []struct{ Name string }
		}
	}
	if err := yaml.Unmarshal(body, &crd); err != nil {
		return err
	}
	err = c.client.CoreV1().RESTClient().Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	path := fmt.Sprintf("/apis/%s/%s/%s", crd.Spec.Group, crd.Spec.Versions[0].Name, crd.Spec.Names.Plural)
	return c.server.Await(ctx, 30*time.Second, func(ctx context.Context) error {
		_, err := c.client.CoreV1().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
		return err
	})
}
