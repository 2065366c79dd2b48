package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// snapshot is what an operator had before, or has after.
type snapshot struct {
	service    *corev1.Service
	configMap  *corev1.ConfigMap
	deployment *appsv1.Deployment
}

func look(t *testing.T, c *kube.Cluster) (s snapshot) {
	t.Helper()
	var err error
	if s.service, err = c.Client().CoreV1().Services(system).Get(t.Context(), "kube-dns", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if s.configMap, err = c.Client().CoreV1().ConfigMaps(system).Get(t.Context(), "coredns", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if s.deployment, err = c.Client().AppsV1().Deployments(system).Get(t.Context(), "coredns", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// The base changes CoreDNS's objects in place: the Service's address and the operator's Corefile stay, and of CoreDNS's
// pods nothing is left over. With the rights that it brings, and no others, the program answers.
func TestTakeOver(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	c := kube.Start(t, kube.Options{Controllers: true})
	installCoreDNS(t, c)
	before := look(t, c)
	for range 2 { // the second time nothing changes
		for _, name := range load[kustomization](t, "base/kustomization.yaml").Resources {
			apply(t, c, filepath.Join("base", name))
		}
	}
	after := look(t, c)
	checkAdopted(t, before, after)
	eventually(t, "a second ReplicaSet", func() bool { return len(replicaSets(t, c)) == 2 })

	t.Run("rights", func(t *testing.T) { checkRights(t, c, "nameplane", baseRole) })
	t.Run("answers", func(t *testing.T) { checkAnswers(t, c, after.configMap.Data["Corefile"]) })
	t.Run("pod security", func(t *testing.T) { checkPodSecurity(t, c, after.deployment.Spec.Template) })
}

func checkAdopted(t *testing.T, before, after snapshot) {
	t.Helper()
	if after.service.UID != before.service.UID || after.service.Spec.ClusterIP != clusterDNS {
		t.Errorf("the Service's address is %s, was %s", after.service.Spec.ClusterIP, clusterDNS)
	}
	if diff := cmp.Diff(before.service.Spec, after.service.Spec); diff != "" {
		t.Errorf("the Service changed:\n%s", diff)
	}
	if diff := cmp.Diff(before.configMap, after.configMap); diff != "" || !strings.HasPrefix(after.configMap.Data["Corefile"], operatorsLine) {
		t.Errorf("the ConfigMap changed:\n%s", diff)
	}
	if after.deployment.UID != before.deployment.UID || after.deployment.Generation != before.deployment.Generation+1 {
		t.Errorf("the Deployment has generation %d, had %d", after.deployment.Generation, before.deployment.Generation)
	}
	want, got := deployment(t).Spec.Template.Spec, after.deployment.Spec.Template.Spec
	if len(got.Containers) != 1 || len(got.Volumes) != 1 || got.ServiceAccountName != want.ServiceAccountName {
		t.Fatalf("something of CoreDNS's pods is left: %+v", got)
	}
	c, wanted := got.Containers[0], want.Containers[0]
	for _, part := range []struct {
		name      string
		want, got any
	}{
		{name: "image", want: wanted.Image, got: c.Image},
		{name: "arguments", want: wanted.Args, got: c.Args},
		{name: "ports", want: wanted.Ports, got: c.Ports},
		{name: "mounts", want: wanted.VolumeMounts, got: c.VolumeMounts},
		{name: "resources", want: wanted.Resources.Limits.Memory().String(), got: c.Resources.Limits.Memory().String()},
		{name: "container's sandbox", want: wanted.SecurityContext, got: c.SecurityContext},
		{name: "pod's sandbox", want: want.SecurityContext, got: got.SecurityContext},
		{name: "tolerations", want: want.Tolerations, got: got.Tolerations},
		{name: "liveness", want: wanted.LivenessProbe.InitialDelaySeconds, got: c.LivenessProbe.InitialDelaySeconds},
		{name: "rollout", want: deployment(t).Spec.Strategy, got: after.deployment.Spec.Strategy},
	} {
		if diff := cmp.Diff(part.want, part.got); diff != "" {
			t.Errorf("%s of the manifest (-), of the Deployment (+):\n%s", part.name, diff)
		}
	}
}

// accountConfig writes a kubeconfig of a service account.
func accountConfig(t *testing.T, c *kube.Cluster, name string) string {
	t.Helper()
	hour := int64(60 * 60)
	token, err := c.Client().CoreV1().ServiceAccounts(system).CreateToken(t.Context(), name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkRights asks the API server what the account may do: what the role says, beside what every account may.
func checkRights(t *testing.T, c *kube.Cluster, name, role string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", accountConfig(t, c, name))
	if err != nil {
		t.Fatal(err)
	}
	account, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := account.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: system}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var granted []rbacv1.PolicyRule
	for _, r := range review.Status.ResourceRules {
		if slices.ContainsFunc(r.Resources, func(name string) bool { return strings.HasPrefix(name, "selfsubject") }) {
			continue // asking what one may is everybody's right
		}
		granted = append(granted, rbacv1.PolicyRule{APIGroups: r.APIGroups, Resources: r.Resources, Verbs: r.Verbs})
	}
	want := load[rbacv1.ClusterRole](t, role).Rules
	if diff := cmp.Diff(want, granted); diff != "" || review.Status.Incomplete {
		t.Errorf("rights of the role (-), of the account (+):\n%s", diff)
	}
	all := metav1.ListOptions{}
	_, e1 := account.CoreV1().Services("").List(t.Context(), all)
	_, e2 := account.CoreV1().Namespaces().List(t.Context(), all)
	_, e3 := account.DiscoveryV1().EndpointSlices("").List(t.Context(), all)
	for _, err := range []error{e1, e2, e3} {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	_, e4 := account.CoreV1().Pods("").List(t.Context(), all)
	_, e5 := account.CoreV1().Secrets(system).List(t.Context(), all)
	_, e6 := account.CoreV1().ConfigMaps(system).Get(t.Context(), "coredns", metav1.GetOptions{})
	_, e7 := account.CoreV1().Services(system).Get(t.Context(), "kube-dns", metav1.GetOptions{})
	for _, err := range []error{e4, e5, e6, e7} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("not refused: %v", err)
		}
	}
}

// onLoopback gives the cluster's Corefile addresses that a test may take, and the account's credentials.
func onLoopback(t *testing.T, text, kubeconfig string) string {
	t.Helper()
	for _, edit := range []struct{ line, becomes string }{
		{line: `(?m)^\.:53 \{$`, becomes: ". {\n    bind 127.0.0.1"},
		{line: `(?m)^( +)health \{$`, becomes: "${1}health 127.0.0.1:0 {"},
		{line: `(?m)^( +)ready$`, becomes: "${1}ready 127.0.0.1:0"},
		{line: `(?m)^( +)prometheus :9153$`, becomes: "${1}prometheus 127.0.0.1:0"},
		{line: `(?m)^( +)forward \. /etc/resolv\.conf`, becomes: "${1}forward . 127.0.0.1:9"}, // nobody is there
		{line: `(?m)^( +)pods insecure$`, becomes: "${1}pods insecure\n${1}kubeconfig " + kubeconfig},
	} {
		edited := regexp.MustCompile(edit.line).ReplaceAllString(text, edit.becomes)
		if edited == text {
			t.Fatalf("no line %s in %s", edit.line, text)
		}
		text = edited
	}
	return text
}

// checkAnswers runs the program as the pod would, with the account's rights and the Corefile that the cluster has.
func checkAnswers(t *testing.T, c *kube.Cluster, text string) {
	port, ready := int32(80), true
	c.Load(t,
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
			Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: port}}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{
				discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: "nobody",
			}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Port: &port}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.7"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		})
	address, _ := peer.StartServer(t, peer.Nameplane(t), onLoopback(t, text, accountConfig(t, c, "nameplane")))
	for _, want := range []struct{ name, address string }{
		{name: "kube-dns.kube-system.svc.cluster.local.", address: clusterDNS},
		{name: "web.default.svc.cluster.local.", address: "10.244.1.7"},
	} {
		eventually(t, want.name, func() bool {
			reply, err := dns.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(want.name, dns.TypeA), address)
			if err != nil || len(reply.Answer) != 1 {
				return false
			}
			a, ok := reply.Answer[0].(*dns.A)
			return ok && a.A.String() == want.address
		})
	}
}

// checkPodSecurity has the API server judge the pod by the strictest Pod Security Standard.
func checkPodSecurity(t *testing.T, c *kube.Cluster, template corev1.PodTemplateSpec) {
	c.Load(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "strict", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", Labels: template.Labels}, Spec: template.Spec}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := c.Client().CoreV1().Pods("strict").Create(t.Context(), pod, dry); err != nil {
		t.Error(err)
	}
	pod.Spec.SecurityContext.RunAsNonRoot = nil
	if _, err := c.Client().CoreV1().Pods("strict").Create(t.Context(), pod, dry); !apierrors.IsForbidden(err) {
		t.Errorf("the standard is not enforced here, so that nothing was tested: %v", err)
	}
}

// kubectl runs a command that deploy/README.md tells operators to run.
func kubectl(t *testing.T, c *kube.Cluster, args ...string) {
	t.Helper()
	guide, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := "kubectl"
	for _, arg := range args {
		if strings.ContainsAny(arg, ` "{`) {
			arg = "'" + arg + "'" // for a shell
		}
		shown += " " + strings.ReplaceAll(arg, root, "deploy")
	}
	if !regexp.MustCompile(`(?m)^ {4,}` + regexp.QuoteMeta(shown) + `$`).Match(guide) {
		t.Errorf("README.md does not say %q", shown)
	}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		peer.Missing(t, err.Error())
	}
	out, err := exec.CommandContext(t.Context(), path, append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The commands of deploy/README.md: try it beside CoreDNS, take over, go back, and clean up. CoreDNS's objects are those
// from before at the end.
func TestOperatorsWay(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	if _, err := exec.LookPath("kubectl"); err != nil {
		peer.Missing(t, err.Error())
	}
	c := kube.Start(t, kube.Options{Controllers: true})
	installCoreDNS(t, c)
	before := look(t, c)

	kubectl(t, c, "apply", "--server-side", "-k", filepath.Join(root, "overlays/standalone"))
	standalone, err := c.Client().AppsV1().Deployments("nameplane").Get(t.Context(), "nameplane", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "pods of the standalone overlay, in a restricted namespace", func() bool {
		pods, err := c.Client().CoreV1().Pods("nameplane").List(t.Context(), metav1.ListOptions{})
		return err == nil && len(pods.Items) == int(*standalone.Spec.Replicas)
	})
	if beside := look(t, c); beside.deployment.Generation != before.deployment.Generation || beside.service.ResourceVersion != before.service.ResourceVersion {
		t.Error("trying it beside CoreDNS touched CoreDNS")
	}
	kubectl(t, c, "apply", "--server-side", "-k", filepath.Join(root, "overlays/nodelocal"))

	kubectl(t, c, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(root, "base"))
	checkAdopted(t, before, look(t, c))
	eventually(t, "a second ReplicaSet", func() bool { return len(replicaSets(t, c)) == 2 })
	kubectl(t, c, "delete", "-k", filepath.Join(root, "overlays/standalone"))
	checkRights(t, c, "nameplane", baseRole)

	kubectl(t, c, "-n", system, "rollout", "undo", "deployment/coredns")
	after := look(t, c)
	if diff := cmp.Diff(before.deployment.Spec.Template, after.deployment.Spec.Template); diff != "" {
		t.Errorf("CoreDNS's pods before (-), after going back (+):\n%s", diff)
	}
	if after.service.Spec.ClusterIP != clusterDNS || after.configMap.ResourceVersion != before.configMap.ResourceVersion {
		t.Error("Service or ConfigMap changed")
	}
	kubectl(t, c, "-n", system, "delete", "serviceaccount/nameplane", "poddisruptionbudget/coredns")
	kubectl(t, c, "delete", "clusterrole/nameplane", "clusterrolebinding/nameplane")
}
