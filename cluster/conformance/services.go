package conformance

import "github.com/nameplane/nameplane/cluster"

// services are the forms of a Service (Kubernetes DNS specification 1.1.0, sections 2.3 to 2.5).
func services() []scenario {
	return []scenario{
		{
			name:  "cluster-ip",
			addrs: []string{"10.96.40.1", "10.96.40.2", "10.96.40.99"},
			steps: []step{{
				apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  clusterIP: 10.96.40.1
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: dns, port: 53, protocol: UDP}
  - {name: sig, port: 38412, protocol: SCTP}
---
apiVersion: v1
kind: Service
metadata: {name: node, namespace: NAMESPACE}
spec:
  type: NodePort
  clusterIP: 10.96.40.2
  ports:
  - port: 443
`,
				want: `
					namespace
					service web cluster-ip 10.96.40.1 http/tcp=80 dns/udp=53 sig/sctp=38412
					service node cluster-ip 10.96.40.2 /tcp=443
					reverse 10.96.40.1 web
					reverse 10.96.40.2 node`,
			}},
		},
		{
			name:  "dual-stack",
			addrs: []string{"10.96.41.1", "fd00:10:96::41"},
			steps: []step{{
				apply: `
apiVersion: v1
kind: Service
metadata: {name: both, namespace: NAMESPACE}
spec:
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  clusterIP: 10.96.41.1
  clusterIPs: [10.96.41.1, "fd00:10:96::41"]
  ports:
  - {name: http, port: 80}
`,
				want: `
					namespace
					service both cluster-ip 10.96.41.1 fd00:10:96::41 http/tcp=80
					reverse 10.96.41.1 both
					reverse fd00:10:96::41 both`,
			}},
		},
		{
			name: "headless",
			steps: []step{{
				apply: `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: NAMESPACE}
spec:
  clusterIP: None
  ports:
  - {name: pg, port: 5432}
---
apiVersion: v1
kind: Service
metadata: {name: portless, namespace: NAMESPACE}
spec:
  clusterIP: None
`,
				want: `
					namespace
					service db headless pg/tcp=5432
					service portless headless`,
			}},
		},
		{
			name: "external-name",
			steps: []step{
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: NAMESPACE}
spec:
  type: ExternalName
  externalName: my.database.example.com
`,
					want: `
						namespace
						service db external-name to my.database.example.com`,
				},
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: NAMESPACE}
spec:
  type: ExternalName
  externalName: other.example.com
`,
					want: `
						namespace
						service db external-name to other.example.com`,
				},
			},
		},
		{
			name:  "external-ips",
			needs: cluster.Needs{External: true},
			addrs: []string{"10.96.48.1", "192.0.2.43", "192.0.2.44", "2001:db8::43"},
			steps: []step{
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  clusterIP: 10.96.48.1
  externalIPs: [192.0.2.43, "2001:db8::43"]
  ports:
  - {name: http, port: 80}
`,
					want: `
						namespace
						service web cluster-ip 10.96.48.1 outside 192.0.2.43 2001:db8::43 http/tcp=80
						reverse 10.96.48.1 web
						reverse 192.0.2.43 web
						reverse 2001:db8::43 web`,
				},
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  type: LoadBalancer
  clusterIP: 10.96.48.1
  externalIPs: [192.0.2.43]
  ports:
  - {name: http, port: 80}
status:
  loadBalancer:
    ingress:
    - {ip: 192.0.2.44}
    - {hostname: lb.example.org}
`,
					want: `
						namespace
						service web cluster-ip 10.96.48.1 outside 192.0.2.43 192.0.2.44 lb.example.org http/tcp=80
						reverse 10.96.48.1 web
						reverse 192.0.2.43 web
						reverse 192.0.2.44 web`,
				},
			},
		},
		{
			name:  "external-ips-unwanted",
			addrs: []string{"192.0.2.43"},
			steps: []step{{
				apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  clusterIP: 10.96.49.1
  externalIPs: [192.0.2.43]
  ports:
  - {name: http, port: 80}
`,
				want: `
					namespace
					service web cluster-ip 10.96.49.1 http/tcp=80`,
			}},
		},
		{
			name:  "changing-type",
			needs: cluster.Needs{Endpoints: true},
			addrs: []string{"10.96.42.1", "10.244.42.1"},
			steps: []step{
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  clusterIP: 10.96.42.1
  ports:
  - {name: http, port: 80}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports:
- {name: http, port: 8080}
endpoints:
- addresses: [10.244.42.1]
`,
					want: `
						namespace
						service web cluster-ip 10.96.42.1 http/tcp=80
						endpoint web 10.244.42.1 http/tcp=8080
						reverse 10.96.42.1 web
						reverse 10.244.42.1 web`,
				},
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  clusterIP: None
  ports:
  - {name: http, port: 80}
`,
					want: `
						namespace
						service web headless http/tcp=80
						endpoint web 10.244.42.1 http/tcp=8080
						reverse 10.244.42.1 web`,
				},
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  type: ExternalName
  externalName: example.org
`,
					want: `
						namespace
						service web external-name to example.org
						endpoint web 10.244.42.1 http/tcp=8080
						reverse 10.244.42.1 web`,
				},
			},
		},
	}
}
