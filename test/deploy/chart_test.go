package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const chart = root + "/chart"

// told are the values without which there is no forwarder.
func told() []string {
	return []string{
		"--set", "cluster.apiServerHost=192.0.2.10", "--set", `cluster.serviceCIDR=10.96.0.0/12\,fd00:10:96::/112`, "--set", "cluster.podCIDR=10.244.0.0/16",
	}
}

// What the chart renders is what kustomize makes of the same files: object by object, for each way to install.
func TestChart(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	if _, err := exec.LookPath("kubectl"); err != nil {
		peer.Missing(t, err.Error())
	}
	helm := peer.Helm(t)
	run(t, helm, "lint", "--strict", chart)
	for _, test := range []struct {
		name   string
		values []string
		same   []string // kustomizations
	}{
		{name: "as it comes", same: []string{"overlays/standalone"}},
		{name: "replace", values: []string{"--set", "server=replace"}, same: []string{"base"}},
		{name: "beside kube-proxy", values: append([]string{"--set", "server=none,forwarder=marked"}, told()...), same: []string{"overlays/forwarder"}},
		{
			name: "all there is", values: append([]string{"--set", "nodelocal=true,forwarder=all"}, told()...),
			same: []string{"overlays/standalone", "overlays/nodelocal", "overlays/forwarder-all"},
		},
		{
			name: "components", values: []string{"--set", "components={pods-verified,multicluster,hosts-ingress,hosts-gateway}"},
			same: []string{withComponents(t, "overlays/standalone", "pods-verified", "multicluster", "hosts-ingress", "hosts-gateway")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := map[string]any{}
			for _, dir := range test.same {
				if !filepath.IsAbs(dir) {
					dir = filepath.Join(root, dir)
				}
				decode(t, want, output(t, "kubectl", "kustomize", dir))
			}
			got := map[string]any{}
			decode(t, got, output(t, helm, append([]string{"template", "nameplane", chart}, test.values...)...))
			if name := "ConfigMap kube-system/" + clusterMap; want["DaemonSet kube-system/nameplane-vip"] != nil {
				checkTold(t, got[name])
				delete(got, name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("kustomize (-), helm (+):\n%s", diff)
			}
		})
	}
}

// checkTold: of the values becomes what the forwarder's pods ask for.
func checkTold(t *testing.T, object any) {
	t.Helper()
	want := map[string]any{
		"api-server-host": "192.0.2.10", "api-server-port": "6443", "service-cidr": "10.96.0.0/12,fd00:10:96::/112", "pod-cidr": "10.244.0.0/16",
	}
	data, _, _ := unstructured.NestedMap(object.(map[string]any), "data")
	if diff := cmp.Diff(want, data); diff != "" {
		t.Error(diff)
	}
}

// withComponents is the folder of a kustomization that adds components to another, in a copy of what is shipped.
func withComponents(t *testing.T, dir string, components ...string) string {
	t.Helper()
	copied := t.TempDir()
	made := filepath.Join(copied, "made")
	text := "resources: [../" + dir + "]\ncomponents: [../components/" + strings.Join(components, ", ../components/") + "]\n"
	err := errors.Join(
		os.CopyFS(copied, os.DirFS(root)), os.Mkdir(made, 0o755),
		os.WriteFile(filepath.Join(made, "kustomization.yaml"), []byte(text), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// output is what a program prints to standard output.
func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// decode adds the objects of a YAML stream, by kind and name. What the chart says to helm alone is left out.
func decode(t *testing.T, into map[string]any, text []byte) {
	t.Helper()
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatalf("%v in %s", err, document)
		}
		if len(object.Object) == 0 {
			continue
		}
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", "helm.sh/resource-policy")
		if len(object.GetAnnotations()) == 0 {
			object.SetAnnotations(nil)
		}
		into[fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())] = object.Object
	}
}

// Values reach what they are for, and those that make no sense are errors.
func TestChartValues(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	helm := peer.Helm(t)
	for _, test := range []struct{ name, value, shown, fails string }{
		{name: "replicas", value: "replicas=3", shown: "\n  replicas: 3\n"},
		{name: "image", value: "image=images.example.com/nameplane:1.0", shown: "\n        image: images.example.com/nameplane:1.0\n"},
		{name: "resources", value: "resources.limits.memory=1Gi", shown: "\n          limits:\n            memory: 1Gi\n"},
		{name: "Corefile", value: "corefile=. { whoami }", shown: "\n  Corefile: . { whoami }\n"},
		{name: "a misspelt server", value: "server=standalon", fails: `server: "standalon" is none of standalone, replace, none`},
		{name: "a misspelt forwarder", value: "forwarder=some", fails: `forwarder: "some" is none of marked, all, none`},
		{name: "a component that is not there", value: "components={pods}", fails: "there is no files/components/pods/kustomization.yaml"},
		{name: "a forwarder that is told nothing", value: "forwarder=all", fails: "cluster.apiServerHost: where nodes reach the API server"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), helm, "template", "nameplane", chart, "--set", test.value).CombinedOutput()
			if (err == nil) != (test.fails == "") || !strings.Contains(string(out), test.fails) || !strings.Contains(string(out), test.shown) {
				t.Errorf("%v; want %q or an error %q in\n%s", err, test.shown, test.fails, out)
			}
		})
	}
}

// The chart takes over CoreDNS's objects in place, as the base does, and an uninstall leaves them.
func TestChartTakesOver(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	helm := peer.Helm(t)
	c := kube.Start(t, kube.Options{Controllers: true})
	installCoreDNS(t, c)
	before := look(t, c)
	onCluster := func(args ...string) {
		t.Helper()
		run(t, helm, append([]string{"--kubeconfig", c.Kubeconfig(), "--namespace", system}, args...)...)
	}
	onCluster("install", "nameplane", chart, "--set", "server=replace", "--take-ownership", "--force-conflicts")
	after := look(t, c)
	checkAdopted(t, before, after)
	checkRights(t, c, "nameplane", baseRole)
	onCluster("uninstall", "nameplane")
	left := look(t, c)
	if left.deployment.UID != after.deployment.UID || left.service.Spec.ClusterIP != clusterDNS {
		t.Error("the uninstall took the cluster's DNS away")
	}
	checkRights(t, c, "nameplane", baseRole)
}
