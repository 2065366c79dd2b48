package manifest

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/conformance"
)

func cidrs(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func everything() rules {
	return rules{needs: cluster.Needs{Endpoints: true, PodNames: true, Zones: true, Pods: true}, labels: labels.Everything(), namespaceLabels: labels.Everything()}
}

// load reads one text and brings it into a Store.
func load(t testing.TB, r rules, texts ...string) (*cluster.Store, []string) {
	t.Helper()
	var files []*objects
	for i, text := range texts {
		objects, err := decoder{needs: r.needs, log: slog.New(slog.DiscardHandler)}.file(fmt.Sprintf("%d.yaml", i), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, objects)
	}
	store, w := cluster.NewStore()
	a := applier{writer: w, log: slog.New(slog.DiscardHandler), rules: r}
	a.all(files)
	return store, r.derive(files).problems
}

// forwarded are the rules of a store that virtual IPs are made of, on node-1.
func forwarded() rules {
	r := everything()
	r.needs = cluster.Needs{Endpoints: true, Forwarding: true, Node: "node-1"}
	return r
}

// TestDerive reads testdata/derive: each file has manifests and, in comments that begin with "#=", what a Store holds of
// the namespace default; "#!" is a problem.
func TestDerive(t *testing.T) {
	t.Parallel()
	derive(t, "testdata/derive/*.yaml", everything())
}

// TestDeriveForwarding is the same for virtual IPs, in testdata/forwarding.
func TestDeriveForwarding(t *testing.T) {
	t.Parallel()
	derive(t, "testdata/forwarding/*.yaml", forwarded())
}

func derive(t *testing.T, pattern string, r rules) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			store, problems := load(t, r, string(text))
			var want, wantProblems []string
			for line := range strings.Lines(string(text)) {
				if rest, ok := strings.CutPrefix(line, "#= "); ok {
					want = append(want, strings.TrimSpace(rest))
				} else if rest, ok := strings.CutPrefix(line, "#! "); ok {
					wantProblems = append(wantProblems, strings.TrimSpace(rest))
				}
			}
			slices.Sort(want)
			if diff := cmp.Diff(strings.Join(want, "\n"), conformance.View(store, "default")); diff != "" {
				t.Error("(- want, + got)\n", diff)
			}
			if diff := cmp.Diff(wantProblems, problems); diff != "" {
				t.Error("problems (- want, + got)\n", diff)
			}
		})
	}
}

func clusterIP(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 80}]}\n", name)
	}
	return b.String()
}

func given(t *testing.T, r rules, text string) map[string]string {
	t.Helper()
	store, problems := load(t, r, text)
	if problems != nil {
		t.Fatal(problems)
	}
	out := map[string]string{}
	store.Services(func(s *cluster.Service) {
		for _, a := range s.ClusterIPs {
			out[s.Name()] += a.String()
		}
	})
	return out
}

// TestAddressesAreStable: a thousand services in a network of a few thousand addresses, half of them taken away: nearly
// all others keep their address, though many names fall on one address.
func TestAddressesAreStable(t *testing.T) {
	t.Parallel()
	r := everything()
	r.cidrs = cidrs("10.20.0.0/20")
	var all, half []string
	for i := range 1000 {
		all = append(all, fmt.Sprint("service-", i))
		if i%2 == 0 {
			half = append(half, fmt.Sprint("service-", i))
		}
	}
	before, after := given(t, r, clusterIP(all...)), given(t, r, clusterIP(half...))
	seen, moved := map[string]bool{}, 0
	for name, addr := range before {
		if seen[addr] || !r.cidrs[0].Contains(netip.MustParseAddr(addr)) {
			t.Fatalf("%s has %s, twice or outside the network", name, addr)
		}
		seen[addr] = true
		if now, ok := after[name]; ok && now != addr {
			moved++
		}
	}
	if moved > 100 {
		t.Errorf("%d of 500 services moved", moved)
	}
	if diff := cmp.Diff(before, given(t, r, clusterIP(backward(all)...))); diff != "" {
		t.Error("the order in the files counts:", diff)
	}
}

// TestAddressesOfSmallNetworks: every usable address is given, each once, and then it is said that there is none left.
func TestAddressesOfSmallNetworks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cidr string
		want int
	}{
		{cidr: "10.0.0.0/28", want: 14}, {cidr: "10.0.0.0/30", want: 2}, {cidr: "10.0.0.0/31"}, {cidr: "10.0.0.0/32"},
		{cidr: "10.0.0.0/24", want: 239}, {cidr: "fd00::/124", want: 14}, {cidr: "fd00::/128"},
	} {
		pool := newAddresses(cidrs(test.cidr))
		got := map[cluster.Addr]bool{}
		for i := range 300 {
			addr, ok := pool.take(fmt.Sprint("n/", i), pool.primary)
			if !ok {
				break
			}
			if got[addr] || !netip.MustParsePrefix(test.cidr).Contains(addr.Netip()) {
				t.Fatalf("%s: %v twice or outside", test.cidr, addr)
			}
			got[addr] = true
		}
		if len(got) != test.want {
			t.Errorf("%s: %d addresses, want %d", test.cidr, len(got), test.want)
		}
	}
}

