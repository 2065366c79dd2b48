package deploy

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/plugin/standard"
	"github.com/nameplane/nameplane/server"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	forwarderRole = "overlays/forwarder/cluster-role.yaml"
	forwarderMap  = "overlays/forwarder/config-map.yaml"
	// clusterMap is the ConfigMap that the operator writes.
	clusterMap = "nameplane-vip-cluster"
)

func forwarder(t *testing.T) *appsv1.DaemonSet {
	t.Helper()
	return load[appsv1.DaemonSet](t, "overlays/forwarder/daemon-set.yaml")
}

// patched is what a file of operations says of a path.
func patched[T any](t *testing.T, file, path string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range parsePatch(t, file, text) {
		if value, ok := o.Value.(T); ok && o.Path == path {
			return value
		}
	}
	t.Fatalf("%s: nothing is said of %s", file, path)
	panic("unreachable")
}

// forwarderCorefiles are those of the two overlays, for a node of which all is known.
func forwarderCorefiles(t *testing.T) map[string]string {
	t.Helper()
	for name, value := range map[string]string{
		"NODE_NAME": "node-1", "SERVICE_CIDR": "10.96.0.0/12,fd00:10:96::/112", "POD_CIDR": "10.244.0.0/16,fd00:10:244::/56",
	} {
		t.Setenv(name, value)
	}
	return map[string]string{
		"forwarder":     corefileOf(t, forwarderMap),
		"forwarder-all": patched[string](t, "overlays/forwarder-all/config-map.yaml", "/data/Corefile"),
	}
}

// vipOptions are the lines of the directive vip, by their names.
func vipOptions(t *testing.T, text string) map[string]*corefile.Directive {
	t.Helper()
	lines := parse(t, text).Lines("vip")
	if len(lines) != 1 {
		t.Fatalf("%d directives vip in %s", len(lines), text)
	}
	options := map[string]*corefile.Directive{}
	for _, line := range lines[0].Body {
		options[line.Name] = line
	}
	return options
}

// Beside kube-proxy only what is labelled for us is taken; in its place all is, and load balancers find /healthz where
// kube-proxy has it. Everything else is the same.
func TestForwarderCorefiles(t *testing.T) {
	texts := forwarderCorefiles(t)
	beside, instead := vipOptions(t, texts["forwarder"]), vipOptions(t, texts["forwarder-all"])
	if by, all := beside["services"].Args[0].Text, instead["services"].Args[0].Text; by != "proxy-name=nameplane" || all != "all" {
		t.Errorf("services %s, and %s", by, all)
	}
	if address := instead["healthz"].Args[0].Text; address != ":10256" {
		t.Errorf("load balancers cannot ask for /healthz at %s", address)
	}
	differ := regexp.MustCompile(`(?m)^ +(services|healthz) .*\n`)
	if diff := cmp.Diff(differ.ReplaceAllString(texts["forwarder"], ""), differ.ReplaceAllString(texts["forwarder-all"], "")); diff != "" {
		t.Errorf("more is different:\n%s", diff)
	}
	for name, text := range texts {
		if _, asked := build(t, text); !asked {
			t.Errorf("%s reads no cluster", name)
		}
		for _, block := range parse(t, text).Blocks {
			if binds := find(block, "bind"); len(binds) != 1 || binds[0].Args[0].Text != "127.0.0.1" {
				t.Errorf("%s answers questions from outside of the node", name)
			}
		}
	}
}

// Probes ask the pages that the Corefile serves, on addresses that it serves them on.
func TestForwarderProbes(t *testing.T) {
	for overlay, text := range forwarderCorefiles(t) {
		t.Run(overlay, func(t *testing.T) {
			c := forwarder(t).Spec.Template.Spec.Containers[0]
			if overlay == "forwarder-all" {
				const ports = "/spec/template/spec/containers/0/ports/1/containerPort"
				c.Ports[1].ContainerPort = int32(patched[float64](t, "overlays/forwarder-all/daemon-set.yaml", ports))
			}
			file := parse(t, text)
			readyHost, readyPort := addressOf(t, file, "ready", ":8181")
			healthHost, healthPort, err := net.SplitHostPort(vipOptions(t, text)["healthz"].Args[0].Text)
			if err != nil {
				t.Fatal(err)
			}
			_, metrics := addressOf(t, file, "prometheus", "localhost:9153")
			for _, page := range []struct {
				name, path, host, port string
				probe                  *corev1.Probe
			}{
				{name: "readiness", path: "/ready", host: readyHost, port: readyPort, probe: c.ReadinessProbe},
				{name: "liveness", path: "/livez", host: healthHost, port: healthPort, probe: c.LivenessProbe},
			} {
				get := page.probe.HTTPGet
				if get.Path != page.path || port(t, c, get.Port) != page.port || page.host != "" && get.Host != page.host {
					t.Errorf("%s asks %s:%s%s, the Corefile serves %s on %s:%s", page.name, get.Host, get.Port.String(), get.Path, page.path, page.host, page.port)
				}
			}
			if c.Ports[0].Name != "metrics" || port(t, c, c.LivenessProbe.HTTPGet.Port) == metrics {
				t.Errorf("port metrics is %+v, the Corefile's is %s", c.Ports[0], metrics)
			}
			if c.StartupProbe != nil {
				t.Error("a start that waits for the API server would be ended")
			}
		})
	}
}

// The pods are on every node's network, whatever is wrong with the node, and are told of the cluster what only its operator
// knows, without which they don't start.
func TestForwarderPods(t *testing.T) {
	t.Parallel()
	set := forwarder(t)
	pod := set.Spec.Template.Spec
	if !pod.HostNetwork || pod.PriorityClassName != "system-node-critical" || len(pod.Volumes) != 1 {
		t.Errorf("%+v", pod)
	}
	if diff := cmp.Diff([]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Tolerations); diff != "" {
		t.Errorf("not on every node:\n%s", diff)
	}
	if most := set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable; most.String() != "10%" {
		t.Errorf("%s of the nodes change at once", most)
	}
	keys := map[string]string{}
	for _, env := range pod.Containers[0].Env[2:] {
		ref := env.ValueFrom.ConfigMapKeyRef
		if ref == nil || ref.Name != clusterMap || ref.Optional != nil {
			t.Errorf("%s: %+v is not of the ConfigMap, which must exist", env.Name, env.ValueFrom)
			continue
		}
		keys[env.Name] = ref.Key
	}
	want := []string{"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "POD_CIDR", "SERVICE_CIDR"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(keys))); diff != "" {
		t.Error(diff)
	}
	guide, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(guide), "create configmap "+clusterMap)
	command, _, _ = strings.Cut(command, "\n\n")
	for name, key := range keys {
		if !strings.Contains(command, "--from-literal="+key+"=") {
			t.Errorf("README.md creates no key %s, of which %s is made", key, name)
		}
	}
	if node := pod.Containers[0].Env[1]; node.Name != "NODE_NAME" || node.ValueFrom.FieldRef.FieldPath != "spec.nodeName" {
		t.Errorf("%+v is not the node's name", node)
	}
}

// A network that is not told is an error that names the line.
func TestForwarderWithoutNetworks(t *testing.T) {
	text := forwarderCorefiles(t)["forwarder"]
	t.Setenv("SERVICE_CIDR", "")
	t.Setenv("POD_CIDR", "none")
	_, err := server.New(parse(t, text), server.Options{Specs: standard.List(nil)})
	for _, want := range []string{"Corefile:10: service_cidr: ", `Corefile:11: pod_cidr: "none" is not an address block`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
