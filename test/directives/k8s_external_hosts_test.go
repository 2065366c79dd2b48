package directives

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

const (
	networking = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"
	gatewayAPI = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/"
)

const hostIngress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  tls:
  - {hosts: ["*.apps.example.org"], secretName: certificate}
  rules:
  - host: www.example.org
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`

const hostGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec:
  gatewayClassName: any
  listeners:
  - {name: web, hostname: gw.example.org, port: 80, protocol: HTTP}
  - {name: all, port: 8080, protocol: HTTP}
`

const hostRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: shop}
spec:
  hostnames: [route.example.org]
  parentRefs: [{name: gw}]
`

// patchStatus is what an object's controller does.
func patchStatus(t *testing.T, c *kube.Cluster, path, status string) {
	t.Helper()
	err := c.Client().CoreV1().RESTClient().Patch(types.MergePatchType).AbsPath(path+"/status").SetHeader("Accept", "application/json").
		Body([]byte(`{"status":` + status + `}`)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

// awaitText waits until a question is answered by text: addresses with spaces between, or a response code.
func awaitText(t *testing.T, server, question, want string) {
	t.Helper()
	p := probe{question: question}
	var have string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		m := p.ask(server)
		if m == nil {
			continue
		}
		have = dns.RcodeToString[m.Rcode]
		for i, rr := range m.Answer {
			if text := strings.TrimPrefix(rr.String(), rr.Header().String()); i == 0 {
				have = text
			} else {
				have += " " + text
			}
		}
		if have == want {
			return
		}
	}
	t.Fatalf("%s: %s, want %s", question, have, want)
}

// TestK8sExternalHosts is about an addition to CoreDNS, on a real API server. The Gateway API comes after the server has
// started: until then everything else is answered.
func TestK8sExternalHosts(t *testing.T) {
	peer.E2E(t)
	c := kube.Start(t, kube.Options{})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	if _, err := c.Client().CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	svc := outside{name: "web.shop", external: []string{"192.0.2.1"}, ports: []string{"http/TCP/80"}}
	svc.make(t, c)
	post(t, c, networking, hostIngress)
	server, process := peer.StartServer(t, peer.Nameplane(t), "example.org {\nbind 127.0.0.1\nkubernetes cluster.local {\nkubeconfig "+c.Kubeconfig()+
		"\n}\nk8s_external {\nhosts ingress gateway\n}\n}\n")
	awaitText(t, server, "web.shop.example.org A", "192.0.2.1")
	awaitText(t, server, "www.example.org A", "NOERROR")
	patchStatus(t, c, networking+"/web", `{"loadBalancer":{"ingress":[{"ip":"198.51.100.1"},{"ip":"2001:db8::1"}]}}`)
	awaitText(t, server, "www.example.org A", "198.51.100.1")
	awaitText(t, server, "any.apps.example.org AAAA", "2001:db8::1")
	awaitText(t, server, "gw.example.org A", "NXDOMAIN")
	if n := strings.Count(process.Tail(100), "no such resource"); n != 2 {
		t.Errorf("a definition that is missing is told %d times, want once each for gateways and httproutes:\n%s", n, process.Tail(100))
	}

	c.InstallCRDs(t, kube.Gateways)
	post(t, c, gatewayAPI+"gateways", hostGateway)
	post(t, c, gatewayAPI+"httproutes", hostRoute)
	patchStatus(t, c, gatewayAPI+"gateways/gw", `{"addresses":[{"type":"IPAddress","value":"198.51.100.2"}]}`)
	awaitText(t, server, "gw.example.org A", "198.51.100.2")
	awaitText(t, server, "route.example.org A", "NOERROR") // no Gateway has accepted it
	patchStatus(t, c, gatewayAPI+"httproutes/route",
		`{"parents":[{"parentRef":{"name":"gw"},"controllerName":"example.net/c","conditions":[{"type":"Accepted","status":"True"}]}]}`)
	awaitText(t, server, "route.example.org A", "198.51.100.2")
	patchStatus(t, c, gatewayAPI+"gateways/gw", `{"addresses":[{"type":"Hostname","value":"web.shop.example.org"}]}`)
	awaitText(t, server, "route.example.org A", "web.shop.example.org. 192.0.2.1")

	err := c.Client().NetworkingV1().Ingresses("shop").Delete(t.Context(), "web", metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitText(t, server, "www.example.org A", "NXDOMAIN")
	awaitText(t, server, "any.apps.example.org A", "NXDOMAIN")
}
