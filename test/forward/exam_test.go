package forward

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// set is a server block: the zone NAME.test, forwarded as lines say.
type set struct {
	name  string
	lines string // of the block; DEAD, GOOD, OTHER, TLS stand for upstreams
	quick bool   // only questions that the first upstream answers: who is asked after a failure may differ for a moment
}

// sets are the option matrix.
func sets() []set {
	return []set{
		{name: "plain", lines: "forward . GOOD {\nOPTIONS\n}"},
		{name: "tcp", lines: "forward . GOOD {\nOPTIONS\nforce_tcp\n}"},
		{name: "udp", lines: "forward . GOOD {\nOPTIONS\nprefer_udp\n}"},
		{name: "both", lines: "forward . GOOD {\nOPTIONS\nprefer_udp\nforce_tcp\n}"},
		{name: "tls", lines: "forward . tls://TLS {\nOPTIONS\ntls CA\ntls_servername dns.example\n}"},
		{name: "tlsname", lines: "forward . tls://TLSHOST%dns.example:TLSPORT {\nOPTIONS\ntls CERT KEY CA\nprefer_udp\n}"},
		{name: "tlsbad", lines: "forward . tls://TLS {\nOPTIONS\ntls CA\n}", quick: true},
		{name: "sequential", lines: "forward . GOOD OTHER {\nOPTIONS\npolicy sequential\n}", quick: true},
		{name: "deadfirst", lines: "forward . DEAD GOOD {\nOPTIONS\npolicy sequential\nmax_fails 0\n}", quick: true},
		{name: "deadrandom", lines: "forward . DEAD GOOD {\nOPTIONS\npolicy random\n}", quick: true},
		{name: "deadrobin", lines: "forward . DEAD GOOD {\nOPTIONS\npolicy round_robin\nforce_tcp\n}", quick: true},
		{name: "dead", lines: "forward . DEAD {\nOPTIONS\n}", quick: true},
		{name: "failfast", lines: "forward . DEAD {\nOPTIONS\nfailfast_all_unhealthy_upstreams\nhealth_check 10ms no_rec domain up.test\nmax_fails 1\n}", quick: true},
		{name: "failover", lines: "forward . GOOD OTHER {\nOPTIONS\npolicy sequential\nfailover SERVFAIL refused NXDOMAIN\n}", quick: true},
		{name: "failoverone", lines: "forward . GOOD {\nOPTIONS\nfailover SERVFAIL REFUSED\n}", quick: true},
		{name: "next", lines: "forward . GOOD {\nOPTIONS\nnext NXDOMAIN SERVFAIL\n}\nforward . OTHER", quick: true},
		{name: "nextnodata", lines: "forward . GOOD {\nOPTIONS\nnext_on_nodata\n}\nforward . OTHER", quick: true},
		{name: "nextlast", lines: "forward . GOOD {\nOPTIONS\nnext NXDOMAIN\nnext_on_nodata\n}", quick: true},
		{name: "except", lines: "forward . GOOD {\nOPTIONS\nexcept www.except.test nx.except.test. other.test\n}\nforward www.except.test OTHER", quick: true},
		{name: "narrow", lines: "forward www.narrow.test GOOD\nforward nx.narrow.test OTHER", quick: true},
		{name: "one", lines: "forward . GOOD {\nOPTIONS\nmax_connect_attempts 1\n}"},
		{name: "links", lines: "forward . GOOD {\nOPTIONS\nexpire 100ms\nmax_age 200ms\nmax_idle_conns 1\nsource_address 127.0.0.1\nmax_concurrent 1000\n}"},
		{name: "host", lines: "forward . loopback.up.test:PORT {\nOPTIONS\nresolver RESOLVER\n}", quick: true},
	}
}

// corefile is the one of both servers.
func corefile(all []set, words *strings.Replacer) string {
	var text strings.Builder
	for _, s := range all {
		fmt.Fprintf(&text, "%s.test {\nbind 127.0.0.1\nerrors\n%s\n}\n", s.name, words.Replace(s.lines))
	}
	return text.String()
}

// question is one packet for both servers.
type question struct {
	name  string
	qtype uint16
	proto string
	edns  uint16
	flags func(m *dns.Msg)
}

func (q question) String() string {
	return fmt.Sprintf("%s %s by %s, EDNS %d", q.name, dns.TypeToString[q.qtype], q.proto, q.edns)
}

