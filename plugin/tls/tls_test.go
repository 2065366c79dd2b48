package tls

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// listen is the TLS of a server block with this directive.
func listen(t *testing.T, env *plugin.Env, line string) (*plugin.TLS, error) {
	t.Helper()
	h, err := Spec().Build(env, block.Lines(t, "tls://. {\n "+line+"\n}", "tls"))
	if h != nil {
		t.Error("it has a handler, but nothing to do with queries")
	}
	return env.Listen.TLS, err
}

// pipe is a connection with buffers: both ends of a handshake may have something to say at once.
func pipe(t *testing.T) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// shake shakes hands, and sends a byte back and forth: by TLS 1.3 a client learns only then that it is not wanted.
func shake(t *testing.T, server *plugin.TLS, client *tls.Config) (state tls.ConnectionState, err error) {
	t.Helper()
	near, far := pipe(t)
	for _, end := range []net.Conn{near, far} {
		end.SetDeadline(time.Now().Add(10 * time.Second))
	}
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		conn := tls.Server(far, server.Config())
		_, err := io.CopyN(conn, conn, 1)
		served <- err
	}()
	defer func() {
		near.Close()
		<-served
	}()
	conn := tls.Client(near, client)
	if _, err = conn.Write([]byte{1}); err != nil {
		return state, err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return conn.ConnectionState(), err
}

func TestClientAuth(t *testing.T) {
	t.Parallel()
	ours, others := block.NewAuthority(t), block.NewAuthority(t)
	dir := t.TempDir()
	cert, key := ours.Issue(t, dir, "dns.example")
	goodCert, goodKey := ours.Issue(t, dir, "client.example")
	badCert, badKey := others.Issue(t, dir, "stranger.example")
	with := map[string]*tls.Config{
		"none":       ours.Client(t, "dns.example"),
		"ours":       ours.Client(t, "dns.example", goodCert, goodKey),
		"a stranger": ours.Client(t, "dns.example", badCert, badKey),
	}
	for name, config := range with { // whatever authorities the server names
		if len(config.Certificates) > 0 {
			own := config.Certificates[0]
			with[name].GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		}
	}
	for _, test := range []struct {
		auth string // empty for no option
		good []string
	}{
		{auth: "", good: []string{"none", "ours", "a stranger"}},
		{auth: "nocert", good: []string{"none", "ours", "a stranger"}},
		{auth: "request", good: []string{"none", "ours", "a stranger"}},
		{auth: "require", good: []string{"ours", "a stranger"}},
		{auth: "verify_if_given", good: []string{"none", "ours"}},
		{auth: "require_and_verify", good: []string{"ours"}},
	} {
		t.Run("client_auth "+test.auth, func(t *testing.T) {
			t.Parallel()
			line := "tls " + cert + " " + key + " " + ours.File
			if test.auth != "" {
				line += " {\n  client_auth " + test.auth + "\n }"
			}
			server, err := listen(t, block.NewEnv(io.Discard), line)
			if err != nil {
				t.Fatal(err)
			}
			for name, client := range with {
				_, err := shake(t, server, client)
				if want := strings.Contains(strings.Join(test.good, ","), name); (err == nil) != want {
					t.Errorf("with a certificate of %s: %v, want success %v", name, err, want)
				}
			}
		})
	}
}

// Versions below 1.2 are not spoken (RFC 8996).
func TestVersions(t *testing.T) {
	t.Parallel()
	authority, dir := block.NewAuthority(t), t.TempDir()
	authority.Issue(t, dir, "dns.example")
	env := block.NewEnv(io.Discard)
	env.Dir = dir // relative paths start there
	server, err := listen(t, env, "tls dns.example.pem dns.example.key")
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		client := authority.Client(t, "dns.example")
		client.MinVersion, client.MaxVersion = version, version
		if _, err := shake(t, server, client); (err == nil) != want {
			t.Errorf("%s: %v, want success %v", tls.VersionName(version), err, want)
		}
	}
}

