package apiwatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nameplane/nameplane/cluster"
)

func TestReadIngress(t *testing.T) {
	t.Parallel()
	in := &networking.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web", ResourceVersion: "7"},
		Spec: networking.IngressSpec{
			TLS:   []networking.IngressTLS{{Hosts: []string{"a.example.org", "*.b.example.org"}, SecretName: "s"}, {}},
			Rules: []networking.IngressRule{{Host: "c.example.org"}, {}},
		},
		Status: networking.IngressStatus{LoadBalancer: networking.IngressLoadBalancerStatus{Ingress: []networking.IngressLoadBalancerIngress{
			{IP: "192.0.2.1", Ports: []networking.IngressPortStatus{{Port: 80}}}, {Hostname: "lb.example.net"}, {},
		}}},
	}
	spec, meta, err := readIngress(encode(t, in))
	if err != nil || meta.version != "7" {
		t.Fatal(meta, err)
	}
	want := cluster.HostSpec{
		Kind: cluster.KindIngress, Namespace: "n", Name: "web",
		Hosts:    []cluster.HostRule{{Name: "a.example.org"}, {Name: "*.b.example.org"}, {Name: "c.example.org"}},
		External: []cluster.External{cluster.ParseExternal("192.0.2.1"), {Name: "lb.example.net"}},
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
