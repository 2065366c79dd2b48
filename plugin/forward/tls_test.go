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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// authority is a CA with its certificate in a file.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key, a.file = a.sign(t, "ca", template, template, nil)
	return a
}

// sign makes a certificate and writes it and its key to files, "NAME.pem" and "NAME.key"; without a signer it signs
// itself.
func (a *authority) sign(t testing.TB, name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string) {
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
	file := filepath.Join(a.dir, name+".pem")
	for path, part := range map[string]*pem.Block{
		file:                              {Type: "CERTIFICATE", Bytes: der},
		filepath.Join(a.dir, name+".key"): {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(part), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, file
}

// issue makes a certificate for a name, or for 127.0.0.1 without one.
func (a *authority) issue(t testing.TB, file, name string) tls.Certificate {
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
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, file+".pem"), filepath.Join(a.dir, file+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// newTLSServer is a scripted upstream by TLS.
func newTLSServer(t testing.TB, config *tls.Config, script func(q *query)) *server {
	t.Helper()
	s := &server{script: script, queries: map[string]int{}, ports: map[string][]string{}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	t.Cleanup(func() {
		l.Close()
		s.closeConns()
	})
	go s.serveTCP(l)
	return s
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	byAddress, byName := ca.issue(t, "address", ""), ca.issue(t, "name", "dns.example")
	ca.issue(t, "client", "client.example")
	known := x509.NewCertPool()
	known.AddCert(ca.cert)
	for _, c := range []struct {
		name    string
		cert    tls.Certificate
		client  bool   // the server wants a certificate of the client
		server  string // behind the address
		options []string
		bad     string
	}{
		{name: "by address", cert: byAddress, options: []string{"tls ca.pem"}},
		{name: "by address, but for a name", cert: byName, options: []string{"tls ca.pem"}, bad: "doesn't contain any IP SANs"},
		{name: "tls_servername", cert: byName, options: []string{"tls ca.pem", "tls_servername dns.example"}},
		{name: "a name of its own", cert: byName, server: "%DNS.example", options: []string{"tls ca.pem"}},
		{name: "another name", cert: byName, server: "%dns.example.net", options: []string{"tls ca.pem"}, bad: "not dns.example.net"},
		{name: "unknown CA", cert: byAddress, options: []string{"tls"}, bad: "certificate signed by unknown authority"},
		{name: "no options", cert: byAddress, bad: "certificate signed by unknown authority"},
		{name: "client certificate", cert: byAddress, client: true, options: []string{"tls client.pem client.key ca.pem"}},
		{name: "no client certificate", cert: byAddress, client: true, options: []string{"tls ca.pem"}, bad: "certificate required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{Certificates: []tls.Certificate{c.cert}, ClientCAs: known}
			if c.client {
				config.ClientAuth = tls.RequireAndVerifyClientCert
			}
			s := newTLSServer(t, config, answerAll)
			host, port, _ := strings.Cut(s.addr, ":")
			options := make([]string, len(c.options))
			for i, option := range c.options {
				for _, file := range []string{"ca.pem", "client.pem", "client.key"} {
					option = strings.ReplaceAll(option, " "+file, " "+filepath.Join(ca.dir, file))
				}
				options[i] = option
			}
			h, env, _ := built(t, ". tls://"+host+c.server+":"+port, options...)
			m, err := ask(t, h, "www.example.org.")
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) {
					t.Fatalf("%v, error %v; want %s", m, err, c.bad)
				}
				return
			}
			if err != nil || len(m.Answer) != 1 {
				t.Fatalf("%v, %v", m, err)
			}
			mustAsk(t, h, "again.example.org.")
			if n := len(slices.Compact(s.clients("tcp"))); n != 1 {
				t.Errorf("%d connections for two queries", n)
			}
			labels := map[string]string{"proxy_name": "forward", "to": s.addr, "proto": "tcp-tls"}
			if hits := value(t, env, "coredns_proxy_conn_cache_hits_total", labels); hits != 1 {
				t.Errorf("%v hits of the connection cache", hits)
			}
		})
	}
}

// TLS is also how health is checked, and what a UDP client's query takes, whatever prefer_udp says.
func TestTLSOnly(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	healthy := make(chan bool, 10)
	s := newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "address", "")}}, func(q *query) {
		if q.msg().Question[0].Qtype == dns.TypeNS {
			healthy <- true
		}
		q.answer()
	})
	h, _, _ := built(t, ". tls://"+s.addr, "prefer_udp", "tls "+ca.file)
	running(t, h)
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		x := block.NewExchange(t, "www.example.org.", dns.TypeA)
		x.Transport = transport
		if _, err := send(t, h, x); err != nil {
			t.Fatal(err)
		}
	}
	only(h).suspect()
	select {
	case <-healthy:
	case <-time.After(5 * time.Second):
		t.Fatal("no health check")
	}
	eventually(t, "the upstream is well", func() bool { return !only(h).doubtful() })
}

// TestPipelining: replies may come in any order (RFC 7766, section 6.2.1.1), by TCP and by TLS.
func TestPipelining(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	const queries = 8 * streamWidth
	for _, encrypted := range []bool{false, true} {
		t.Run(map[bool]string{true: "TLS", false: "TCP"}[encrypted], func(t *testing.T) {
			t.Parallel()
			held := make(chan *query, queries)
			hold := func(q *query) { held <- q }
			to, options := "", []string{"force_tcp", "read_timeout 5s"}
			var s *server
			if encrypted {
				s = newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "address", "")}}, hold)
				to, options = "tls://"+s.addr, append(options, "tls "+ca.file)
			} else {
				s = newServer(t, hold)
				to = s.addr
			}
			h, _, _ := built(t, ". "+to, options...)
			done := make(chan string, queries)
			for i := range queries {
				go func() {
					name := strings.Repeat("x", 1+i%50) + "." + strings.Repeat("y", 1+i/50) + ".example.org."
					m, err := ask(t, h, name)
					if err != nil || len(m.Answer) != 1 || m.Answer[0].Header().Name != name {
						t.Errorf("%s: %v, %v", name, m, err)
					}
					done <- name
				}()
			}
			all := make([]*query, queries)
			for i := range all {
				all[i] = <-held
			}
			for _, q := range slices.Backward(all) { // the last first
				q.answer()
			}
			for range queries {
				<-done
			}
			clients := s.clients("tcp")
			slices.Sort(clients)
			if n := len(slices.Compact(clients)); n > streamWidth {
				t.Errorf("%d connections for %d queries at once", n, queries)
			}
		})
	}
}
