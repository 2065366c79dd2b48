package conformance

import "github.com/nameplane/nameplane/cluster"

const headless = `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: NAMESPACE}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  ports:
  - {name: pg, port: 5432}
`

// mixed has every way to say that an endpoint is ready, or not; that a service publishes endpoints which are not ready
// is for the slice's maker to express, and no reason to look past "ready: false" here.
const mixed = headless + `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-a
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: db}
addressType: IPv4
ports:
- {name: pg, port: 5432, protocol: TCP}
endpoints:
- addresses: [10.244.50.1]
  hostname: db-0
  zone: Zone-A
  targetRef: {kind: Pod, name: pod-0, namespace: NAMESPACE}
  conditions: {ready: true}
- addresses: [10.244.50.2]
  zone: zone-b
  targetRef: {kind: Pod, name: pod-1, namespace: NAMESPACE}
- addresses: [10.244.50.3]
  conditions: {ready: false}
- addresses: [10.244.50.4]
  conditions: {ready: false, serving: true, terminating: true}
- addresses: [10.244.50.5]
  conditions: {ready: true, serving: false, terminating: true}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-b
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: db}
addressType: IPv4
ports:
- {name: pg, port: 15432}
endpoints:
- addresses: [10.244.50.6, 10.244.50.7]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-six
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: db}
addressType: IPv6
endpoints:
- addresses: ["fd00:10:244::50"]
  hostname: db-0
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-name
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: db}
addressType: FQDN
endpoints:
- addresses: [db.example.com]
`

// endpointSlices are endpoints in all their forms, and what each of Needs adds.
func endpointSlices() []scenario {
	return []scenario{
		{
			name:  "slices",
			needs: cluster.Needs{Endpoints: true},
			addrs: []string{"10.244.50.1", "10.244.50.3", "10.244.50.7", "fd00:10:244::50"},
			steps: []step{{
				apply: mixed,
				want: `
					namespace
					service db headless pg/tcp=5432
					endpoint db 10.244.50.1 name db-0 pg/tcp=5432
					endpoint db 10.244.50.2 pg/tcp=5432
					endpoint db 10.244.50.5 pg/tcp=5432
					endpoint db 10.244.50.6 pg/tcp=15432
					endpoint db 10.244.50.7 pg/tcp=15432
					endpoint db fd00:10:244::50 name db-0
					reverse 10.244.50.1 db
					reverse 10.244.50.7 db
					reverse fd00:10:244::50 db`,
			}},
		},
		{
			name:  "pod-names-zones",
			needs: cluster.Needs{Endpoints: true, PodNames: true, Zones: true},
			steps: []step{{
				apply: mixed,
				want: `
					namespace
					service db headless pg/tcp=5432
					endpoint db 10.244.50.1 name db-0 zone zone-a pg/tcp=5432
					endpoint db 10.244.50.2 pod pod-1 zone zone-b pg/tcp=5432
					endpoint db 10.244.50.5 pg/tcp=5432
					endpoint db 10.244.50.6 pg/tcp=15432
					endpoint db 10.244.50.7 pg/tcp=15432
					endpoint db fd00:10:244::50 name db-0`,
			}},
		},
		{
			name:  "no-endpoints",
			addrs: []string{"10.244.50.1"},
			steps: []step{{
				apply: mixed,
				want: `
					namespace
					service db headless pg/tcp=5432`,
			}},
		},
	}
}
