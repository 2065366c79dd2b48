package deploy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/test/kube"
)

const (
	clusterDNS = "10.96.0.10" // what kubelets of kubeadm's clusters tell pods
	system     = metav1.NamespaceSystem
)

// operatorsLine is what an operator has added to kubeadm's Corefile, and must find again.
const operatorsLine = "# the platform team's stub zone\n"

// installCoreDNS creates what kubeadm leaves in kube-system, and waits for the ReplicaSet.
func installCoreDNS(t *testing.T, c *kube.Cluster) {
	t.Helper()
	ctx, by := t.Context(), metav1.CreateOptions{FieldManager: "kubeadm"}
	meta := metav1.ObjectMeta{Name: "coredns", Namespace: system, Labels: map[string]string{"k8s-app": "kube-dns"}}
	unlabelled := metav1.ObjectMeta{Name: "coredns", Namespace: system}
	service := load[corev1.Service](t, "base/service.yaml")
	service.Spec.ClusterIP = clusterDNS
	corefile := operatorsLine + corefileOf(t, corefileMap)
	role := metav1.ObjectMeta{Name: "system:coredns"}
	verbs := []string{"list", "watch"}

	_, e1 := c.Client().CoreV1().ServiceAccounts(system).Create(ctx, &corev1.ServiceAccount{ObjectMeta: unlabelled}, by)
	_, e2 := c.Client().RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: role, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"endpoints", "services", "pods", "namespaces"}, Verbs: verbs},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: verbs},
	}}, by)
	_, e3 := c.Client().RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: role,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "coredns", Namespace: system}},
	}, by)
	_, e4 := c.Client().CoreV1().Services(system).Create(ctx, service, by)
	_, e5 := c.Client().CoreV1().ConfigMaps(system).Create(ctx, &corev1.ConfigMap{ObjectMeta: unlabelled, Data: map[string]string{"Corefile": corefile}}, by)
	_, e6 := c.Client().AppsV1().Deployments(system).Create(ctx, coreDNSDeployment(meta), by)
	if err := errors.Join(e1, e2, e3, e4, e5, e6); err != nil {
		t.Fatal(err)
	}
	eventually(t, "CoreDNS's ReplicaSet", func() bool { return len(replicaSets(t, c)) == 1 })
}

// coreDNSDeployment is that of kubeadm: cmd/kubeadm/app/phases/addons/dns.
func coreDNSDeployment(meta metav1.ObjectMeta) *appsv1.Deployment {
	probe := func(path, port string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(port), Scheme: corev1.URISchemeHTTP}}
	}
	no, yes, two, one := false, true, int32(2), intstr.FromInt32(1)
	container := corev1.Container{
		Name: "coredns", Image: "registry.k8s.io/coredns/coredns:v1.14.2", ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{"-conf", "/etc/coredns/Corefile"},
		Resources: corev1.ResourceRequirements{
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("170Mi")},
			Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("70Mi"), corev1.ResourceCPU: resource.MustParse("100m")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "config-volume", MountPath: "/etc/coredns", ReadOnly: true}},
		Ports: []corev1.ContainerPort{
			{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
			{Name: "dns-tcp", ContainerPort: 53, Protocol: corev1.ProtocolTCP},
			{Name: "metrics", ContainerPort: 9153, Protocol: corev1.ProtocolTCP},
			{Name: "liveness-probe", ContainerPort: 8080, Protocol: corev1.ProtocolTCP},
			{Name: "readiness-probe", ContainerPort: 8181, Protocol: corev1.ProtocolTCP},
		},
		LivenessProbe:  &corev1.Probe{ProbeHandler: probe("/health", "liveness-probe"), InitialDelaySeconds: 60, TimeoutSeconds: 5, FailureThreshold: 5},
		ReadinessProbe: &corev1.Probe{ProbeHandler: probe("/ready", "readiness-probe")},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}, Drop: []corev1.Capability{"ALL"}},
		},
	}
	pod := corev1.PodSpec{
		PriorityClassName: "system-cluster-critical", ServiceAccountName: "coredns", DNSPolicy: corev1.DNSDefault,
		NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
		Tolerations: []corev1.Toleration{
			{Key: "CriticalAddonsOnly", Operator: corev1.TolerationOpExists},
			{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule},
		},
		Containers: []corev1.Container{container},
		Volumes: []corev1.Volume{{Name: "config-volume", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "coredns"}, Items: []corev1.KeyToPath{{Key: "Corefile", Path: "Corefile"}},
		}}}},
	}
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: &two,
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &one}},
		Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels}, Spec: pod},
	}}
}

func replicaSets(t *testing.T, c *kube.Cluster) []appsv1.ReplicaSet {
	t.Helper()
	list, err := c.Client().AppsV1().ReplicaSets(system).List(t.Context(), metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// apply sends a manifest as "kubectl apply --server-side --force-conflicts" does, and has the API server refuse fields
// that it does not know.
func apply(t *testing.T, c *kube.Cluster, path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Client().Discovery().RESTClient().Patch(types.ApplyYAMLPatchType).AbsPath(urlOf(t, path, text)).
		Param("fieldManager", "kubectl").Param("force", "true").Param("fieldValidation", "Strict").
		Body(text).Do(t.Context()).Error()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// urlOf is the path under which the API server has a manifest's object.
func urlOf(t *testing.T, path string, text []byte) string {
	t.Helper()
	var object metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	url := "/apis/" + object.APIVersion
	if !strings.Contains(object.APIVersion, "/") {
		url = "/api/" + object.APIVersion
	}
	if object.Namespace != "" {
		url += "/namespaces/" + object.Namespace
	}
	return url + "/" + strings.ToLower(object.Kind) + "s/" + object.Name // every kind here makes its plural so
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
