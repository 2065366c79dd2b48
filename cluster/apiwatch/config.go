package apiwatch

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/nameplane/nameplane/cluster"
)

// accountDir is where a kubelet mounts a pod's service account.
const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// checkSelectors parses the selectors, so that a slip shows at start-up and not as a refusal by the API server.
func checkSelectors(origin cluster.Origin) error {
	if _, err := labels.Parse(origin.Labels); err != nil {
		return fmt.Errorf("labels %q is not a label selector: %w", origin.Labels, err)
	}
	if _, err := labels.Parse(origin.NamespaceLabels); err != nil {
		return fmt.Errorf("namespace_labels %q is not a label selector: %w", origin.NamespaceLabels, err)
	}
	return nil
}

// load is how to reach and convince the API server of origin. It reads files and opens no connection.
func load(origin cluster.Origin) (config *rest.Config, err error) {
	switch {
	case origin.Kubeconfig != "":
		config, err = fromKubeconfig(origin.Kubeconfig, origin.Context)
	case origin.Endpoint != "":
		config, err = fromEndpoint(origin)
	default:
		config, err = fromPod(os.Getenv, accountDir)
	}
	if err != nil {
		return nil, err
	}
	return config, checkFiles(config)
}

// fromKubeconfig reads a context of a kubeconfig; an empty name is its current one.
func fromKubeconfig(path, context string) (*rest.Config, error) {
	loaded, err := clientcmd.LoadFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("kubeconfig %s: %w", path, reason(err))
	case err != nil:
		return nil, fmt.Errorf("kubeconfig %s is not a kubeconfig in YAML: %w", path, err)
	}
	if err := clientcmd.ResolveLocalPaths(loaded); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	context = cmp.Or(context, loaded.CurrentContext)
	if err := checkContext(loaded, context); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*loaded, context, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s, context %q: %w", path, context, err)
	}
	return config, nil
}

func checkContext(loaded *api.Config, name string) error {
	known := fmt.Sprintf("it has %q", slices.Sorted(maps.Keys(loaded.Contexts)))
	if len(loaded.Contexts) == 0 {
		known = "it has none"
	}
	if name == "" {
		return fmt.Errorf("no current-context; name a context after the file: %s", known)
	}
	context := loaded.Contexts[name]
	if context == nil {
		return fmt.Errorf("no context %q: %s", name, known)
	}
	if loaded.Clusters[context.Cluster] == nil {
		return fmt.Errorf("context %q names the cluster %q, which is not in the file", name, context.Cluster)
	}
	if context.AuthInfo != "" && loaded.AuthInfos[context.AuthInfo] == nil {
		return fmt.Errorf("context %q names the user %q, which is not in the file", name, context.AuthInfo)
	}
	return nil
}

func fromEndpoint(origin cluster.Origin) (*rest.Config, error) {
	config := &rest.Config{
		Host: origin.Endpoint,
		TLSClientConfig: rest.TLSClientConfig{
			CertFile: origin.CertFile, KeyFile: origin.KeyFile, CAFile: origin.CAFile,
		},
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q is not the URL of an API server, such as https://10.0.0.1:6443", origin.Endpoint)
	}
	if (origin.CertFile == "") != (origin.KeyFile == "") {
		return nil, fmt.Errorf("endpoint %s: a client certificate needs both files, CERT %q and KEY %q", origin.Endpoint, origin.CertFile, origin.KeyFile)
	}
	return config, nil
}

// fromPod is the way that every pod is given: two variables and a folder. It says all that is missing at once.
func fromPod(env func(string) string, dir string) (*rest.Config, error) {
	const elsewhere = "not in a cluster: %s; outside of one, write \"kubeconfig FILE [CONTEXT]\" or \"endpoint URL\""
	var missing []string
	for _, name := range []string{"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"} {
		if env(name) == "" {
			missing = append(missing, "the variable "+name+" is not set")
		}
	}
	token, authority := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	for _, path := range []string{token, authority} {
		if _, err := os.ReadFile(path); err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", path, reason(err)))
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf(elsewhere, strings.Join(missing, ", "))
	}
	return &rest.Config{
		Host:            "https://" + net.JoinHostPort(env("KUBERNETES_SERVICE_HOST"), env("KUBERNETES_SERVICE_PORT")),
		BearerTokenFile: token, // read again every minute: kubelets renew it
		TLSClientConfig: rest.TLSClientConfig{CAFile: authority},
	}, nil
}

// checkFiles looks into the certificate files: the errors of crypto/tls name none.
func checkFiles(config *rest.Config) error {
	if path := config.CAFile; path != "" && len(config.CAData) == 0 {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("certificate authority %s: %w", path, reason(err))
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("certificate authority %s holds no certificate in PEM", path)
		}
	}
	if config.CertFile == "" || config.KeyFile == "" || len(config.CertData) > 0 || len(config.KeyData) > 0 {
		return nil
	}
	for _, path := range []string{config.CertFile, config.KeyFile} {
		if _, err := os.ReadFile(path); err != nil {
			return fmt.Errorf("client certificate: %s: %w", path, reason(err))
		}
	}
	if _, err := tls.LoadX509KeyPair(config.CertFile, config.KeyFile); err != nil {
		return fmt.Errorf("client certificate %s with key %s: %w", config.CertFile, config.KeyFile, err)
	}
	return nil
}

// reason is err without the path, which the caller has named.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
