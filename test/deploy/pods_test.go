package deploy

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/nameplane/nameplane/server/corefile"
)

func deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	return load[appsv1.Deployment](t, "base/deployment.yaml")
}

func daemonSet(t *testing.T) *appsv1.DaemonSet {
	t.Helper()
	return load[appsv1.DaemonSet](t, "overlays/nodelocal/daemon-set.yaml")
}

// workload is a pod template with the Corefile that it serves.
type workload struct {
	name       string
	pod        corev1.PodSpec
	configMap  *corev1.ConfigMap
	file       *corefile.File
	capability corev1.Capability // the only one
	args       []string          // behind those that name the Corefile
}

func (w workload) container() corev1.Container { return w.pod.Containers[0] }

// servers are the workloads that answer questions.
func servers(t *testing.T) []workload {
	t.Helper()
	t.Setenv(upstreamEnv, "10.96.0.77")
	return []workload{
		{
			name: "base", pod: deployment(t).Spec.Template.Spec, capability: "NET_BIND_SERVICE",
			configMap: load[corev1.ConfigMap](t, corefileMap), file: parse(t, corefileOf(t, corefileMap)),
		},
		{
			name: "nodelocal", pod: daemonSet(t).Spec.Template.Spec, capability: "NET_BIND_SERVICE",
			configMap: load[corev1.ConfigMap](t, nodeLocalMap), file: parse(t, corefileOf(t, nodeLocalMap)),
		},
	}
}

// workloads are all.
func workloads(t *testing.T) []workload {
	t.Helper()
	return append(servers(t), workload{
		name: "forwarder", pod: forwarder(t).Spec.Template.Spec, capability: "NET_ADMIN", args: []string{"-dns.port", "0"},
		configMap: load[corev1.ConfigMap](t, forwarderMap), file: parse(t, forwarderCorefiles(t)["forwarder"]),
	})
}

// port is the number of a port that may be given by name.
func port(t *testing.T, c corev1.Container, p intstr.IntOrString) string {
	t.Helper()
	if p.Type == intstr.Int {
		return strconv.Itoa(p.IntValue())
	}
	for _, declared := range c.Ports {
		if declared.Name == p.StrVal {
			return strconv.Itoa(int(declared.ContainerPort))
		}
	}
	t.Errorf("no port is named %s", p.StrVal)
	return ""
}

// Probes ask the pages that the Corefile serves, and there is time to drain.
func TestProbes(t *testing.T) {
	for _, w := range servers(t) {
		t.Run(w.name, func(t *testing.T) {
			c := w.container()
			for _, page := range []struct {
				name, directive, fallback, path string
				probe                           *corev1.Probe
			}{
				{name: "startup", directive: "health", fallback: ":8080", path: "/health", probe: c.StartupProbe},
				{name: "liveness", directive: "health", fallback: ":8080", path: "/health", probe: c.LivenessProbe},
				{name: "readiness", directive: "ready", fallback: ":8181", path: "/ready", probe: c.ReadinessProbe},
			} {
				if page.probe == nil || page.probe.HTTPGet == nil {
					t.Errorf("%s: no probe by HTTP", page.name)
					continue
				}
				host, number := addressOf(t, w.file, page.directive, page.fallback)
				get := page.probe.HTTPGet
				if get.Path != page.path || get.Host != host || port(t, c, get.Port) != number {
					t.Errorf("%s: asks %s:%s%s, the Corefile serves %s on %s:%s", page.name, get.Host, get.Port.String(), get.Path, page.path, host, number)
				}
				if page.probe.InitialDelaySeconds != 0 {
					t.Errorf("%s: waits %d s for nothing", page.name, page.probe.InitialDelaySeconds)
				}
			}
			lameduck, grace := lameduckOf(t, w.file), time.Duration(*w.pod.TerminationGracePeriodSeconds)*time.Second
			const queries = 5 * time.Second // that are under way at the end
			if lameduck == 0 || grace < lameduck+queries {
				t.Errorf("lameduck %s and %s for queries do not fit into %s", lameduck, queries, grace)
			}
		})
	}
}

// Ports of the pod are those of the Corefile's server blocks and of its metrics.
func TestPorts(t *testing.T) {
	for _, w := range servers(t) {
		t.Run(w.name, func(t *testing.T) {
			c := w.container()
			byName := map[string]corev1.ContainerPort{}
			for _, p := range c.Ports {
				byName[p.Name] = p
			}
			for _, block := range w.file.Blocks {
				if key := block.Keys[0].Text; !strings.HasSuffix(key, ":53") {
					t.Errorf("the block %s is not on port 53", key)
				}
			}
			if p := byName["dns"]; p.ContainerPort != 53 || p.Protocol != corev1.ProtocolUDP {
				t.Errorf("port dns is %+v", p)
			}
			if p := byName["dns-tcp"]; p.ContainerPort != 53 || p.Protocol != corev1.ProtocolTCP {
				t.Errorf("port dns-tcp is %+v", p)
			}
			if _, number := addressOf(t, w.file, "prometheus", "localhost:9153"); strconv.Itoa(int(byName["metrics"].ContainerPort)) != number {
				t.Errorf("port metrics is %d, the Corefile's is %s", byName["metrics"].ContainerPort, number)
			}
		})
	}
}