// TestExplicitAddressesComeFirst: an address that a service names is never given to another.
func TestExplicitAddressesComeFirst(t *testing.T) {
	t.Parallel()
	r := everything()
	taken := given(t, r, clusterIP("web"))["web"]
	both := given(t, r, clusterIP("web")+"---\napiVersion: v1\nkind: Service\nmetadata: {name: zzz}\nspec: {clusterIP: "+taken+"}\n")
	if both["zzz"] != taken || both["web"] == taken || both["web"] == "" {
		t.Errorf("%s was free; now %v", taken, both)
	}
}

// TestDualStackByConfiguration: PreferDualStack is dual-stack where the network is.
func TestDualStackByConfiguration(t *testing.T) {
	t.Parallel()
	text := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ipFamilyPolicy: PreferDualStack}\n"
	for _, test := range []struct {
		name  string
		cidrs []netip.Prefix
		want  []bool // Is4 of each address
	}{
		{name: "by default", want: []bool{true}},
		{name: "IPv4", cidrs: cidrs("10.1.0.0/16"), want: []bool{true}},
		{name: "IPv6", cidrs: cidrs("fd01::/112"), want: []bool{false}},
		{name: "both", cidrs: cidrs("10.1.0.0/16", "fd01::/112"), want: []bool{true, false}},
		{name: "both, IPv6 first", cidrs: cidrs("fd01::/112", "10.1.0.0/16"), want: []bool{false, true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := everything()
			r.cidrs = test.cidrs
			store, _ := load(t, r, text)
			var got []bool
			store.Services(func(s *cluster.Service) {
				for i := range s.ClusterIPs {
					got = append(got, s.ClusterIPs[i].Is4())
				}
			})
			if !slices.Equal(got, test.want) {
				t.Errorf("IPv4: %v, want %v", got, test.want)
			}
		})
	}
}

// TestDefinedTwice: the later file counts, and it is told.
func TestDefinedTwice(t *testing.T) {
	t.Parallel()
	one := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: ExternalName, externalName: one.example}\n"
	store, problems := load(t, everything(), "\n"+one, strings.Replace(one, "one", "two", 1))
	if got := conformance.View(store, "default"); !strings.Contains(got, "to two.example") || strings.Contains(got, "one.example") {
		t.Error(got)
	}
	if want := []string{"0.yaml:2: Service default/web: is defined again at 1.yaml:1, which counts"}; !slices.Equal(problems, want) {
		t.Errorf("problems %q", problems)
	}
}

// TestLargeFile: ten thousand documents are read in well under two seconds.
func TestLargeFile(t *testing.T) {
	var b bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web-%d\n  namespace: ns-%d\nspec:\n  selector:\n    app: web-%[1]d\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n", i, i%20)
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web-%d\n  namespace: ns-%d\n  labels:\n    app: web-%[1]d\nspec:\n  containers:\n  - name: main\n    ports:\n    - name: http\n      containerPort: 8080\nstatus:\n  podIP: 10.244.%d.%d\n", i, i%20, i/256, i%256)
	}
	begin := time.Now()
	store, problems := load(t, everything(), b.String())
	took := time.Since(begin)
	endpoints := 0
	store.Services(func(s *cluster.Service) { endpoints += len(s.Endpoints.List) })
	if endpoints != 5000 || problems != nil {
		t.Errorf("%d endpoints, %d problems", endpoints, len(problems))
	}
	t.Logf("%d MB in %v", b.Len()>>20, took)
	if limit := 20 * time.Second; took > limit { // far above what it takes, for busy machines and the race detector
		t.Errorf("took %v", took)
	}
}

func backward(list []string) []string {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}

// TestLabelsOfDerivedSlices: a derived slice has its service's labels, as the controller's have, so a selector takes
// both or none; the pods' labels don't matter to it.
func TestLabelsOfDerivedSlices(t *testing.T) {
	t.Parallel()
	const text = `
apiVersion: v1
kind: ServiceList
items:
- {metadata: {name: in, labels: {tier: front}}, spec: {clusterIP: None, selector: {app: web}}}
- {metadata: {name: out}, spec: {clusterIP: None, selector: {app: web}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
status: {podIP: 10.244.0.1}
`
	r := everything()
	var err error
	if r.labels, err = labels.Parse("tier=front"); err != nil {
		t.Fatal(err)
	}
	store, _ := load(t, r, text)
	want := "endpoint in 10.244.0.1 pod web\nnamespace\nreverse 10.244.0.1 in\nservice in headless"
	if got := conformance.View(store, "default", "10.244.0.1"); got != want {
		t.Errorf("the store holds\n%s\nwant\n%s", got, want)
	}
}
