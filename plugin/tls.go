package plugin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificatePause is the least time between two looks at the files of a certificate. They are looked at when somebody
// connects: an idle server has no use for a new one.
const certificatePause = 5 * time.Second

// TLSFiles are the files in PEM form that a server's side of TLS is made of.
type TLSFiles struct {
	Cert, Key string // the server's certificate with those that lead to its root, and its private key
	CA        string // roots of the clients' certificates; empty for the system's
}

// TLS is a server's side of TLS. Its files are read again when they change: certificates are valid for weeks or hours, and
// who renews them tells nobody. New files that are no good leave the old ones in use.
type TLS struct {
	Text string // two of the same text are the same; see Listen

	files TLSFiles
	base  *tls.Config
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	config *tls.Config // guarded by mu
	stamps [3]stamp    // guarded by mu; of the files when they were last looked at
	next   time.Time   // guarded by mu; of the next look
}

// stamp tells one content of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// NewTLS reads the files. base is what else is to be said of connections; it is not to be changed any more. Versions below
// 1.2 are not spoken unless it says so (RFC 8996).
func NewTLS(files TLSFiles, base *tls.Config, now func() time.Time, log *slog.Logger) (*TLS, error) {
	if base.MinVersion == 0 {
		base = base.Clone()
		base.MinVersion = tls.VersionTLS12
	}
	t := &TLS{files: files, base: base, now: now, log: log}
	t.stamps, t.next = files.stamps(), now().Add(certificatePause)
	var err error
	t.config, err = t.load()
	return t, err
}

// Identity is the text that tells t from others; empty for none at all.
func (t *TLS) Identity() string {
	if t == nil {
		return ""
	}
	return t.Text
}

// Config is the configuration of a connection that comes in now.
func (t *TLS) Config() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); !now.Before(t.next) {
		t.next = now.Add(certificatePause)
		if stamps := t.files.stamps(); stamps != t.stamps {
			t.stamps = stamps
			t.renew()
		}
	}
	return t.config
}

// renew takes the changed files. t.mu is held.
func (t *TLS) renew() {
	config, err := t.load()
	if err != nil {
		t.log.Warn("the certificate stays the old one", "error", err)
		return
	}
	t.config = config
	t.log.Info("the certificate was read again", "file", t.files.Cert, "expires", config.Certificates[0].Leaf.NotAfter.UTC().Format(time.RFC3339))
}

func (t *TLS) load() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(t.files.Cert, t.files.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", t.files.Cert, t.files.Key, err)
	}
	config := t.base.Clone()
	config.Certificates = []tls.Certificate{certificate}
	if t.files.CA == "" {
		return config, nil
	}
	roots, err := os.ReadFile(t.files.CA)
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", t.files.CA)
	}
	return config, nil
}

func (f *TLSFiles) stamps() (list [3]stamp) {
	for i, name := range [...]string{f.Cert, f.Key, f.CA} {
		if info, err := os.Stat(name); err == nil { // one that cannot be read shows when it is
			list[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return list
}
