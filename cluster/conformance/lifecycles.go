package conformance

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

const oneSlice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: moving
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: TARGET}
addressType: IPv4
ports:
- {name: http, port: 8080}
endpoints:
- addresses: [10.244.60.1]
- addresses: [10.244.60.2]
  conditions: {ready: READY}
`

func slice(target, ready string) string {
	return strings.NewReplacer("TARGET", target, "READY", ready).Replace(oneSlice)
}

const twoServices = `
apiVersion: v1
kind: Service
metadata: {name: one, namespace: NAMESPACE}
spec:
  clusterIP: None
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: NAMESPACE}
spec:
  clusterIP: None
`

// lifecycles are what happens to objects after they came.
func lifecycles() []scenario {
	return []scenario{
		{
			name:  "relabelled-slice",
			needs: cluster.Needs{Endpoints: true},
			addrs: []string{"10.244.60.1", "10.244.60.2"},
			steps: []step{
				{
					apply: twoServices + "---" + slice("one", "true"),
					want: `
						namespace
						service one headless
						service two headless
						endpoint one 10.244.60.1 http/tcp=8080
						endpoint one 10.244.60.2 http/tcp=8080
						reverse 10.244.60.1 one
						reverse 10.244.60.2 one`,
				},
				{
					apply: slice("one", "false"),
					want: `
						namespace
						service one headless
						service two headless
						endpoint one 10.244.60.1 http/tcp=8080
						reverse 10.244.60.1 one`,
				},
				{
					apply: slice("two", "true"),
					want: `
						namespace
						service one headless
						service two headless
						endpoint two 10.244.60.1 http/tcp=8080
						endpoint two 10.244.60.2 http/tcp=8080
						reverse 10.244.60.1 two
						reverse 10.244.60.2 two`,
				},
				{
					delete: [][3]string{{"EndpointSlice", "NAMESPACE", "moving"}},
					want: `
						namespace
						service one headless
						service two headless`,
				},
			},
		},
		{
			name:  "slice-before-service",
			needs: cluster.Needs{Endpoints: true},
			addrs: []string{"10.244.60.1"},
			steps: []step{
				{
					apply: slice("one", "true"),
					want: `
						namespace
						reverse 10.244.60.1 one`,
				},
				{
					apply: twoServices,
					want: `
						namespace
						service one headless
						service two headless
						endpoint one 10.244.60.1 http/tcp=8080
						endpoint one 10.244.60.2 http/tcp=8080
						reverse 10.244.60.1 one`,
				},
			},
		},
		{
			name:  "deleted-service",
			addrs: []string{"10.96.43.1", "10.96.43.2"},
			steps: []step{
				{
					apply: clusterIP("gone", "10.96.43.1") + "---" + clusterIP("stays", "10.96.43.2"),
					want: `
						namespace
						service gone cluster-ip 10.96.43.1 /tcp=80
						service stays cluster-ip 10.96.43.2 /tcp=80
						reverse 10.96.43.1 gone
						reverse 10.96.43.2 stays`,
				},
				{
					delete: [][3]string{{"Service", "NAMESPACE", "gone"}},
					want: `
						namespace
						service stays cluster-ip 10.96.43.2 /tcp=80
						reverse 10.96.43.2 stays`,
				},
				{
					apply: clusterIP("heir", "10.96.43.1"),
					want: `
						namespace
						service heir cluster-ip 10.96.43.1 /tcp=80
						service stays cluster-ip 10.96.43.2 /tcp=80
						reverse 10.96.43.1 heir
						reverse 10.96.43.2 stays`,
				},
			},
		},
	}
}

func clusterIP(name, addr string) string {
	return strings.NewReplacer("NAME", name, "SPACE", "NAMESPACE", "ADDR", addr).Replace(`
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: SPACE}
spec:
  clusterIP: ADDR
  ports:
  - port: 80
`)
}