// Changed files are taken, bad ones are told of and change nothing.
func TestRenewal(t *testing.T) {
	t.Parallel()
	authority, dir, log := block.NewAuthority(t), t.TempDir(), new(block.Buffer)
	cert, key := authority.Issue(t, dir, "dns.example")
	env, now := block.NewEnv(log), time.Now()
	env.Now = func() time.Time { return now }
	server, err := listen(t, env, "tls "+cert+" "+key)
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		state, err := shake(t, server, authority.Client(t, "dns.example"))
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.String()
	}
	touch := func() { // what is written within one tick of a file system's clock looks the same
		t.Helper()
		for _, name := range []string{cert, key} {
			if err := os.Chtimes(name, now, now); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	first := serial()
	for _, step := range []struct {
		name   string
		change func()
		same   bool
		logged string
	}{
		{name: "nothing", change: func() {}, same: true},
		{name: "a key that is gone", change: func() { os.Remove(key) }, same: true, logged: "[WARN] the certificate stays the old one"},
		{name: "half of a pair", change: func() { writeFile(t, key, readFile(t, block.NewAuthority(t).File)) }, same: true, logged: "[WARN] the certificate stays the old one"},
		{name: "a new pair", change: func() { authority.Issue(t, dir, "dns.example") }, logged: "[INFO] the certificate was read again"},
	} {
		before, lines := serial(), log.String()
		step.change()
		now = now.Add(time.Minute)
		touch()
		if got := serial(); (got == before) != step.same {
			t.Errorf("%s: the same certificate is %v, want %v", step.name, got == before, step.same)
		}
		serial()
		if told := strings.TrimPrefix(log.String(), lines); !strings.HasPrefix(told, step.logged) || strings.Count(told, "\n") > 1 {
			t.Errorf("%s: log is %q, want %q, once", step.name, told, step.logged)
		}
	}
	if serial() == first {
		t.Error("the first certificate is still shown")
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeyLog(t *testing.T) {
	t.Parallel()
	authority, dir, log := block.NewAuthority(t), t.TempDir(), new(block.Buffer)
	cert, key := authority.Issue(t, dir, "dns.example")
	env := block.NewEnv(log)
	env.Dir = dir
	server, err := listen(t, env, "tls "+cert+" "+key+" {\n  keylog keys\n }")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := shake(t, server, authority.Client(t, "dns.example")); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(string(readFile(t, filepath.Join(dir, "keys"))), "CLIENT_TRAFFIC_SECRET_0 "); n != 2 {
		t.Errorf("secrets of %d connections, want 2", n)
	}
	if info, err := os.Stat(filepath.Join(dir, "keys")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want a file that nobody else reads", info, err)
	}
	if !strings.HasPrefix(log.String(), "[WARN] the keys of all TLS connections are written to ") {
		t.Errorf("log is %q", log)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	authority, dir := block.NewAuthority(t), t.TempDir()
	authority.Issue(t, dir, "a")
	authority.Issue(t, dir, "b")
	writeFile(t, filepath.Join(dir, "text"), []byte("text"))
	for _, test := range []struct{ name, line, want string }{
		{name: "twice", line: "tls a.pem a.key\n tls a.pem a.key", want: "Corefile:3: tls: given twice in a server block; the first one is at Corefile:2"},
		{name: "ACME", line: "tls {\n  acme dns.example\n }", want: `Corefile:2: tls: certificates are not fetched by ACME; write "tls CERT KEY [CA]", and let cert-manager or certbot renew the files`},
		{name: "no key", line: "tls a.pem", want: `Corefile:2: tls: wants 2 to 3 arguments, but has 1; write "tls CERT KEY [CA]"`},
		{name: "no such file", line: "tls c.pem a.key", want: "Corefile:2: tls: certificate DIR/c.pem with key DIR/a.key: open DIR/c.pem: no such file or directory"},
		{name: "another key", line: "tls a.pem b.key", want: "Corefile:2: tls: certificate DIR/a.pem with key DIR/b.key: tls: private key does not match public key"},
		{name: "no roots", line: "tls a.pem a.key text", want: "Corefile:2: tls: DIR/text holds no certificate in PEM form"},
		{name: "an unknown word", line: "tls a.pem a.key {\n  client_auth verify_if_givn\n }",
			want: `Corefile:3: client_auth: "verify_if_givn" is none of nocert, request, require, verify_if_given, require_and_verify; did you mean "verify_if_given"?`},
		{name: "an unknown option", line: "tls a.pem a.key {\n  keylogs x\n }", want: `Corefile:3: tls: unknown option "keylogs"; did you mean "keylog"? (known options: client_auth, keylog)`},
		{name: "a log that cannot be written", line: "tls a.pem a.key {\n  keylog none/keys\n }", want: "Corefile:2: tls: keylog: open DIR/none/keys: no such file or directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(io.Discard)
			env.Dir = dir
			_, err := listen(t, env, test.line)
			if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	authority, dir := block.NewAuthority(t), t.TempDir()
	authority.Issue(t, dir, "dns")
	writeFile(t, filepath.Join(dir, "ca.pem"), readFile(t, authority.File))
	for _, example := range block.Examples(t) {
		env := block.NewEnv(io.Discard)
		env.Dir = dir
		if _, err := Spec().Build(env, block.Lines(t, example, "tls")); err != nil {
			t.Errorf("%v in the example\n%s", err, example)
		}
	}
}
