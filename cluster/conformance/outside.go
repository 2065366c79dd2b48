package conformance

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// outsiders are a namespace's imports, and its parts of host names.
func outsiders(store *cluster.Store, namespace string) (lines []string) {
	store.Imports().Services(func(svc *cluster.Service) {
		if svc.Namespace() != namespace {
			return
		}
		lines = append(lines, strings.Replace(service(svc), "service", "import", 1))
		for _, line := range endpoints(svc) {
			lines = append(lines, strings.Replace(line, "endpoint", "imported", 1))
		}
	})
	store.Hosts(func(h *cluster.Host) {
		for _, p := range h.Parts {
			if p.Namespace[1:] != namespace {
				continue
			}
			line := "host " + dotted(h.Key())
			for _, e := range p.External {
				line += " " + e.String()
			}
			lines = append(lines, line)
		}
	})
	return lines
}

// dotted is a name in wire form as text.
func dotted(key string) string {
	var labels []string
	for ; key[0] != 0; key = key[1+key[0]:] {
		labels = append(labels, key[1:1+key[0]])
	}
	return strings.Join(labels, ".")
}

const imported = `
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  type: TYPE
  ips: [IPS]
  ports:
  - {name: http, protocol: TCP, port: 80}
`

func serviceImport(name, kind, ips string) string {
	return strings.NewReplacer("NAMESPACE", "NAMESPACE", "NAME", name, "TYPE", kind, "IPS", ips).Replace(imported)
}

const importedSlice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-CLUSTER
  namespace: NAMESPACE
  labels: {multicluster.kubernetes.io/service-name: db, multicluster.kubernetes.io/source-cluster: CLUSTER}
addressType: IPv4
ports:
- {name: http, port: 8080}
endpoints:
- addresses: [ADDRESS]
  hostname: one
`

func sliceOf(cluster, address string) string {
	return strings.NewReplacer("CLUSTER", cluster, "ADDRESS", address).Replace(importedSlice)
}

const ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: NAMESPACE}
spec:
  tls:
  - {hosts: [HOSTS], secretName: certificate}
  rules:
  - host: www.example.org
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
status:
  loadBalancer:
    ingress: [{ip: 192.0.2.1}, {hostname: lb.example.net}]
`

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: NAMESPACE}
spec:
  gatewayClassName: any
  listeners:
  - {name: web, hostname: "*.example.org", port: 80, protocol: HTTP}
  - {name: all, port: 8080, protocol: HTTP}
status:
  addresses:
  - {type: IPAddress, value: ADDRESS}
`

const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: NAMESPACE}
spec:
  hostnames: [shop.example.com]
  parentRefs: [{name: gw}]
status:
  parents:
  - parentRef: {name: gw}
    controllerName: example.net/controller
    conditions:
    - {type: Accepted, status: "ACCEPTED", reason: Accepted, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}
`

func routeThatIs(accepted string) string { return strings.Replace(route, "ACCEPTED", accepted, 1) }

// outside is what other clusters share, and what leads into this one.
func outside() []scenario {
	return []scenario{
		{
			name:  "imports",
			needs: cluster.Needs{Endpoints: true, Imports: true},
			addrs: []string{"10.244.80.1", "10.112.0.1"},
			steps: []step{
				{
					apply: serviceImport("web", "ClusterSetIP", "10.112.0.1") + "---" + serviceImport("db", "Headless", "") +
						"---" + sliceOf("east", "10.244.80.1") + "---" + sliceOf("west", "10.244.80.2") + "---" + clusterIP("web", "10.96.47.1"),
					want: `
						namespace
						service web cluster-ip 10.96.47.1 /tcp=80
						import web cluster-ip 10.112.0.1 http/tcp=80
						import db headless http/tcp=80
						imported db 10.244.80.1 name one zone east http/tcp=8080
						imported db 10.244.80.2 name one zone west http/tcp=8080`,
				},
				{
					apply:  serviceImport("web", "ClusterSetIP", "10.112.0.2"),
					delete: [][3]string{{"EndpointSlice", "NAMESPACE", "db-east"}},
					want: `
						namespace
						service web cluster-ip 10.96.47.1 /tcp=80
						import web cluster-ip 10.112.0.2 http/tcp=80
						import db headless http/tcp=80
						imported db 10.244.80.2 name one zone west http/tcp=8080`,
				},
				{
					delete: [][3]string{{"ServiceImport", "NAMESPACE", "web"}},
					want: `
						namespace
						service web cluster-ip 10.96.47.1 /tcp=80
						import db headless http/tcp=80
						imported db 10.244.80.2 name one zone west http/tcp=8080`,
				},
			},
		},
		{
			name:   "imports-alone",
			needs:  cluster.Needs{Imports: true},
			labels: "tier=front",
			steps: []step{{
				apply: serviceImport("db", "Headless", "") + "---" + slice("one", "true") +
					"---" + strings.Replace(sliceOf("east", "10.244.80.3"), "labels: {", "labels: {tier: front, ", 1) + "---" + sliceOf("west", "10.244.80.4"),
				want: `
					namespace
					import db headless http/tcp=80
					imported db 10.244.80.3 name one zone east http/tcp=8080`,
			}},
		},
		{
			name:  "ingresses",
			needs: cluster.Needs{Ingresses: true},
			steps: []step{
				{
					apply: strings.Replace(ingress, "HOSTS", `www.example.org, "*.example.org"`, 1) + "---" + clusterIP("web", "10.96.47.3"),
					want: `
						namespace
						service web cluster-ip 10.96.47.3 /tcp=80
						host www.example.org 192.0.2.1 lb.example.net
						host *.example.org 192.0.2.1 lb.example.net`,
				},
				{
					apply: strings.Replace(ingress, "HOSTS", "api.example.org", 1),
					want: `
						namespace
						service web cluster-ip 10.96.47.3 /tcp=80
						host www.example.org 192.0.2.1 lb.example.net
						host api.example.org 192.0.2.1 lb.example.net`,
				},
				{
					delete: [][3]string{{"Ingress", "NAMESPACE", "web"}},
					want: `
						namespace
						service web cluster-ip 10.96.47.3 /tcp=80`,
				},
			},
		},
		{
			name:  "gateways",
			needs: cluster.Needs{Gateways: true},
			steps: []step{
				{
					apply: strings.Replace(gateway, "ADDRESS", "192.0.2.2", 1) + "---" + routeThatIs("True"),
					want: `
						namespace
						host *.example.org 192.0.2.2
						host shop.example.com 192.0.2.2`,
				},
				{
					apply: strings.Replace(gateway, "ADDRESS", "192.0.2.3", 1),
					want: `
						namespace
						host *.example.org 192.0.2.3
						host shop.example.com 192.0.2.3`,
				},
				{
					apply: routeThatIs("False"),
					want: `
						namespace
						host *.example.org 192.0.2.3
						host shop.example.com`,
				},
				{
					delete: [][3]string{{"Gateway", "NAMESPACE", "gw"}},
					want: `
						namespace
						host shop.example.com`,
				},
			},
		},
		{
			name: "outside-unneeded",
			steps: []step{{
				apply: strings.Replace(ingress, "HOSTS", "", 1) + "---" + serviceImport("db", "Headless", "") + "---" + clusterIP("web", "10.96.47.2"),
				want: `
					namespace
					service web cluster-ip 10.96.47.2 /tcp=80`,
			}},
		},
	}
}
