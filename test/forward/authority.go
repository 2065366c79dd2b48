package forward

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a CA whose certificate is in the file ca.pem of its folder, beside those that it issued and their keys.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	Dir  string
}

// NewAuthority makes a CA in a folder of its own.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{Dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(t, "ca", template, template, nil)
	return a
}

// sign makes a certificate and writes it and its key to files, "NAME.pem" and "NAME.key"; without a signer it signs
// itself.
func (a *Authority) sign(t testing.TB, name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, part := range map[string]*pem.Block{
		filepath.Join(a.Dir, name+".pem"): {Type: "CERTIFICATE", Bytes: der},
		filepath.Join(a.Dir, name+".key"): {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(part), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Issue makes a certificate for a name, or for 127.0.0.1 without one, in FILE.pem and FILE.key.
func (a *Authority) Issue(t testing.TB, file, name string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: file}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name != "" {
		template.DNSNames = []string{name}
	} else {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	a.sign(t, file, template, a.cert, a.key)
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.Dir, file+".pem"), filepath.Join(a.Dir, file+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Pool is the CA's certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}