// The Corefile is found where the arguments say.
func TestMount(t *testing.T) {
	for _, w := range workloads(t) {
		t.Run(w.name, func(t *testing.T) {
			c, volume := w.container(), w.pod.Volumes[0]
			mount := c.VolumeMounts[0]
			if volume.Name != mount.Name || volume.ConfigMap == nil || volume.ConfigMap.Name != w.configMap.Name {
				t.Fatalf("the volume %+v is not the ConfigMap %s", volume, w.configMap.Name)
			}
			item := volume.ConfigMap.Items[0]
			want := append([]string{"-conf", filepath.Join(mount.MountPath, item.Path)}, w.args...)
			if diff := cmp.Diff(want, c.Args); diff != "" {
				t.Error(diff)
			}
			if w.configMap.Data[item.Key] == "" {
				t.Errorf("the ConfigMap has no %s", item.Key)
			}
		})
	}
}

// What the node lends to the program: no root, nothing to gain, one capability, memory that Go knows of.
func TestSandbox(t *testing.T) {
	for _, w := range workloads(t) {
		t.Run(w.name, func(t *testing.T) {
			c := w.container()
			user := c.SecurityContext.RunAsUser
			nonRoot := c.SecurityContext.RunAsNonRoot
			if user == nil {
				user, nonRoot = w.pod.SecurityContext.RunAsUser, w.pod.SecurityContext.RunAsNonRoot
			}
			if user == nil || *user == 0 || nonRoot == nil || !*nonRoot {
				t.Error("may run as root")
			}
			if profile := w.pod.SecurityContext.SeccompProfile; profile == nil || profile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("seccomp profile %+v", profile)
			}
			for _, c := range append(slices.Clone(w.pod.InitContainers), c) {
				s := c.SecurityContext
				if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Add) != 1 || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
					t.Errorf("%s: %+v", c.Name, s)
				}
			}
			if added := c.SecurityContext.Capabilities.Add[0]; added != w.capability {
				t.Errorf("capability %s", added)
			}
			if _, limited := c.Resources.Limits[corev1.ResourceCPU]; limited || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("limits %v, want one of memory and none of CPU", c.Resources.Limits)
			}
			ref := c.Env[0].ValueFrom.ResourceFieldRef
			if c.Env[0].Name != "GOMEMLIMIT" || ref.Resource != "limits.memory" || ref.Divisor.Value() != 1 {
				t.Errorf("%+v is not the limit of memory in bytes", c.Env[0])
			}
			if w.pod.DNSPolicy != corev1.DNSDefault {
				t.Error("its resolv.conf would be the cluster's: a loop")
			}
		})
	}
}

// Selectors agree, a rollout and a drain leave one replica at least.
func TestReplicas(t *testing.T) {
	t.Parallel()
	d := deployment(t)
	labels := d.Spec.Template.Labels
	budget := load[policyv1.PodDisruptionBudget](t, "base/disruption-budget.yaml")
	service := load[corev1.Service](t, "base/service.yaml")
	spread, affinity := d.Spec.Template.Spec.TopologySpreadConstraints[0], d.Spec.Template.Spec.Affinity
	for name, selector := range map[string]map[string]string{
		"deployment": d.Spec.Selector.MatchLabels,
		"budget":     budget.Spec.Selector.MatchLabels,
		"service":    service.Spec.Selector,
		"spread":     spread.LabelSelector.MatchLabels,
	} {
		if diff := cmp.Diff(labels, selector); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	near := affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm
	if e := near.LabelSelector.MatchExpressions[0]; !slices.Contains(e.Values, labels[e.Key]) {
		t.Errorf("the anti-affinity %+v does not select the replicas", e)
	}
	rolling := d.Spec.Strategy.RollingUpdate
	if *d.Spec.Replicas < 2 || rolling.MaxUnavailable.IntValue() != 0 || budget.Spec.MaxUnavailable.IntValue() >= int(*d.Spec.Replicas) {
		t.Errorf("%d replicas, strategy %+v, budget %+v", *d.Spec.Replicas, rolling, budget.Spec)
	}
	for _, p := range service.Spec.Ports {
		found := slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool {
			return int(c.ContainerPort) == p.TargetPort.IntValue() && c.Protocol == p.Protocol && c.Name == p.Name
		})
		if !found {
			t.Errorf("the pods have no port for %+v", p)
		}
	}
	if service.Spec.ClusterIP != "" || service.Spec.IPFamilyPolicy != nil {
		t.Error("the address of the Service that is there would be changed")
	}
}

// The init container makes the address that the Corefile binds and the probes ask.
func TestNodeLocalAddress(t *testing.T) {
	t.Setenv(upstreamEnv, "10.96.0.77")
	pod := daemonSet(t).Spec.Template.Spec
	script := strings.Join(pod.InitContainers[0].Command, " ")
	for _, block := range parse(t, corefileOf(t, nodeLocalMap)).Blocks {
		binds := find(block, "bind")
		if len(binds) != 1 || len(binds[0].Args) != 1 {
			t.Fatalf("%s does not bind one address: it would take port 53 of the whole node", block.Keys[0].Text)
		}
		if bound := binds[0].Args[0].Text; !strings.Contains(script, "ip addr add "+bound+"/32 ") {
			t.Errorf("%s is bound, and %q does not make it", bound, script)
		}
	}
	if !pod.HostNetwork || pod.EnableServiceLinks == nil || !*pod.EnableServiceLinks {
		t.Error("it needs the node's network, and the Services' addresses in its environment")
	}
}
