package deploy

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin/standard"
	"github.com/nameplane/nameplane/server"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	baseRole     = "base/cluster-role.yaml"
	corefileMap  = "components/corefile/config-map.yaml"
	nodeLocalMap = "overlays/nodelocal/config-map.yaml"
	// upstreamEnv is how Kubernetes names the address of the Service kube-dns-upstream.
	upstreamEnv = "KUBE_DNS_UPSTREAM_SERVICE_HOST"
)

// corefileOf is the Corefile in a ConfigMap.
func corefileOf(t *testing.T, path string) string {
	t.Helper()
	text := load[corev1.ConfigMap](t, path).Data["Corefile"]
	if text == "" {
		t.Fatalf("%s: no Corefile", path)
	}
	return text
}

func parse(t *testing.T, text string) *corefile.File {
	t.Helper()
	file, err := corefile.Parse("Corefile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// build makes a server of a Corefile, without starting it, and returns what it wants to know of a cluster.
func build(t *testing.T, text string) (cluster.Needs, bool) {
	t.Helper()
	var needs cluster.Needs
	asked := false
	pool := cluster.NewPool(func(_ cluster.Origin, n cluster.Needs, _ cluster.Telemetry) (cluster.Source, error) {
		needs, asked = needs.Union(n), true
		return unread{}, nil
	}, nil)
	if _, err := server.New(parse(t, text), server.Options{Specs: standard.List(pool)}); err != nil {
		t.Fatal(err)
	}
	return needs, asked
}

// unread is a source that nobody starts.
type unread struct{}

func (unread) Run(context.Context, *cluster.Writer) error { return nil }
func (unread) String() string                             { return "https://192.0.2.1:6443" }

// rules are the rights that needs ask for: namespaces and services always, the others when they are read.
func rules(needs cluster.Needs) []rbacv1.PolicyRule {
	verbs := []string{"list", "watch"}
	all := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces", "services"}, Verbs: verbs}}
	if needs.Endpoints {
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: verbs})
	}
	if needs.Node != "" {
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: verbs})
	}
	if needs.Pods {
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: verbs})
	}
	if needs.Imports {
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{"multicluster.x-k8s.io"}, Resources: []string{"serviceimports"}, Verbs: verbs})
	}
	if needs.Ingresses {
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses"}, Verbs: verbs})
	}
	if needs.Gateways {
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{"gateway.networking.k8s.io"}, Resources: []string{"gateways", "httproutes"}, Verbs: verbs})
	}
	return all
}

// grants is the one rule that a component adds to the role.
func grants(t *testing.T, name string) (rule rbacv1.PolicyRule) {
	t.Helper()
	component := load[kustomization](t, "components/"+name+"/kustomization.yaml")
	operations := parsePatch(t, "components/"+name, []byte(component.Patches[0].Patch))
	text, err := yaml.Marshal(operations[0].Value)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &rule)
	}
	if err != nil || len(operations) != 1 || operations[0].Path != "/rules/-" {
		t.Fatalf("the component %s is not one rule more: %+v, %v", name, operations, err)
	}
	return rule
}

// The rights are those that the Corefile makes the program ask for, no more and no less; what not every Corefile reads comes
// with components.
func TestRights(t *testing.T) {
	role := load[rbacv1.ClusterRole](t, baseRole)
	stock := corefileOf(t, corefileMap)
	verified := strings.Replace(stock, "pods insecure", "pods verified", 1)
	if verified == stock {
		t.Fatal("the Corefile has no line \"pods insecure\"")
	}
	forwarders := forwarderCorefiles(t)
	imported := strings.Replace(stock, "kubernetes cluster.local", "kubernetes cluster.local clusterset.local", 1)
	imported = strings.Replace(imported, "pods insecure", "multicluster clusterset.local", 1)
	external := func(kind string) string {
		return strings.Replace(stock, "kubernetes ", "k8s_external example.org {\n hosts "+kind+"\n}\nkubernetes ", 1)
	}
	with := func(component string) []rbacv1.PolicyRule {
		return append(slices.Clone(role.Rules), grants(t, component))
	}
	for _, test := range []struct {
		name, corefile string
		granted        []rbacv1.PolicyRule
	}{
		{name: "as installed", corefile: stock, granted: role.Rules},
		{name: "pods verified", corefile: verified, granted: with("pods-verified")},
		{name: "multicluster", corefile: imported, granted: with("multicluster")},
		{name: "hosts of Ingresses", corefile: external("ingress"), granted: with("hosts-ingress")},
		{name: "hosts of Gateways", corefile: external("gateway"), granted: with("hosts-gateway")},
		{name: "forwarder", corefile: forwarders["forwarder"], granted: load[rbacv1.ClusterRole](t, forwarderRole).Rules},
		{name: "forwarder of all services", corefile: forwarders["forwarder-all"], granted: load[rbacv1.ClusterRole](t, forwarderRole).Rules},
	} {
		t.Run(test.name, func(t *testing.T) {
			needs, asked := build(t, test.corefile)
			if !asked {
				t.Fatal("the Corefile reads no cluster")
			}
			if diff := cmp.Diff(rules(needs), test.granted); diff != "" {
				t.Errorf("rights that are needed (-), granted (+):\n%s", diff)
			}
		})
	}
}

