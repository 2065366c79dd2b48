package forward

import (
	"crypto/tls"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
	exam "github.com/nameplane/nameplane/test/forward"
)

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
	ca := exam.NewAuthority(t)
	byAddress, byName := ca.Issue(t, "address", ""), ca.Issue(t, "name", "dns.example")
	ca.Issue(t, "client", "client.example")
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
			config := &tls.Config{Certificates: []tls.Certificate{c.cert}, ClientCAs: ca.Pool()}
			if c.client {
				config.ClientAuth = tls.RequireAndVerifyClientCert
			}
			s := newTLSServer(t, config, answerAll)
			host, port, _ := strings.Cut(s.addr, ":")
			options := make([]string, len(c.options))
			for i, option := range c.options {
				for _, file := range []string{"ca.pem", "client.pem", "client.key"} {
					option = strings.ReplaceAll(option, " "+file, " "+filepath.Join(ca.Dir, file))
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
	ca := exam.NewAuthority(t)
	healthy := make(chan bool, 10)
	s := newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "address", "")}}, func(q *query) {
		if q.msg().Question[0].Qtype == dns.TypeNS {
			healthy <- true
		}
		q.answer()
	})
	h, _, _ := built(t, ". tls://"+s.addr, "prefer_udp", "tls "+filepath.Join(ca.Dir, "ca.pem"))
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
	ca := exam.NewAuthority(t)
	const queries = 8 * streamWidth
	for _, encrypted := range []bool{false, true} {
		t.Run(map[bool]string{true: "TLS", false: "TCP"}[encrypted], func(t *testing.T) {
			t.Parallel()
			held := make(chan *query, queries)
			hold := func(q *query) { held <- q }
			to, options := "", []string{"force_tcp", "read_timeout 5s"}
			var s *server
			if encrypted {
				s = newTLSServer(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "address", "")}}, hold)
				to, options = "tls://"+s.addr, append(options, "tls "+filepath.Join(ca.Dir, "ca.pem"))
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