func (q question) msg() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	if q.edns > 0 {
		m.SetEdns0(q.edns, true)
	}
	if q.flags != nil {
		q.flags(m)
	}
	return m
}

func questions(s set) (list []question) {
	labels := []string{"overlong"}
	for label := range answers(0) {
		labels = append(labels, label)
	}
	if !s.quick {
		for label := range misdeeds(make([]byte, 64)) {
			labels = append(labels, label)
		}
	}
	for _, label := range labels {
		for _, proto := range []string{"udp", "tcp"} {
			for _, edns := range []uint16{0, 1232, 4096} {
				list = append(list, question{name: label + "." + s.name + ".Test.", qtype: dns.TypeA, proto: proto, edns: edns})
			}
		}
	}
	for _, name := range []string{s.name + ".test.", "a.b.www." + s.name + ".test.", "WwW." + s.name + ".tEsT."} {
		list = append(list,
			question{name: name, qtype: dns.TypeTXT, proto: "udp", flags: func(m *dns.Msg) { m.CheckingDisabled, m.AuthenticatedData = true, true }},
			question{name: name, qtype: dns.TypeSVCB, proto: "udp", flags: func(m *dns.Msg) { m.RecursionDesired = false }},
			question{name: name, qtype: dns.TypeA, proto: "tcp", flags: func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }})
	}
	return list
}

// declared is why the servers may differ in a reply to a question; empty where they may not.
func declared(label string, theirs, ours *dns.Msg) string {
	switch {
	case ours.Rcode == dns.RcodeServerFailure && theirs.Rcode == dns.RcodeFormatError && slices.Contains([]string{"other", "noise", "otherid", "huge"}, label):
		return "D10: a reply to another question is waited past, where CoreDNS answers FORMERR"
	case label == "echo" && ours.Rcode == dns.RcodeServerFailure:
		return "D10: a query is no reply"
	case label == "half" && ours.Rcode == dns.RcodeServerFailure && theirs.Truncated:
		return "D10: half a reply without TC is waited past, where CoreDNS sends its client to TCP"
	case label == "bare" && ours.Rcode == dns.RcodeRefused && theirs.Rcode == dns.RcodeFormatError:
		return "a header without a question that refuses is what it says"
	}
	return ""
}

// TestForward asks both servers everything.
func TestForward(t *testing.T) {
	peer.E2E(t)
	ca := NewAuthority(t)
	good := Serve(t, 1, ca.Issue(t, "server", "dns.example"))
	other := Serve(t, 2)
	ca.Issue(t, "client", "client.example")
	dead, err := peer.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(good.TLS, ":")
	_, plain, _ := strings.Cut(good.Addr, ":")
	words := strings.NewReplacer("DEAD", fmt.Sprintf("127.0.0.1:%d", dead[0]), "GOOD", good.Addr, "OTHER", other.Addr,
		"TLSHOST", host, "TLSPORT", port, "TLS", good.TLS, "PORT", plain, "RESOLVER", other.Addr,
		"OPTIONS", "read_timeout "+readTimeout.String(),
		"CERT", filepath.Join(ca.Dir, "client.pem"), "KEY", filepath.Join(ca.Dir, "client.key"), "CA", filepath.Join(ca.Dir, "ca.pem"))
	all := sets()
	text := corefile(all, words)
	theirs, ours := peer.StartCoreDNS(t, text), peer.StartNameplane(t, text)
	var differences tally
	work := make(chan question)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for q := range work {
				examine(t, q, theirs, ours, &differences)
			}
		})
	}
	asked := 0
	for _, s := range all {
		for _, q := range questions(s) {
			work <- q
			asked++
		}
	}
	close(work)
	workers.Wait()
	if differences.answered < asked/3 {
		t.Errorf("only %d of %d questions had an answer: the upstreams were not reached", differences.answered, asked)
	}
	t.Logf("%d questions about %d sets of options; declared differences: %v", asked, len(all), differences.by)
}

// tally counts replies with records, and declared differences by their reasons.
type tally struct {
	mu       sync.Mutex
	answered int
	by       map[string]int
}

func (t *tally) add(m *dns.Msg, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(m.Answer) > 0 {
		t.answered++
	}
	if reason == "" {
		return
	}
	if t.by == nil {
		t.by = map[string]int{}
	}
	t.by[reason]++
}

