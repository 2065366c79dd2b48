package prometheus

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// folder holds a certificate, and web configuration files with these contents.
func folder(t *testing.T, files map[string]string) (dir string, authority *block.Authority) {
	t.Helper()
	dir, authority = t.TempDir(), block.NewAuthority(t)
	authority.Issue(t, dir, "metrics.example")
	authority.Issue(t, dir, "scraper.example")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "CA", authority.File)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, authority
}

// A scrape by TLS, as a file in the form of Prometheus's exporters says.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, authority := folder(t, map[string]string{
		"plain.yaml":  "tls_server_config:\n  cert_file: metrics.example.pem\n  key_file: metrics.example.key\n",
		"mutual.yaml": "tls_server_config:\n  cert_file: metrics.example.pem\n  key_file: metrics.example.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: CA\n  min_version: TLS13\n",
	})
	scraper := []string{filepath.Join(dir, "scraper.example.pem"), filepath.Join(dir, "scraper.example.key")}
	for _, test := range []struct {
		name, file string
		client     *tls.Config
		good       bool
	}{
		{name: "plain", file: "plain.yaml", client: authority.Client(t, "metrics.example"), good: true},
		{name: "plain, the wrong name", file: "plain.yaml", client: authority.Client(t, "other.example")},
		{name: "mutual, without a certificate", file: "mutual.yaml", client: authority.Client(t, "metrics.example")},
		{name: "mutual", file: "mutual.yaml", client: authority.Client(t, "metrics.example", scraper...), good: true},
		{name: "mutual, an old version", file: "mutual.yaml", client: func() *tls.Config {
			c := authority.Client(t, "metrics.example", scraper...)
			c.MaxVersion = tls.VersionTLS12
			return c
		}()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			env.Dir = dir
			newHandler(t, env, ". {\n prometheus {\n  tls "+test.file+"\n }\n}", answer())
			page := env.Web.(*block.Web).Page("localhost:9153/metrics").(plugin.SecurePage)
			server := httptest.NewUnstartedServer(page)
			server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return page.TLS().Config(), nil }}
			server.StartTLS()
			defer server.Close()
			transport := &http.Transport{TLSClientConfig: test.client}
			defer transport.CloseIdleConnections()
			response, err := (&http.Client{Transport: transport}).Get(server.URL)
			if err == nil {
				response.Body.Close()
			}
			if (err == nil) != test.good {
				t.Errorf("%v, want success %v", err, test.good)
			}
		})
	}
}

// Several server blocks share a page only when they agree on how it is served.
func TestSharedPage(t *testing.T) {
	t.Parallel()
	const config = "tls_server_config:\n  cert_file: metrics.example.pem\n  key_file: metrics.example.key\n"
	dir, _ := folder(t, map[string]string{"a.yaml": config, "b.yaml": config})
	for _, test := range []struct {
		name          string
		first, second string // options
		shared        bool
	}{
		{name: "in the clear", shared: true},
		{name: "by TLS", first: "tls a.yaml", second: "tls a.yaml", shared: true},
		{name: "one by TLS", first: "tls a.yaml"},
		{name: "the other one by TLS", second: "tls a.yaml"},
		{name: "of two files", first: "tls a.yaml", second: "tls b.yaml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			env.Dir = dir
			newHandler(t, env, ". {\n prometheus {\n  "+test.first+"\n }\n}", answer())
			_, err := Spec().Build(env, block.Lines(t, ". {\n prometheus {\n  "+test.second+"\n }\n}", "prometheus"))
			if (err == nil) != test.shared {
				t.Errorf("%v, want shared %v", err, test.shared)
			}
		})
	}
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	const pair = "tls_server_config:\n  cert_file: metrics.example.pem\n  key_file: metrics.example.key\n"
	dir, _ := folder(t, map[string]string{
		"empty.yaml":   "",
		"nokey.yaml":   "tls_server_config:\n  cert_file: metrics.example.pem\n",
		"users.yaml":   pair + "basic_auth_users:\n  a: b\n",
		"version.yaml": pair + "  min_version: TLS10\n",
		"most.yaml":    pair + "  max_version: SSL3\n",
		"auth.yaml":    pair + "  client_auth_type: Maybe\n",
		"gone.yaml":    "tls_server_config:\n  cert_file: gone.pem\n  key_file: metrics.example.key\n",
		"bad.yaml":     "tls_server_config: [",
	})
	for _, test := range []struct{ file, want string }{
		{file: "none.yaml", want: "open DIR/none.yaml: no such file or directory"},
		{file: "empty.yaml", want: "DIR/empty.yaml: cert_file and key_file are wanted in tls_server_config"},
		{file: "nokey.yaml", want: "DIR/nokey.yaml: cert_file and key_file are wanted in tls_server_config"},
		{file: "users.yaml", want: `unknown field "basic_auth_users"; of a web configuration file tls_server_config is understood`},
		{file: "version.yaml", want: `DIR/version.yaml: min_version "TLS10" is neither TLS12 nor TLS13`},
		{file: "most.yaml", want: `DIR/most.yaml: max_version "SSL3" is neither TLS12 nor TLS13`},
		{file: "auth.yaml", want: `DIR/auth.yaml: client_auth_type "Maybe" is none of NoClientCert`},
		{file: "gone.yaml", want: "DIR/gone.yaml: certificate DIR/gone.pem with key DIR/metrics.example.key: open DIR/gone.pem: no such file"},
		{file: "bad.yaml", want: "DIR/bad.yaml: "},
	} {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			env.Dir = dir
			_, err := Spec().Build(env, block.Lines(t, ". {\n prometheus {\n  tls "+test.file+"\n }\n}", "prometheus"))
			if err == nil || !strings.HasPrefix(err.Error(), "Corefile:3: tls: ") || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), test.want) {
				t.Errorf("error is\n%v\nwant Corefile:3 and\n%s", err, test.want)
			}
		})
	}
}
