package manifest

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/conformance"
)

func decode(text string) (*objects, error) {
	d := decoder{needs: cluster.Needs{Endpoints: true, PodNames: true, Zones: true, Pods: true}, log: slog.New(slog.DiscardHandler)}
	return d.file("f.yaml", []byte(text))
}

const header = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n" // three lines

// TestBroken: what is no object breaks the file, and the error names the line.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{name: "syntax", text: "a: b\nc: [\n", want: "f.yaml:2: not YAML: did not find expected node content"},
		{name: "syntax in the second document", text: "# c\n---\n" + header + "---\n\n\nkind: a: b\n", want: "f.yaml:9: not YAML: mapping values are not allowed in this context"},
		{name: "a key twice", text: header + "spec:\n  type: ClusterIP\n  type: NodePort\n", want: `f.yaml:6: not YAML: key "type" already set in map`},
		{name: "no kind", text: "\n# values\nreplicas: 3\n", want: "f.yaml:3: no kind: not a Kubernetes object"},
		{name: "no apiVersion", text: "kind: Service\n", want: "f.yaml:1: Service without apiVersion"},
		{name: "no name", text: "apiVersion: v1\nkind: Service\nmetadata:\n  namespace: x\n", want: "f.yaml:4: Service x/: metadata.name is missing"},
		{name: "not a mapping", text: "---\n- a\n", want: "f.yaml:2: a list, where a mapping is wanted"},
		{name: "a scalar", text: "hello\n", want: "f.yaml:1: a string, where a mapping is wanted"},
		{name: "a number for a list", text: header + "spec:\n  clusterIP: None\n  ports: 80\n", want: "f.yaml:6: Service default/web: spec.ports: a number, where a list is wanted"},
		{name: "text for a number", text: header + "spec:\n  ports:\n  - port: 80\n  - name: x\n    port: http\n", want: "f.yaml:8: Service default/web: spec.ports[1].port: a string, where a whole number is wanted"},
		{name: "a number for text", text: header + "spec:\n  selector:\n    app: 1\n", want: "f.yaml:6: Service default/web: spec.selector.app: a number, where a string is wanted"},
		{name: "a time that is none", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: p, deletionTimestamp: soon}\n", want: `f.yaml:1: Pod default/p: parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"`},
		{
			name: "in a list",
			text: "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec:\n    ports: {}\n",
			want: "f.yaml:11: Service default/b: spec.ports: a mapping, where a list is wanted",
		},
		{name: "a list in a list", text: "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: List}\n", want: "f.yaml:4: a list within a list"},
		{name: "JSON", text: "{\"apiVersion\": \"v1\",\n\"kind\": \"Service\",\n\"metadata\": {\"name\": \"a\"},\n\"spec\": {\n\"ports\": true}}", want: "f.yaml:5: Service default/a: spec.ports: true or false, where a list is wanted"},
		{name: "several", text: "a: 1\n---\nb: 1\n", want: "f.yaml:1: no kind: not a Kubernetes object; f.yaml:3: no kind: not a Kubernetes object"},
		{name: "too many", text: strings.Repeat("---\na: 1\n", 20), want: "15 more errors"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(test.text)
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error(); got != test.want && !strings.HasSuffix(got, "; "+test.want) {
				t.Errorf("error\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestProblems: what breaks a rule of the API costs the object, or the part, but not the file.
func TestProblems(t *testing.T) {
	t.Parallel()
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus:\n"
	const slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n"
	long := strings.Repeat("a", 64)
	for _, test := range []struct {
		name, text string
		want       []string
		view       string // besides the namespace
	}{
		{name: "cluster IP", text: header + "spec:\n  clusterIP: 10.96.0.300\n", want: []string{`f.yaml:5: Service default/web: spec.clusterIP "10.96.0.300": not an IP address; the service is left out`}},
		{name: "empty cluster IP in the list", text: header + "spec:\n  clusterIPs: [\"\"]\n", want: []string{`f.yaml:5: Service default/web: spec.clusterIPs "": not an IP address; the service is left out`}},
		{
			name: "cluster IPs that differ", text: header + "spec:\n  clusterIPs: [10.96.0.1]\n  clusterIP: 10.96.0.2\n",
			want: []string{`f.yaml:6: Service default/web: spec.clusterIP "10.96.0.2" is not the first of spec.clusterIPs; those count`},
			view: "service web cluster-ip 10.96.0.1",
		},
		{
			name: "a cluster IP twice", text: header + "spec: {clusterIP: 10.96.0.1}\n---\n" + strings.Replace(header, "web", "two", 1) + "spec: {clusterIP: 10.96.0.1}\n",
			want: []string{"f.yaml:1: Service default/web: cluster IP 10.96.0.1 is the one of Service default/two (f.yaml:6) too; both are served"},
			view: "service two cluster-ip 10.96.0.1\nservice web cluster-ip 10.96.0.1",
		},
		{name: "64 letters", text: strings.Replace(header, "web", long, 1), want: []string{"f.yaml:3: Service default/" + long + ": name and namespace have to be DNS labels of 1 to 63 letters; the service is left out"}},
		{name: "64 letters of a namespace", text: "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + long, want: []string{"f.yaml:4: Namespace " + long + ": not a DNS label of 1 to 63 letters; the namespace is left out"}},
		{name: "type", text: header + "spec:\n  type: Headless\n", want: []string{`f.yaml:5: Service default/web: spec.type "Headless": not one of ClusterIP, NodePort, LoadBalancer, ExternalName; the service is left out`}},
		{name: "no external name", text: header + "spec:\n  type: ExternalName\n", want: []string{"f.yaml:5: Service default/web: type ExternalName without spec.externalName; the service is left out"}},
		{
			name: "ports", text: header + "spec:\n  clusterIP: None\n  ports:\n  - port: 0\n  - {name: good, port: 80}\n  - port: 70000\n  - {port: 1, protocol: tcp}\n",
			want: []string{
				"f.yaml:7: Service default/web: spec.ports[0]: port 0 is not between 1 and 65535; it is left out",
				"f.yaml:9: Service default/web: spec.ports[2]: port 70000 is not between 1 and 65535; it is left out",
				`f.yaml:10: Service default/web: spec.ports[3]: protocol "tcp" is not one of TCP, UDP, SCTP; the port is left out`,
			},
			view: "service web headless good/tcp=80",
		},
		{
			name: "a field that is not known", text: header + "spec:\n  clusterIP: None\n  clusterIp: 10.96.0.1\n",
			want: []string{`f.yaml:6: Service default/web: unknown field "spec.clusterIp"`},
			view: "service web headless",
		},
		{
			name: "addresses of a slice", text: header + "spec: {clusterIP: None}\n---\n" + slice + "endpoints:\n- addresses: [10.0.0.1, web.example]\n- addresses: [\"fd00::1\"]\n- addresses: []\n",
			want: []string{
				`f.yaml:11: EndpointSlice default/s: endpoints[0].addresses[1] "web.example": not an IP address; it is left out`,
				`f.yaml:12: EndpointSlice default/s: endpoints[1].addresses[0] "fd00::1": not of the slice's addressType IPv4; it is left out`,
			},
			view: "endpoint web 10.0.0.1\nservice web headless",
		},
		{
			name: "a slice of no service", text: "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s\n",
			want: []string{`f.yaml:4: EndpointSlice default/s: label kubernetes.io/service-name "": not the name of a service; the slice is left out`},
		},
		{name: "pod IP", text: pod + "  podIP: 10.0.0\n", want: []string{`f.yaml:5: Pod default/p: status.podIP "10.0.0": not an IP address; it is left out`}},
		{
			name: "Endpoints", text: "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\nsubsets:\n- addresses:\n  - ip: here\n  - ip: 192.0.2.1\n---\n" + header + "spec: {clusterIP: None}\n",
			want: []string{`f.yaml:6: Endpoints default/web: subsets[0].addresses "here": not an IP address; it is left out`},
			view: "endpoint web 192.0.2.1\nservice web headless",
		},
		{name: "kinds that do not matter", text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: 7\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\n"},
		{name: "nothing", text: "# only comments\n---\n---\nnull\n---\n{apiVersion: v1, kind: List}\n---\napiVersion: v1\nkind: List\nitems: []\n...\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			read, err := decode(test.text)
			if err != nil {
				t.Fatal(err)
			}
			store, w := cluster.NewStore()
			r := everything()
			a := applier{writer: w, log: slog.New(slog.DiscardHandler), rules: r}
			a.all([]*objects{read})
			if diff := cmp.Diff(test.want, r.derive([]*objects{read}).problems); diff != "" {
				t.Error("problems (- want, + got)\n", diff)
			}
			if got, want := conformance.View(store, "default"), strings.TrimSpace(sortedLines("namespace\n"+test.view)); got != want {
				t.Errorf("the store holds\n%s\nwant\n%s", got, want)
			}
			if got, want := store.Status().Skipped, uint64(len(test.want)); got != want {
				t.Errorf("%d counted, want %d", got, want)
			}
		})
	}
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestSplit(t *testing.T) {
	t.Parallel()
	text := "# head\n---\na: 1\n--- # comment\nb: |\n  ---\n  text\n---c: no mark\n... \n%YAML 1.2\n--- {d: 1}\n---\n\r\n---\r\ne: 1"
	type cut struct {
		Line int
		Text string
	}
	var got []cut
	for _, d := range split("f", []byte(text)) {
		got = append(got, cut{d.begins(), string(d.text)})
	}
	want := []cut{{3, "a: 1\n"}, {5, "b: |\n  ---\n  text\n---c: no mark\n"}, {11, " {d: 1}\n"}, {15, "e: 1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(- want, + got)\n", diff)
	}
}