// The binding gives the role to the account that the pods run as, in the namespace that they run in.
func TestBinding(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dir       string
		namespace string // of the pods
		account   string // of the pods
	}{
		{dir: "base", namespace: deployment(t).Namespace, account: deployment(t).Spec.Template.Spec.ServiceAccountName},
		{dir: "overlays/forwarder", namespace: forwarder(t).Namespace, account: forwarder(t).Spec.Template.Spec.ServiceAccountName},
	} {
		role := load[rbacv1.ClusterRole](t, test.dir+"/cluster-role.yaml")
		binding := load[rbacv1.ClusterRoleBinding](t, test.dir+"/cluster-role-binding.yaml")
		account := load[corev1.ServiceAccount](t, test.dir+"/service-account.yaml")
		want := rbacv1.ClusterRoleBinding{
			TypeMeta: binding.TypeMeta, ObjectMeta: binding.ObjectMeta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: account.Name, Namespace: account.Namespace}},
		}
		if diff := cmp.Diff(want, *binding); diff != "" {
			t.Errorf("%s: %s", test.dir, diff)
		}
		if test.namespace != account.Namespace || test.account != account.Name {
			t.Errorf("%s: pods run as %s/%s", test.dir, test.namespace, test.account)
		}
	}
}

// The node's cache reads no cluster, so its account gets no token.
func TestNodeLocalCorefile(t *testing.T) {
	t.Setenv(upstreamEnv, "10.96.0.77")
	text := corefileOf(t, nodeLocalMap)
	if _, asked := build(t, text); asked {
		t.Error("the Corefile reads a cluster, and the account has no rights")
	}
	forwards := 0
	for _, block := range parse(t, text).Blocks {
		for _, d := range find(block, "forward") {
			if d.Args[1].Text == "10.96.0.77" {
				forwards++
			}
		}
	}
	if forwards != 3 {
		t.Errorf("%d blocks ask the cluster's DNS, want those of the cluster's domain and of the two reverse zones", forwards)
	}
	service := load[corev1.Service](t, "overlays/nodelocal/upstream.yaml")
	if env := strings.ToUpper(strings.ReplaceAll(service.Name, "-", "_")) + "_SERVICE_HOST"; env != upstreamEnv {
		t.Errorf("the Service %s appears as %s", service.Name, env)
	}
	if diff := cmp.Diff(load[corev1.Service](t, "base/service.yaml").Spec.Selector, service.Spec.Selector); diff != "" {
		t.Errorf("the upstream is not what kube-dns selects:\n%s", diff)
	}
	account := load[corev1.ServiceAccount](t, "overlays/nodelocal/service-account.yaml")
	if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
		t.Error("a token is mounted")
	}
}

// A Service that is not there yet leaves its variable empty, and the program ends with the line; the next start sees it.
func TestNodeLocalWithoutUpstream(t *testing.T) {
	t.Setenv(upstreamEnv, "")
	_, err := server.New(parse(t, corefileOf(t, nodeLocalMap)), server.Options{Specs: standard.List(nil)})
	if err == nil || !strings.Contains(err.Error(), "Corefile:10: forward") {
		t.Errorf("error %v, want one that names the line", err)
	}
}

func find(block *corefile.Block, name string) (found []*corefile.Directive) {
	for _, d := range block.Directives {
		if d.Name == name {
			found = append(found, d)
		}
	}
	return found
}

// addressOf is where the first directive of a name serves its page.
func addressOf(t *testing.T, file *corefile.File, name, fallback string) (host, port string) {
	t.Helper()
	for _, block := range file.Blocks {
		for _, d := range find(block, name) {
			address := fallback
			if len(d.Args) > 0 {
				address = d.Args[0].Text
			}
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			return host, port
		}
	}
	t.Fatalf("no %s in the Corefile", name)
	return "", ""
}

// lameduckOf is the longest lameduck of a Corefile.
func lameduckOf(t *testing.T, file *corefile.File) (longest time.Duration) {
	t.Helper()
	for _, block := range file.Blocks {
		for _, d := range find(block, "health") {
			for _, line := range d.Body {
				lasts, err := time.ParseDuration(line.Args[0].Text)
				if err != nil {
					t.Fatal(err)
				}
				longest = max(longest, lasts)
			}
		}
	}
	return longest
}
