// Package tls is the directive that gives the certificate for DNS over TLS (RFC 7858), to keys that begin with tls://.
//
// It only reads and checks files: connections are the server's, which treats them as those by TCP.
package tls

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const form = "tls CERT KEY [CA]"

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "tls",
		Summary: "gives the certificate of tls:// keys",
		Build:   build,
	}
}

// clientAuth are CoreDNS's words.
func clientAuth(word string) tls.ClientAuthType {
	return map[string]tls.ClientAuthType{
		"nocert":             tls.NoClientCert,
		"request":            tls.RequestClientCert,
		"require":            tls.RequireAnyClientCert,
		"verify_if_given":    tls.VerifyClientCertIfGiven,
		"require_and_verify": tls.RequireAndVerifyClientCert,
	}[word]
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	if len(line.Args) == 0 {
		return nil, line.Errorf("certificates are not fetched by ACME; write %q, and let cert-manager or certbot renew the files", form)
	}
	var (
		problems corefile.Errors
		auth     = "nocert"
		keyLog   string
	)
	problems.Join(line.WantArgs(2, 3, form))
	problems.Join(line.Decode(
		corefile.Enum("client_auth", &auth, "nocert", "request", "require", "verify_if_given", "require_and_verify"),
		corefile.String("keylog", "keylog FILE", &keyLog),
	))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	base := &tls.Config{ClientAuth: clientAuth(auth)}
	if keyLog != "" {
		file := keyFile(path(env, keyLog))
		if err := file.check(); err != nil {
			return nil, line.Errorf("keylog: %v", err)
		}
		base.KeyLogWriter = file
		env.Log.Warn(fmt.Sprintf("the keys of all TLS connections are written to %s: whoever reads it reads them", file))
	}
	files := plugin.TLSFiles{Cert: path(env, line.Args[0].Text), Key: path(env, line.Args[1].Text)}
	if len(line.Args) == 3 {
		files.CA = path(env, line.Args[2].Text)
	}
	env.Listen.TLS, err = plugin.NewTLS(files, base, env.Now, env.Log)
	if err != nil {
		return nil, line.Errorf("%v", err)
	}
	env.Listen.TLS.Text = string(line.Append(nil))
	return nil, nil
}

func path(env *plugin.Env, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(env.Dir, name)
}

// keyFile is where the secrets of connections are written to, for whoever looks into captured packets. It is opened for
// each of them, two or five lines a connection: it is no file to keep.
type keyFile string

func (f keyFile) check() error {
	_, err := f.Write(nil)
	return err
}

// Write implements io.Writer.
func (f keyFile) Write(lines []byte) (int, error) {
	file, err := os.OpenFile(string(f), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := file.Write(lines)
	if closing := file.Close(); err == nil {
		err = closing
	}
	return n, err
}