// FuzzManifest: no bytes make it panic, and every error and every problem names file and line.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		header, header + "spec: {ports: [{port: 99999}], clusterIPs: [x]}\n---\n[", "{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [1]}",
		"apiVersion: v1\nkind: Pod\nmetadata: &a {name: p}\nspec: {hostname: *a}\n", "a: &a [*a]", "--- !!binary x\n", "%TAG\n", "\xff\xfe", "kind: {}",
		"apiVersion: v1\nkind: Endpoints\nmetadata: {name: e}\nsubsets: [{addresses: [{ip: 1.2.3.4}], ports: [{port: -1}]}]\n",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: {kubernetes.io/service-name: web}}\nendpoints: [{addresses: [a]}, null]\nports: [null, {}]\n",
		header + "spec: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 7, loadBalancerSourceRanges: [x], ports: [{port: 1, nodePort: 7}, {port: 1, nodePort: -7}]}\n",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, labels: {kubernetes.io/service-name: web}}\nendpoints: [{addresses: [1.2.3.4, 1.2.3.4], conditions: {ready: false}, hints: {forZones: [null, {name: a}]}}]\n",
		"apiVersion: v1\nkind: Node\nmetadata: {name: p}\nspec: {taints: [null]}\nstatus: {addresses: [null, {type: InternalIP, address: x}]}\n",
	} {
		f.Add([]byte(seed))
	}
	for kind, spec := range map[string]string{
		"multicluster.x-k8s.io/v1alpha1\nkind: ServiceImport": "{type: ClusterSetIP, ips: [x, 1.2.3.4], ports: [null, {port: 99999}]}",
		"networking.k8s.io/v1\nkind: Ingress":                 "{rules: [{host: a..b}, {}], tls: [{hosts: [x.y]}]}",
		"gateway.networking.k8s.io/v1\nkind: Gateway":         "{listeners: [null, {hostname: a}]}\nstatus: {addresses: [{value: x}, 5]}",
		"gateway.networking.k8s.io/v1\nkind: HTTPRoute":       "{hostnames: [a, 5], parentRefs: [null, {name: a, kind: b}]}",
	} {
		f.Add([]byte("apiVersion: " + kind + "\nmetadata: {name: x}\nspec: " + spec))
	}
	place := regexp.MustCompile(`^f\.yaml:[1-9][0-9]*: `)
	r := everything()
	r.needs.External, r.needs.Forwarding, r.needs.Node = true, true, "p"
	r.needs.Imports, r.needs.Ingresses, r.needs.Gateways = true, true, true
	r.cidrs = cidrs("10.0.0.0/24")
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + 1
		read, err := decoder{needs: r.needs, log: slog.New(slog.DiscardHandler)}.file("f.yaml", text)
		if err != nil {
			if !place.MatchString(err.Error()) {
				t.Errorf("no place in %q", err)
			}
			return
		}
		state := r.derive([]*objects{read})
		for _, problem := range state.problems {
			if !place.MatchString(problem) {
				t.Errorf("no place in %q", problem)
			}
		}
		for _, s := range read.services {
			if !place.MatchString(s.at+": ") || strings.Count(s.at, ":") != 1 {
				t.Errorf("place %q in %d lines", s.at, lines)
			}
		}
		_, w := cluster.NewStore()
		a := applier{writer: w, log: slog.New(slog.DiscardHandler), rules: r}
		a.all([]*objects{read})
		a.all([]*objects{read})
	})
}