// examine compares the replies to one question.
func examine(t *testing.T, q question, theirs, ours string, differences *tally) {
	var replies [2]*dns.Msg
	var errs [2]error
	var both sync.WaitGroup
	for i, server := range []string{theirs, ours} {
		both.Go(func() {
			client := dns.Client{Net: q.proto, Timeout: 8 * time.Second, UDPSize: dns.MaxMsgSize}
			replies[i], _, errs[i] = client.Exchange(q.msg(), server)
		})
	}
	both.Wait()
	if errs[0] != nil || errs[1] != nil {
		t.Errorf("%s: coredns: %v; nameplane: %v", q, errs[0], errs[1])
		return
	}
	label, _, _ := strings.Cut(strings.ToLower(q.name), ".")
	a, b := view(replies[0]), view(replies[1])
	switch reason := declared(label, replies[0], replies[1]); {
	case a == b:
		differences.add(replies[1], "")
	case reason != "":
		differences.add(replies[1], reason)
	default:
		t.Errorf("%s:\ncoredns:   %s\nnameplane: %s", q, a, b)
	}
}

// view is what has to be the same: flags, rcode, question, records with TTLs, and EDNS. Extended errors are left out, which
// CoreDNS does not send; of what was truncated, only that it was.
func view(m *dns.Msg) string {
	h := m.MsgHdr
	h.Id = 0
	text := fmt.Sprintf("%+v %v", h, m.Question)
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var lines []string
		for _, rr := range section {
			if opt, ok := rr.(*dns.OPT); ok {
				opt.Option = slices.DeleteFunc(opt.Option, func(o dns.EDNS0) bool { return o.Option() == dns.EDNS0EDE })
				lines = append(lines, fmt.Sprintf("OPT %d %x %v", opt.UDPSize(), opt.Hdr.Ttl, opt.Option))
				continue
			}
			if !m.Truncated {
				lines = append(lines, rr.String())
			}
		}
		slices.Sort(lines)
		text += fmt.Sprintf(" %d%q", len(lines), lines)
	}
	return text
}

// TestErrorLog: what the directive errors prints of failed forwards reads the same.
func TestErrorLog(t *testing.T) {
	peer.E2E(t)
	u := Serve(t, 1)
	dead, err := peer.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(". {\nbind 127.0.0.1\nerrors\nforward . %s {\nread_timeout 100ms\n}\n}\ndead.test {\nbind 127.0.0.1\nerrors\nforward . 127.0.0.1:%d\n}\n", u.Addr, dead[0])
	for name, bin := range map[string]string{"coredns": peer.CoreDNS(t), "nameplane": peer.Nameplane(t)} {
		address, process := peer.StartServer(t, bin, text)
		for _, q := range []question{
			{name: "Silent.Example.org.", qtype: dns.TypeA, proto: "udp"}, {name: "silent.example.org.", qtype: dns.TypeAAAA, proto: "tcp"},
			{name: "www.dead.test.", qtype: dns.TypeA, proto: "udp"}, {name: "www.dead.test.", qtype: dns.TypeMX, proto: "tcp"},
		} {
			client := dns.Client{Net: q.proto, Timeout: 8 * time.Second}
			if m, _, err := client.Exchange(q.msg(), address); err != nil || m.Rcode != dns.RcodeServerFailure {
				t.Fatalf("%s: %v, %v", name, m, err)
			}
		}
		for _, want := range []string{
			`(?m)^\[ERROR\] plugin/errors: 2 silent\.example\.org\. A: read udp 127\.0\.0\.1:\d+->` + u.Addr + `: i/o timeout$`,
			`(?m)^\[ERROR\] plugin/errors: 2 silent\.example\.org\. AAAA: read tcp 127\.0\.0\.1:\d+->` + u.Addr + `: i/o timeout$`,
			`(?m)^\[ERROR\] plugin/errors: 2 www\.dead\.test\. A: (read|write) udp 127\.0\.0\.1:\d+->127\.0\.0\.1:\d+: (read|write): connection refused$`,
			`(?m)^\[ERROR\] plugin/errors: 2 www\.dead\.test\. MX: dial tcp 127\.0\.0\.1:\d+: connect: connection refused$`,
		} {
			log, err := os.ReadFile(process.Log())
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(want).Match(log) {
				t.Errorf("%s: the log has no line %s:\n%s", name, want, log)
			}
		}
	}
}
