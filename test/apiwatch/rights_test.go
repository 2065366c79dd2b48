package apiwatch

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// A right that is missing is reported with what to grant, and taken up as soon as it is there; what may be read is read.
func TestMissingRight(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{})
	path := c.RestrictedKubeconfig(t)
	roles := c.Client().RbacV1().ClusterRoles()
	list, err := roles.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role := roleOf(t, list)
	granted := role.Rules
	role.Rules = nil
	for _, rule := range granted {
		if rule.APIGroups[0] != "discovery.k8s.io" {
			role.Rules = append(role.Rules, rule)
		}
	}
	if role, err = roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.Load(t, newService("web"), newSlice("web", "10.244.2.1"))
	var f *followed
	eventually(t, 30*time.Second, "the refusal", func() bool {
		if f == nil {
			f = follow(t, cluster.Origin{Kubeconfig: path}, cluster.Needs{Endpoints: true})
		}
		return strings.Contains(f.store.Status().Failure, "403") && f.service("web") != nil
	})
	for _, part := range []string{"endpointslices", `"discovery.k8s.io"`, "list and watch", "ClusterRole"} {
		if failure := f.store.Status().Failure; !strings.Contains(failure, part) {
			t.Errorf("%q does not say %q", failure, part)
		}
	}
	if f.store.Synced() {
		t.Error("synced without endpoints")
	}
	role.Rules = granted
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "endpoints", func() bool { return f.store.Synced() && len(f.service("web").Endpoints.List) == 1 })
	eventually(t, 5*time.Second, "no failure", func() bool { return f.store.Status().Failure == "" })
	if n := f.log.count("not following"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, f.log)
	}
}

// Without need of pods there is no request for them: many clusters grant no right to list pods.
func TestPodsAreLeftAlone(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{})
	f := follow(t, cluster.Origin{Kubeconfig: c.Kubeconfig()}, cluster.Needs{})
	eventually(t, 10*time.Second, "synced", f.store.Synced)
	eventually(t, 10*time.Second, "the service default/kubernetes", func() bool { return f.service("kubernetes") != nil })
	if objects := f.store.Status().Objects; objects[cluster.KindPod] != 0 || objects[cluster.KindEndpointSlice] != 0 {
		t.Errorf("objects %v, want services and namespaces only", objects)
	}
}

func roleOf(t *testing.T, list *rbacv1.ClusterRoleList) *rbacv1.ClusterRole {
	t.Helper()
	for i := range list.Items {
		if strings.Contains(list.Items[i].Name, "nameplane") {
			return &list.Items[i]
		}
	}
	t.Fatal("no cluster role of the restricted account")
	return nil
}

// Without need of a node there is no request for any; with it the right to the one node is enough, and a node that is not
// there keeps nothing away. It is followed until it is gone.
func TestNodeOfOnesOwn(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{})
	path := c.RestrictedKubeconfig(t)
	none := follow(t, cluster.Origin{Kubeconfig: path}, cluster.Needs{Forwarding: true})
	eventually(t, 30*time.Second, "synced without a node", none.store.Synced)
	f := follow(t, cluster.Origin{Kubeconfig: path}, cluster.Needs{Forwarding: true, Node: "own"})
	eventually(t, 30*time.Second, "the refusal", func() bool {
		return strings.Contains(f.store.Status().Failure, "verbs list and watch on nodes")
	})
	eventually(t, 30*time.Second, "names without the right to nodes", f.store.Synced)
	if f.store.Listed(cluster.KindNode) {
		t.Error("nodes were listed")
	}
	roles := c.Client().RbacV1().ClusterRoles()
	list, err := roles.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role := roleOf(t, list)
	role.Rules = append(role.Rules, rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"nodes"}, ResourceNames: []string{"own"}, Verbs: []string{"list", "watch"},
	})
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 40*time.Second, "the list without the node", func() bool { return f.store.Listed(cluster.KindNode) })
	nodes := c.Client().CoreV1().Nodes()
	for _, name := range []string{"other", "own"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"example.org/wait"}, Labels: map[string]string{corev1.LabelTopologyZone: "zone-" + name}}}
		if _, err := nodes.Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 10*time.Second, "the node", func() bool { n := f.store.Node(); return n != nil && n.Zone == "zone-own" && !n.Leaving })
	if err := nodes.Delete(t.Context(), "own", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "its leave", func() bool { n := f.store.Node(); return n != nil && n.Leaving })
	free := []byte(`{"metadata": {"finalizers": null}}`)
	if _, err := nodes.Patch(t.Context(), "own", types.MergePatchType, free, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "its end", func() bool { return f.store.Node() == nil })
	if got := f.store.Status().Objects[cluster.KindNode]; got != 0 || none.store.Status().Failure != "" {
		t.Errorf("%d nodes counted; without need of one: %q", got, none.store.Status().Failure)
	}
}
