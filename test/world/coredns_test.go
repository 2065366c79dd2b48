package world

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/kube"
	"github.com/nameplane/nameplane/test/peer"
)

// The questions must be worth asking: CoreDNS has to answer them all, a fair share of them with records, some of those
// with more than fits, and every ordinary kind of name has to exist.
func TestCoreDNSAnswersTheQuestions(t *testing.T) {
	peer.E2E(t)
	t.Parallel()
	w := New(1)
	cluster := kube.Start(t, kube.Options{})
	cluster.Load(t, w.Objects()...)
	server := peer.StartCoreDNS(t, fmt.Sprintf(`. {
		bind 127.0.0.1
		kubernetes cluster.local in-addr.arpa ip6.arpa {
			kubeconfig %s
			pods insecure
			fallthrough in-addr.arpa ip6.arpa
		}
		forward . %s
	}`, cluster.RestrictedKubeconfig(t), ServeUpstream(t)))

	const n = 5000
	answered, truncated, positive := 0, 0, map[string]int{}
	for _, q := range w.Questions(n) {
		client := dns.Client{Net: q.Proto, Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}
		reply, _, err := client.ExchangeContext(t.Context(), q.Msg, server)
		if err != nil {
			t.Fatalf("%s over %s: %v\n%s", q.Why, q.Proto, err, q.Msg)
		}
		if len(reply.Answer) > 0 {
			answered++
			positive[q.Why]++
		}
		if reply.Truncated {
			truncated++
		}
	}
	if answered < n/6 || truncated < n/200 {
		t.Errorf("of %d replies %d have answers and %d are truncated, want a sixth and a two hundredth at least", n, answered, truncated)
	}
	for _, why := range ordinary {
		if why != "apex" && positive[why] == 0 { // CoreDNS has no service of its own here, so that its apex is empty
			t.Errorf("no question for this kind of name was answered with records: %s", why)
		}
	}
}

func TestServeUpstream(t *testing.T) {
	t.Parallel()
	address := ServeUpstream(t)
	question := new(dns.Msg).SetQuestion("many.example.org.", dns.TypeAAAA)
	for _, tc := range []struct {
		proto     string
		truncated bool
	}{
		{proto: "udp", truncated: true}, // 60 addresses do not fit into 512 bytes
		{proto: "tcp", truncated: false},
	} {
		client := dns.Client{Net: tc.proto, Timeout: 5 * time.Second}
		reply, _, err := client.ExchangeContext(t.Context(), question, address)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Truncated != tc.truncated || !tc.truncated && len(reply.Answer) != 60 {
			t.Errorf("%s: truncated %v with %d answers", tc.proto, reply.Truncated, len(reply.Answer))
		}
	}
}
