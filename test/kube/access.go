package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// account is the service account that a cluster's DNS server runs as.
const account = "nameplane"

// Kubeconfig returns the path of a kubeconfig that may do everything.
func (c *Cluster) Kubeconfig() string { return c.files.admin }

// RestrictedKubeconfig returns the path of a kubeconfig of a service account that may only list and watch endpoints,
// services, pods, namespaces and endpoint slices: the rights that clusters give CoreDNS. Its token is a real one,
// signed by this API server, and good for a day.
func (c *Cluster) RestrictedKubeconfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(c.dir, account+".kubeconfig")
	if err := c.writeRestricted(t.Context(), path); err != nil {
		t.Fatalf("restricted kubeconfig: %v", err)
	}
	return path
}

func (c *Cluster) writeRestricted(ctx context.Context, path string) error {
	if err := c.grant(ctx); err != nil {
		return err
	}
	day := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	token, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(c.files.ca)
	if err != nil {
		return err
	}
	text, err := kubeconfig(c.url(), ca, &clientcmdapi.AuthInfo{Token: token.Status.Token})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// grant creates the service account, its role and the binding between them; those that exist stay.
func (c *Cluster) grant(ctx context.Context) error {
	meta := metav1.ObjectMeta{Name: account}
	verbs := []string{"list", "watch"}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"endpoints", "services", "pods", "namespaces"}, Verbs: verbs},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: verbs},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: account}},
	}
	create := metav1.CreateOptions{}
	_, e1 := c.client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, create)
	_, e2 := c.client.RbacV1().ClusterRoles().Create(ctx, role, create)
	_, e3 := c.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, create)
	return errors.Join(unlessExists(e1), unlessExists(e2), unlessExists(e3))
}

func unlessExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func adminConfig(url string, ca []byte, admin identity) ([]byte, error) {
	return kubeconfig(url, ca, &clientcmdapi.AuthInfo{ClientCertificateData: admin.cert, ClientKeyData: admin.key})
}

// kubeconfig is the file text of one cluster, one user and the context that joins them.
func kubeconfig(url string, ca []byte, user *clientcmdapi.AuthInfo) ([]byte, error) {
	const name = "test"
	return clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: url, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: user},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
}

// newClient returns a client for a kubeconfig file: protobuf and without client-go's own rate limit, because tests load
// thousands of objects.
func newClient(path string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // worlds use deprecated fields on purpose
	config.ContentConfig = rest.ContentConfig{
		ContentType:        runtime.ContentTypeProtobuf,
		AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
	}
	return kubernetes.NewForConfig(config)
}
