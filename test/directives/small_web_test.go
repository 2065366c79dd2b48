package directives

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// starts runs both servers, each with its own Corefile: "PORT" stands for a free port.
func starts(t *testing.T, corefile string) (servers [2]string, ports [2]int) {
	t.Helper()
	peer.E2E(t)
	for i, start := range []func(testing.TB, string) string{peer.StartCoreDNS, peer.StartNameplane} {
		free, err := peer.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = free[0]
		servers[i] = start(t, strings.ReplaceAll(corefile, "PORT", fmt.Sprint(ports[i])))
	}
	return servers, ports
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(text)
}

// TestSmallMetrics: after the same questions the same counters have the same values, but for ports.
func TestSmallMetrics(t *testing.T) {
	up := serveDNS(t, witness)
	servers, ports := starts(t, `. {
bind 127.0.0.1
prometheus 127.0.0.1:PORT
local
dns64 {
allow_ipv4
}
acl blocked.test {
block type A
filter type AAAA
allow type TXT
}
acl {
drop type MX
}
forward . `+up+"\n}\n")
	questions := []string{"a.blocked.test A", "b.blocked.test A", "a.blocked.test AAAA", "a.blocked.test TXT", "a.other.test A", "a.localhost A", "localhost.x A", "localhost A",
		"old.test AAAA", "a.test AAAA", "nx.test AAAA"}
	var found [2][]string
	for i, server := range servers {
		for _, question := range questions {
			p := probe{question: question}
			if p.ask(server) == nil {
				t.Fatalf("%s: no reply to %s", server, question)
			}
		}
		silent := probe{question: "a.other.test MX", silent: true}
		if silent.ask(server) != nil {
			t.Errorf("%s: there is a reply to a query that is to be dropped", server)
		}
		_, text := get(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[i]))
		_, port, _ := net.SplitHostPort(server)
		for line := range strings.Lines(text) {
			line = strings.ReplaceAll(strings.TrimSpace(line), ":"+port, ":PORT")
			ours := strings.HasPrefix(line, "coredns_acl_") || strings.HasPrefix(line, "coredns_local_") || strings.HasPrefix(line, "coredns_dns64_")
			if ours && !strings.HasSuffix(line, " 0") {
				found[i] = append(found[i], line)
			}
		}
		slices.Sort(found[i])
	}
	if diff := cmp.Diff(found[0], found[1]); diff != "" || len(found[0]) < 6 {
		t.Errorf("counters (-CoreDNS +Nameplane):\n%s\n%s", diff, strings.Join(found[0], "\n"))
	}
}

func TestPprof(t *testing.T) {
	servers, ports := starts(t, ". {\nbind 127.0.0.1\npprof 127.0.0.1:PORT {\nblock\n}\nwhoami\n}\n")
	for _, path := range []string{"", "/", "/heap?debug=1", "/goroutine?debug=1", "/block?debug=1", "/cmdline", "/symbol", "/trace?seconds=0.1", "/profile?seconds=1", "/nothing"} {
		theirs, _ := get(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof%s", ports[0], path))
		ours, body := get(t, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof%s", ports[1], path))
		if theirs != ours {
			t.Errorf("%s: status %d, CoreDNS %d: %s", path, ours, theirs, body)
		}
	}
	for _, server := range servers {
		if (&probe{question: "a.test A"}).ask(server) == nil {
			t.Errorf("%s does not answer", server)
		}
	}
}

// TestCancel: an upstream that does not reply costs the client no more than the timeout.
func TestCancel(t *testing.T) {
	silence := serveDNS(t, func(dns.ResponseWriter, *dns.Msg) {})
	servers, _ := starts(t, ". {\nbind 127.0.0.1\ncancel 300ms\nforward . "+silence+"\n}\n")
	for _, server := range servers {
		start := time.Now()
		m := (&probe{question: "a.test A"}).ask(server)
		if m == nil || m.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: reply %v, want SERVFAIL", server, m)
		}
		t.Logf("%s answered in %v", server, time.Since(start))
		if took := time.Since(start); server == servers[1] && took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}
