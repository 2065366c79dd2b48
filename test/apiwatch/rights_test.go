package apiwatch

import (
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	var role *rbacv1.ClusterRole
	for i := range list.Items {
		if strings.Contains(list.Items[i].Name, "nameplane") {
			role = &list.Items[i]
		}
	}
	if role == nil {
		t.Fatal("no cluster role of the restricted account")
	}
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
