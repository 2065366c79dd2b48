package prometheus

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// page is the counters at one address.
type page struct {
	*counters
	secure *plugin.TLS // nil for none
}

// TLS implements plugin.SecurePage.
func (p page) TLS() *plugin.TLS { return p.secure }

// Same tells that all server blocks have one page.
func (p page) Same(other http.Handler) bool {
	o, ok := other.(page)
	return ok && o.counters == p.counters && o.secure.Identity() == p.secure.Identity()
}

// webConfig is the part of Prometheus's web configuration files that speaks of TLS.
type webConfig struct {
	TLS *struct {
		Cert       string `json:"cert_file"`
		Key        string `json:"key_file"`
		ClientCA   string `json:"client_ca_file"`
		ClientAuth string `json:"client_auth_type"`
		MinVersion string `json:"min_version"`
		MaxVersion string `json:"max_version"`
	} `json:"tls_server_config"`
}

// newTLS reads the file of the option tls. Relative paths in it start in its own folder.
func newTLS(env *plugin.Env, o *corefile.Directive) (*plugin.TLS, error) {
	file := within(env.Dir, o.Args[0].Text)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, o.Errorf("%v", err)
	}
	var c webConfig
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		return nil, o.Errorf("%s: %v; of a web configuration file tls_server_config is understood, with cert_file, key_file, "+
			"client_ca_file, client_auth_type, min_version and max_version", file, err)
	}
	if c.TLS == nil || c.TLS.Cert == "" || c.TLS.Key == "" {
		return nil, o.Errorf("%s: cert_file and key_file are wanted in tls_server_config", file)
	}
	base, err := c.base()
	if err != nil {
		return nil, o.Errorf("%s: %v", file, err)
	}
	dir := filepath.Dir(file)
	files := plugin.TLSFiles{Cert: within(dir, c.TLS.Cert), Key: within(dir, c.TLS.Key)}
	if c.TLS.ClientCA != "" {
		files.CA = within(dir, c.TLS.ClientCA)
	}
	secure, err := plugin.NewTLS(files, base, env.Now, env.Log)
	if err != nil {
		return nil, o.Errorf("%s: %v", file, err)
	}
	secure.Text = file
	return secure, nil
}

// base is what the file says beside other files' names.
func (c *webConfig) base() (*tls.Config, error) {
	versions := map[string]uint16{"": 0, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
	auths := map[string]tls.ClientAuthType{
		"": tls.NoClientCert, "NoClientCert": tls.NoClientCert, "RequestClientCert": tls.RequestClientCert,
		"RequireAnyClientCert": tls.RequireAnyClientCert, "VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven,
		"RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
	}
	least, ok := versions[c.TLS.MinVersion]
	if !ok {
		return nil, fmt.Errorf("min_version %q is neither TLS12 nor TLS13", c.TLS.MinVersion)
	}
	most, ok := versions[c.TLS.MaxVersion]
	if !ok {
		return nil, fmt.Errorf("max_version %q is neither TLS12 nor TLS13", c.TLS.MaxVersion)
	}
	auth, ok := auths[c.TLS.ClientAuth]
	if !ok {
		return nil, fmt.Errorf("client_auth_type %q is none of NoClientCert, RequestClientCert, RequireAnyClientCert, "+
			"VerifyClientCertIfGiven, RequireAndVerifyClientCert", c.TLS.ClientAuth)
	}
	return &tls.Config{MinVersion: least, MaxVersion: most, ClientAuth: auth}, nil
}

func within(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
