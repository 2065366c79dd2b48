package kube

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is the control plane's certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// identity is a certificate with its key, both in PEM.
type identity struct{ cert, key []byte }

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate("nameplane test authority")
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// server issues the API server's certificate, for loopback and for the names and the address that pods know it by.
func (a *authority) server() (identity, error) {
	template, err := newTemplate("kube-apiserver")
	if err != nil {
		return identity{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 96, 0, 1)}
	return a.issue(template)
}

// client issues a certificate that the API server takes as the named user of the given groups.
func (a *authority) client(user string, groups ...string) (identity, error) {
	template, err := newTemplate(user)
	if err != nil {
		return identity{}, err
	}
	template.Subject.Organization = groups
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

func (a *authority) issue(template *x509.Certificate) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	return identity{cert: encode("CERTIFICATE", der), key: encode("EC PRIVATE KEY", keyDER)}, nil
}

// newTemplate leaves a day on both sides of now: no test runs longer, and clocks differ.
func newTemplate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// files names the files that the servers read; all of them lie in the data folder.
type files struct{ ca, serverCert, serverKey, tokenKey, admin string }

func newFiles(dir string) files {
	return files{
		ca:         filepath.Join(dir, "ca.crt"),
		serverCert: filepath.Join(dir, "apiserver.crt"),
		serverKey:  filepath.Join(dir, "apiserver.key"),
		tokenKey:   filepath.Join(dir, "tokens.key"),
		admin:      filepath.Join(dir, "admin.kubeconfig"),
	}
}

// writeCredentials makes a new authority and everything that hangs on it, for an API server at url. The key that signs
// service account tokens is kept if the folder has one, so that tokens live as long as the data.
func writeCredentials(f files, url string) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	server, err := ca.server()
	if err != nil {
		return err
	}
	admin, err := ca.client("admin", "system:masters")
	if err != nil {
		return err
	}
	config, err := adminConfig(url, ca.pem, admin)
	if err != nil {
		return err
	}
	contents := []struct {
		path string
		text []byte
	}{
		{path: f.ca, text: ca.pem},
		{path: f.serverCert, text: server.cert},
		{path: f.serverKey, text: server.key},
		{path: f.admin, text: config},
	}
	if old, err := os.ReadFile(f.tokenKey); err != nil || !bytes.Contains(old, []byte("PRIVATE KEY")) {
		tokens, err := ca.client("tokens")
		if err != nil {
			return err
		}
		contents = append(contents, struct {
			path string
			text []byte
		}{path: f.tokenKey, text: tokens.key})
	}
	for _, c := range contents {
		if err := os.WriteFile(c.path, c.text, 0o600); err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
	}
	return nil
}
