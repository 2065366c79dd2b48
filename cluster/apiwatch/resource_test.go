package apiwatch

import (
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/cluster"
)

func newDelivery() (*delivery, *cluster.Store, *syncBuffer) {
	log := &syncBuffer{}
	store, writer := cluster.NewStore()
	return &delivery{writer: writer, log: slog.New(slog.NewTextHandler(log, nil))}, store, log
}

func TestResources(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		needs cluster.Needs
		want  string
	}{
		{name: "names and virtual IPs", want: "namespaces services"},
		{name: "endpoints", needs: cluster.Needs{Endpoints: true}, want: "namespaces services endpointslices"},
		{name: "virtual IPs", needs: cluster.Needs{Forwarding: true}.Full(), want: "namespaces services endpointslices"},
		{name: "this node", needs: cluster.Needs{Node: "node-1"}, want: "namespaces services nodes"},
		{name: "pods", needs: cluster.Needs{Pods: true}, want: "namespaces services pods"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range resources(cluster.Origin{Labels: "a=b", NamespaceLabels: "c=d"}, tt.needs, nil) {
				got = append(got, r.kind.String())
				want := map[cluster.Kind]string{cluster.KindNamespace: "c=d", cluster.KindNode: ""}
				if _, ok := want[r.kind]; !ok {
					want[r.kind] = "a=b"
				}
				if selector := r.query().Get("labelSelector"); selector != want[r.kind] {
					t.Errorf("%s: labelSelector %q, want %q", r.kind, selector, want[r.kind])
				}
				fields := map[cluster.Kind]string{
					cluster.KindPod: "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown", cluster.KindNode: "metadata.name=node-1",
				}
				if got := r.query().Get("fieldSelector"); got != fields[r.kind] {
					t.Errorf("%s: fieldSelector %q, want %q", r.kind, got, fields[r.kind])
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("kinds %q, want %q", got, tt.want)
			}
		})
	}
}

// A pod that is being deleted keeps its address until it is gone, also over a new list; one that was never seen
// otherwise is not taken up.
func TestPodBeingDeleted(t *testing.T) {
	t.Parallel()
	d, store, _ := newDelivery()
	now := metav1.Now()
	pod := func(name, ip string, deletion *metav1.Time) []byte {
		return encode(t, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, DeletionTimestamp: deletion}, Status: corev1.PodStatus{PodIP: ip},
		})
	}
	present := func() string {
		var found []string
		for _, a := range addrs(t, "10.0.0.1", "10.0.0.2", "10.0.0.3") {
			if p := store.PodAt(a); p != nil {
				found = append(found, p.Name)
			}
		}
		return strings.Join(found, " ")
	}
	for _, step := range []struct {
		name string
		do   func() (string, error)
		want string
	}{
		{name: "runs", do: func() (string, error) { return d.putPod(pod("a", "10.0.0.1", nil)) }, want: "a"},
		{name: "never seen", do: func() (string, error) { return d.putPod(pod("b", "10.0.0.2", &now)) }, want: "a"},
		{name: "ends, with another address", do: func() (string, error) { return d.putPod(pod("a", "10.0.0.3", &now)) }, want: "a"},
		{
			name: "listed again",
			do: func() (string, error) {
				d.writer.BeginList(cluster.KindPod)
				defer d.writer.EndList(cluster.KindPod)
				return d.putPod(pod("a", "10.0.0.1", &now))
			},
			want: "a",
		},
		{name: "gone", do: func() (string, error) { return d.dropPod(pod("a", "10.0.0.1", &now)) }, want: ""},
	} {
		if _, err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := present(); got != step.want {
			t.Errorf("%s: pods %q, want %q", step.name, got, step.want)
		}
	}
}

// What breaks a rule is counted each time and logged once for each object.
func TestFlawsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	d, store, log := newDelivery()
	bad := encode(t, &corev1.Service{ObjectMeta: noMeta, Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1", "nonsense"}}})
	names := encode(t, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "ns", Name: "s", Labels: map[string]string{labelService: "svc"}},
		AddressType: discoveryv1.AddressTypeFQDN, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"a.example"}}},
	})
	for range 3 {
		if _, err := d.putService(bad); err != nil {
			t.Fatal(err)
		}
		if _, err := d.putSlice(names); err != nil {
			t.Fatal(err)
		}
	}
	if skipped := store.Status().Skipped; skipped != 6 {
		t.Errorf("%d skipped, want 6", skipped)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "nonsense") || !strings.Contains(log.String(), "FQDN") {
		t.Errorf("log:\n%s", log)
	}
	key, _ := cluster.ServiceKey("ns", "svc")
	if svc := store.Service([]byte(key)); svc == nil || len(svc.ClusterIPs) != 1 || len(svc.Endpoints.List) != 0 {
		t.Errorf("service %+v, want one address and no endpoints", svc)
	}
}

// While services are listed anew, an address may have moved from a service that the list has not come to yet.
func TestAddressThatMovedIsNotShared(t *testing.T) {
	t.Parallel()
	d, _, log := newDelivery()
	put := func(name string) {
		if _, err := d.putService(encode(t, service(name, "1"))); err != nil {
			t.Fatal(err)
		}
	}
	put("a-old")
	d.writer.BeginList(cluster.KindService)
	put("a-new")
	d.writer.EndList(cluster.KindService)
	if log.String() != "" {
		t.Errorf("logged: %s", log)
	}
	put("a-third")
	if !strings.Contains(log.String(), "same cluster IP") {
		t.Errorf("two services with one address are not logged: %s", log)
	}
}
