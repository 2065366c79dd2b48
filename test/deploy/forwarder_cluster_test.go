package deploy

import (
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const (
	vipNode = "node-1"
	vipAddr = "10.96.7.7"
)

// The commands of deploy/README.md for the forwarder, on a real API server: what they make is admitted and reaches the node;
// the program runs with the rights that it brings and no others, and a service is its own once it is marked.
func TestForwarder(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{Controllers: true})
	c.Load(t, vipObjects()...)

	kubectl(t, c, "-n", system, "create", "configmap", clusterMap, "--from-literal=api-server-host=192.0.2.10",
		"--from-literal=api-server-port=6443", "--from-literal=service-cidr=10.96.0.0/12", "--from-literal=pod-cidr=10.244.0.0/16")
	kubectl(t, c, "apply", "--server-side", "-k", filepath.Join(root, "overlays/forwarder"))
	eventually(t, "a pod for the node", func() bool {
		pods, err := c.Client().CoreV1().Pods(system).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=nameplane-vip"})
		return err == nil && len(pods.Items) == 1 && *pods.Items[0].Spec.Priority == 2_000_001_000
	})
	checkRights(t, c, "nameplane-vip", forwarderRole)
	p := startForwarder(t, "mode plan\n        kubeconfig "+accountConfig(t, c, "nameplane-vip"), "10.96.0.0/12")
	eventually(t, "readiness", func() bool { code, _ := get(p.ready); return code == http.StatusOK })
	p.wantFrontends(t, 0)
	kubectl(t, c, "-n", "default", "label", "service", "my-nginx", "service.kubernetes.io/service-proxy-name=nameplane")
	p.wantFrontends(t, 1)
	p.wantExplained(t)
	kubectl(t, c, "-n", "default", "label", "service", "my-nginx", "service.kubernetes.io/service-proxy-name-")
	p.wantFrontends(t, 0)
	if code, body := get(p.livez); code != http.StatusOK {
		t.Errorf("/livez says %d: %s", code, body)
	}
	if refused := regexp.MustCompile(`(?i).*(forbidden|403|not following).*`).FindString(p.process.Tail(1000)); refused != "" {
		t.Error(refused)
	}

	kubectl(t, c, "apply", "--server-side", "-k", filepath.Join(root, "overlays/forwarder-all"))
	stored, err := c.Client().CoreV1().ConfigMaps(system).Get(t.Context(), "nameplane-vip", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := patched[string](t, "overlays/forwarder-all/config-map.yaml", "/data/Corefile"); stored.Data["Corefile"] != want {
		t.Errorf("the Corefile is %s", stored.Data["Corefile"])
	}
	checkNeedsNodes(t, c)
	kubectl(t, c, "delete", "-k", filepath.Join(root, "overlays/forwarder-all"))
	if _, err := c.Client().CoreV1().ConfigMaps(system).Get(t.Context(), clusterMap, metav1.GetOptions{}); err != nil {
		t.Errorf("what the operator wrote: %v", err)
	}
}

// The commands that take kube-proxy off the nodes and bring it back do that to a DaemonSet like kubeadm's.
func TestKubeProxyAwayAndBack(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{Controllers: true})
	c.Load(t, vipObjects()...)
	set := forwarder(t)
	set.Name, set.Labels = "kube-proxy", nil
	set.Spec.Template.Labels, set.Spec.Selector.MatchLabels = map[string]string{"k8s-app": "kube-proxy"}, map[string]string{"k8s-app": "kube-proxy"}
	set.Spec.Template.Spec.ServiceAccountName = ""
	if _, err := c.Client().AppsV1().DaemonSets(system).Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := func(n int) func() bool {
		return func() bool {
			list, err := c.Client().CoreV1().Pods(system).List(t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-proxy"})
			return err == nil && len(list.Items) == n
		}
	}
	eventually(t, "kube-proxy's pod", pods(1))
	kubectl(t, c, "-n", system, "patch", "daemonset", "kube-proxy", "-p", `{"spec": {"template": {"spec": {"nodeSelector": {"kube-proxy": "wanted"}}}}}`)
	eventually(t, "no pod of kube-proxy", pods(0))
	kubectl(t, c, "-n", system, "patch", "daemonset", "kube-proxy", "--type=json", "-p", `[{"op": "remove", "path": "/spec/template/spec/nodeSelector/kube-proxy"}]`)
	eventually(t, "kube-proxy's pod again", pods(1))
}

// vipObjects are a node, and a service with an endpoint that nobody has marked yet.
func vipObjects() []runtime.Object {
	name, port, ready, protocol := "http", int32(8080), true, corev1.ProtocolTCP
	meta := metav1.ObjectMeta{Namespace: "default", Name: "my-nginx"}
	return []runtime.Object{
		&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: vipNode, Labels: map[string]string{"kubernetes.io/os": "linux"}},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.20"}}},
		},
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: vipAddr, Ports: []corev1.ServicePort{{Name: name, Port: 80}}}},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: meta.Namespace, Name: "my-nginx-1", Labels: map[string]string{
				discoveryv1.LabelServiceName: meta.Name, discoveryv1.LabelManagedBy: "nobody",
			}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.7"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		},
	}
}

// checkNeedsNodes: the program without one of the rights waits, and names what is missing.
func checkNeedsNodes(t *testing.T, c *kube.Cluster) {
	t.Helper()
	roles := c.Client().RbacV1().ClusterRoles()
	role, err := roles.Get(t.Context(), "nameplane-vip", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role.Rules = slices.DeleteFunc(role.Rules, func(rule rbacv1.PolicyRule) bool { return rule.Resources[0] == "nodes" })
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := startForwarder(t, "mode plan\n        kubeconfig "+accountConfig(t, c, "nameplane-vip"), "10.96.0.0/12")
	eventually(t, "a refusal in the log", func() bool { return strings.Contains(p.process.Tail(1000), "nodes") })
	if code, body := get(p.ready); code != http.StatusServiceUnavailable {
		t.Errorf("/ready says %d: %s", code, body)
	}
}
