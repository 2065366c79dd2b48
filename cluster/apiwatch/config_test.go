package apiwatch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

const twoContexts = `
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: here, cluster: {server: "https://192.0.2.1:6443"}}
- {name: there, cluster: {server: "http://192.0.2.2:8080/prefix"}}
- {name: badca, cluster: {server: "https://192.0.2.3", certificate-authority: empty.pem}}
contexts:
- {name: one, context: {cluster: here, user: me}}
- {name: two, context: {cluster: there, user: me}}
- {name: lost, context: {cluster: nowhere, user: me}}
- {name: nobody, context: {cluster: here, user: you}}
- {name: badca, context: {cluster: badca, user: me}}
users:
- {name: me, user: {token: secret}}
`

// files writes a folder of configuration.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := keyPair(t)
	_, otherKey := keyPair(t)
	for name, text := range map[string]string{
		"config":     twoContexts,
		"nocurrent":  strings.Replace(twoContexts, "current-context: one", "", 1),
		"empty":      "apiVersion: v1\nkind: Config\n",
		"broken":     "clusters: [",
		"cert.pem":   cert,
		"key.pem":    key,
		"other.pem":  otherKey,
		"empty.pem":  "nothing\n",
		"token":      "secret",
		"sa/token":   "secret",
		"sa/ca.crt":  cert,
		"half/token": "secret",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func keyPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

// Every way to say where the API server is, and what is said of each way to get it wrong.
func TestOpen(t *testing.T) {
	t.Parallel()
	dir := files(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		name   string
		origin cluster.Origin
		want   string   // the source's name
		errs   []string // parts of the error
	}{
		{name: "current context", origin: cluster.Origin{Kubeconfig: in("config")}, want: "https://192.0.2.1:6443"},
		{name: "another context", origin: cluster.Origin{Kubeconfig: in("config"), Context: "two"}, want: "http://192.0.2.2:8080/prefix"},
		{name: "kubeconfig wins over endpoint", origin: cluster.Origin{Kubeconfig: in("config"), Endpoint: "http://192.0.2.9"}, want: "https://192.0.2.1:6443"},
		{
			name: "unknown context", origin: cluster.Origin{Kubeconfig: in("config"), Context: "three"},
			errs: []string{in("config"), `no context "three"`, `["badca" "lost" "nobody" "one" "two"]`},
		},
		{name: "no current context", origin: cluster.Origin{Kubeconfig: in("nocurrent")}, errs: []string{in("nocurrent"), "no current-context", `"two"`}},
		{name: "no contexts", origin: cluster.Origin{Kubeconfig: in("empty")}, errs: []string{in("empty"), "it has none"}},
		{name: "context without cluster", origin: cluster.Origin{Kubeconfig: in("config"), Context: "lost"}, errs: []string{`"lost"`, `cluster "nowhere"`}},
		{name: "context without user", origin: cluster.Origin{Kubeconfig: in("config"), Context: "nobody"}, errs: []string{`user "you"`}},
		{name: "kubeconfig missing", origin: cluster.Origin{Kubeconfig: in("none")}, errs: []string{in("none"), "no such file"}},
		{name: "kubeconfig a folder", origin: cluster.Origin{Kubeconfig: dir}, errs: []string{dir, "is a directory"}},
		{name: "kubeconfig broken", origin: cluster.Origin{Kubeconfig: in("broken")}, errs: []string{in("broken"), "YAML"}},
		{name: "relative path of an authority", origin: cluster.Origin{Kubeconfig: in("config"), Context: "badca"}, errs: []string{in("empty.pem"), "PEM"}},
		{name: "endpoint", origin: cluster.Origin{Endpoint: "http://192.0.2.1:8080"}, want: "http://192.0.2.1:8080"},
		{name: "endpoint without scheme", origin: cluster.Origin{Endpoint: "192.0.2.1:8080"}, want: "http://192.0.2.1:8080"},
		{
			name:   "endpoint with certificates",
			origin: cluster.Origin{Endpoint: "https://192.0.2.1", CertFile: in("cert.pem"), KeyFile: in("key.pem"), CAFile: in("cert.pem")},
			want:   "https://192.0.2.1",
		},
		{name: "endpoint of another scheme", origin: cluster.Origin{Endpoint: "ftp://192.0.2.1"}, errs: []string{`"ftp://192.0.2.1"`, "URL"}},
		{name: "certificate without key", origin: cluster.Origin{Endpoint: "https://192.0.2.1", CertFile: in("cert.pem")}, errs: []string{"both files", in("cert.pem")}},
		{
			name:   "certificate missing",
			origin: cluster.Origin{Endpoint: "https://192.0.2.1", CertFile: in("none.pem"), KeyFile: in("key.pem")},
			errs:   []string{in("none.pem"), "no such file"},
		},
		{
			name:   "certificate that is none",
			origin: cluster.Origin{Endpoint: "https://192.0.2.1", CertFile: in("empty.pem"), KeyFile: in("key.pem")},
			errs:   []string{in("empty.pem"), "PEM"},
		},
		{
			name:   "key of another certificate",
			origin: cluster.Origin{Endpoint: "https://192.0.2.1", CertFile: in("cert.pem"), KeyFile: in("other.pem")},
			errs:   []string{in("cert.pem"), in("other.pem"), "does not match"},
		},
		{name: "authority missing", origin: cluster.Origin{Endpoint: "https://192.0.2.1", CAFile: in("none.pem")}, errs: []string{in("none.pem"), "no such file"}},
		{name: "authority that is none", origin: cluster.Origin{Endpoint: "https://192.0.2.1", CAFile: in("empty.pem")}, errs: []string{in("empty.pem"), "PEM"}},
		{name: "labels", origin: cluster.Origin{Endpoint: "http://192.0.2.1", Labels: "a in b"}, errs: []string{`"a in b"`, "label selector"}},
		{name: "namespace labels", origin: cluster.Origin{Endpoint: "http://192.0.2.1", NamespaceLabels: "=="}, errs: []string{"namespace_labels", `"=="`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source, err := Open(tt.origin, cluster.Needs{}, cluster.Telemetry{}, slog.New(slog.DiscardHandler))
			if err != nil {
				checkError(t, err, tt.errs)
				return
			}
			if len(tt.errs) > 0 {
				t.Fatalf("no error, want %q", tt.errs)
			}
			if source.String() != tt.want {
				t.Errorf("source %s, want %s", source, tt.want)
			}
		})
	}
}

func checkError(t *testing.T, err error, parts []string) {
	t.Helper()
	if len(parts) == 0 {
		t.Fatal(err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// What a pod is given: KUBERNETES_SERVICE_HOST and _PORT, and the folder of its service account.
func TestOpenInCluster(t *testing.T) {
	t.Parallel()
	dir := files(t)
	both := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
	for _, tt := range []struct {
		name string
		env  map[string]string
		dir  string
		want string
		errs []string
	}{
		{name: "a pod", env: both, dir: "sa", want: "https://[fd00::1]:443"},
		{
			name: "no pod at all", dir: "none",
			errs: []string{"not in a cluster", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "token: no such file", "ca.crt: no such file", "kubeconfig FILE", "endpoint URL"},
		},
		{name: "no authority", env: both, dir: "half", errs: []string{filepath.Join(dir, "half", "ca.crt")}},
		{name: "no port", env: map[string]string{"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, dir: "sa", errs: []string{"KUBERNETES_SERVICE_PORT is not set"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config, err := fromPod(func(name string) string { return tt.env[name] }, filepath.Join(dir, tt.dir))
			if err != nil {
				checkError(t, err, tt.errs)
				return
			}
			if len(tt.errs) > 0 || config.Host != tt.want || config.BearerTokenFile != filepath.Join(dir, tt.dir, "token") || config.BearerToken != "" {
				t.Errorf("config %v, want host %s with the token's file, errors %q", config, tt.want, tt.errs)
			}
		})
	}
}
