package conformance

import (
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// balanced uses what a service of type LoadBalancer can have, and one of each other type stands beside it.
const balanced = `
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: NAMESPACE
  labels: {service.kubernetes.io/service-proxy-name: nameplane}
spec:
  type: LoadBalancer
  clusterIP: 10.96.50.1
  externalIPs: [192.0.2.50]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Local
  healthCheckNodePort: 32751
  loadBalancerSourceRanges: [" 198.51.100.0/24 ", 203.0.113.0/24]
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 600}}
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: 32750}
  - {name: dns, port: 53, protocol: UDP, nodePort: 32752}
status:
  loadBalancer:
    ingress:
    - {ip: 192.0.2.51}
    - {ip: 192.0.2.52, ipMode: VIP}
    - {ip: 192.0.2.53, ipMode: Proxy}
    - {hostname: lb.example.org}
---
apiVersion: v1
kind: Service
metadata: {name: node, namespace: NAMESPACE}
spec:
  type: NodePort
  clusterIP: 10.96.50.2
  sessionAffinity: ClientIP
  ports:
  - {port: 443, nodePort: 32753}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: NAMESPACE}
spec:
  clusterIP: 10.96.50.3
  ports:
  - {port: 80}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: NAMESPACE}
spec:
  clusterIP: None
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: NAMESPACE}
spec:
  type: ExternalName
  externalName: example.org
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: NAMESPACE, labels: {service.kubernetes.io/service-proxy-name: ""}}
spec:
  clusterIP: 10.96.50.4
  ports:
  - {port: 80}
---
apiVersion: v1
kind: Service
metadata: {name: passed-over, namespace: NAMESPACE, labels: {service.kubernetes.io/headless: ""}}
spec:
  clusterIP: 10.96.50.5
  ports:
  - {port: 80}
`

const balancedNames = `
	namespace
	service alias external-name to example.org
	service headless headless
	service nobody cluster-ip 10.96.50.4 /tcp=80
	service node cluster-ip 10.96.50.2 /tcp=443
	service passed-over cluster-ip 10.96.50.5 /tcp=80
	service plain cluster-ip 10.96.50.3 /tcp=80
	service web cluster-ip 10.96.50.1 http/tcp=80 dns/udp=53`

// forwardings are what a Service says of its virtual IPs.
func forwardings() []scenario {
	return []scenario{
		{
			name:  "forwarding",
			needs: cluster.Needs{Forwarding: true},
			steps: []step{
				{
					apply: balanced,
					want: balancedNames + `
						forwarding node node-ports 32753 affinity 3h0m0s
						forwarding plain
						forwarding web proxy nameplane balancer 192.0.2.51 192.0.2.52 external 192.0.2.50 from 198.51.100.0/24 203.0.113.0/24 ` +
						`node-ports 32750 32752 health 32751 affinity 10m0s internal-local external-local`,
				},
				{
					apply: `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  type: LoadBalancer
  clusterIP: 10.96.50.1
  allocateLoadBalancerNodePorts: false
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: dns, port: 53, protocol: UDP}
status:
  loadBalancer:
    ingress:
    - {ip: 192.0.2.54}
`,
					want: balancedNames + `
						forwarding node node-ports 32753 affinity 3h0m0s
						forwarding plain
						forwarding web balancer 192.0.2.54`,
				},
			},
		},
		{
			name: "forwarding-unneeded",
			steps: []step{{
				apply: clusterIP("web", "10.96.51.1"),
				want: `
					namespace
					service web cluster-ip 10.96.51.1 /tcp=80`,
			}},
		},
	}
}

// conditions has the endpoints of a service in all states, hints included; only the first address of one counts for
// virtual IPs, and an address may come twice.
const conditions = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  clusterIP: 10.96.52.1
  ports:
  - {name: http, port: 80}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-a
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports:
- {name: http, port: 8080}
endpoints:
- addresses: [10.244.52.1, 10.244.52.9]
  nodeName: node-a
  zone: Zone-A
  hints: {forZones: [{name: Zone-A}, {name: zone-b}], forNodes: [{name: node-a}]}
- addresses: [10.244.52.2]
  nodeName: node-b
  conditions: {ready: false}
- addresses: [10.244.52.3]
  conditions: {ready: false, serving: true, terminating: true}
- addresses: [10.244.52.4]
  conditions: {ready: true, serving: false, terminating: false}
- addresses: [10.244.52.5]
  conditions: {ready: true, terminating: true}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-b
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports:
- {name: http, port: 9090}
endpoints:
- addresses: [10.244.52.1]
  conditions: {ready: false, serving: false, terminating: true}
- addresses: [10.244.52.6]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-six
  namespace: NAMESPACE
  labels: {kubernetes.io/service-name: web}
addressType: IPv6
ports:
- {name: http, port: 8080}
endpoints:
- addresses: ["fd00:10:244::52"]
  conditions: {ready: false}
`

const conditionsNames = `
	namespace
	service web cluster-ip 10.96.52.1 http/tcp=80
	forwarding web
	endpoint web 10.244.52.1 http/tcp=8080
	endpoint web 10.244.52.4 http/tcp=8080
	endpoint web 10.244.52.5 http/tcp=8080
	endpoint web 10.244.52.6 http/tcp=9090
	endpoint web 10.244.52.9 http/tcp=8080`

// backendSlices are endpoints as virtual IPs need them.
func backendSlices() []scenario {
	return []scenario{
		{
			name:  "backends",
			needs: cluster.Needs{Forwarding: true},
			steps: []step{
				{
					apply: conditions,
					want: conditionsNames + `
						backend web 10.244.52.1 node node-a zone Zone-A for-nodes node-a for-zones Zone-A zone-b http/tcp=8080
						backend web 10.244.52.1 unready unserving terminating http/tcp=9090
						backend web 10.244.52.2 node node-b unready unserving http/tcp=8080
						backend web 10.244.52.3 unready terminating http/tcp=8080
						backend web 10.244.52.4 unserving http/tcp=8080
						backend web 10.244.52.5 terminating http/tcp=8080
						backend web 10.244.52.6 http/tcp=9090
						backend web fd00:10:244::52 unready unserving http/tcp=8080`,
				},
				{
					delete: [][3]string{{"EndpointSlice", "NAMESPACE", "web-a"}, {"EndpointSlice", "NAMESPACE", "web-six"}},
					want: `
						namespace
						service web cluster-ip 10.96.52.1 http/tcp=80
						forwarding web
						endpoint web 10.244.52.6 http/tcp=9090
						backend web 10.244.52.1 unready unserving terminating http/tcp=9090
						backend web 10.244.52.6 http/tcp=9090`,
				},
				{
					delete: [][3]string{{"EndpointSlice", "NAMESPACE", "web-b"}},
					want: `
						namespace
						service web cluster-ip 10.96.52.1 http/tcp=80
						forwarding web`,
				},
			},
		},
		{
			name:  "backends-unneeded",
			needs: cluster.Needs{Endpoints: true},
			steps: []step{{
				apply: strings.ReplaceAll(conditions, "10.96.52.1", "10.96.52.2"),
				want: `
					namespace
					service web cluster-ip 10.96.52.2 http/tcp=80
					endpoint web 10.244.52.1 http/tcp=8080
					endpoint web 10.244.52.4 http/tcp=8080
					endpoint web 10.244.52.5 http/tcp=8080
					endpoint web 10.244.52.6 http/tcp=9090
					endpoint web 10.244.52.9 http/tcp=8080`,
			}},
		},
	}
}

// theNode is named as the scenario's namespace, since nodes are in none.
const theNode = `
apiVersion: v1
kind: Node
metadata: {name: NAMESPACE, labels: {topology.kubernetes.io/zone: Zone-A}}
status:
  addresses:
  - {type: Hostname, address: NAMESPACE}
  - {type: ExternalIP, address: 192.0.2.60}
  - {type: ExternalIP, address: "2001:db8::60"}
  - {type: InternalIP, address: 10.0.0.60}
---
apiVersion: v1
kind: Node
metadata: {name: NAMESPACE-other}
status:
  addresses:
  - {type: InternalIP, address: 10.0.0.61}
`

// nodes are the one that this process runs on, if it is known, and no other.
func nodes() []scenario {
	return []scenario{
		{
			name:  "node",
			needs: cluster.Needs{Node: "NAMESPACE"},
			steps: []step{
				{
					apply: clusterIP("web", "10.96.53.1"), // a node that is not there keeps nothing away
					want: `
						namespace
						service web cluster-ip 10.96.53.1 /tcp=80`,
				},
				{
					apply: theNode,
					want: `
						namespace
						service web cluster-ip 10.96.53.1 /tcp=80
						node NAMESPACE zone Zone-A at 10.0.0.60 2001:db8::60`,
				},
				{
					apply: `
apiVersion: v1
kind: Node
metadata: {name: NAMESPACE}
spec:
  taints:
  - {key: ToBeDeletedByClusterAutoscaler, value: "1700000000", effect: NoSchedule}
status:
  addresses:
  - {type: ExternalIP, address: 192.0.2.60}
`,
					want: `
						namespace
						service web cluster-ip 10.96.53.1 /tcp=80
						node NAMESPACE at 192.0.2.60 leaving`,
				},
				{
					delete: [][3]string{{"Node", "", "NAMESPACE"}, {"Node", "", "NAMESPACE-other"}},
					want: `
						namespace
						service web cluster-ip 10.96.53.1 /tcp=80`,
				},
			},
		},
		{
			name: "node-unneeded",
			steps: []step{{
				apply: theNode + "---" + clusterIP("web", "10.96.54.1"),
				want: `
					namespace
					service web cluster-ip 10.96.54.1 /tcp=80`,
			}},
		},
	}
}
