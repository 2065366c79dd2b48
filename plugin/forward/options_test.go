package forward

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// coded is an upstream that answers with an rcode; NOERROR means no data.
func coded(t *testing.T, rcode int) *server {
	return newServer(t, func(q *query) { q.send(packed(q.reply(rcode))) })
}

// TestFailover: a response code that the option lists is a reason to ask the next upstream; the last one's reply counts.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		rcodes []int // of the upstreams; -1 for one that answers well, -2 for silence
		option string
		want   string
		asked  []int
	}{
		{name: "no option", rcodes: []int{dns.RcodeServerFailure, -1}, want: "SERVFAIL", asked: []int{1, 0}},
		{name: "another code", rcodes: []int{dns.RcodeRefused, -1}, option: "failover SERVFAIL", want: "REFUSED", asked: []int{1, 0}},
		{name: "the second knows", rcodes: []int{dns.RcodeServerFailure, -1}, option: "failover servfail", want: "good", asked: []int{1, 1}},
		{name: "the third knows", rcodes: []int{dns.RcodeServerFailure, dns.RcodeRefused, -1}, option: "failover SERVFAIL REFUSED", want: "good", asked: []int{1, 1, 1}},
		{name: "nobody knows", rcodes: []int{dns.RcodeServerFailure, dns.RcodeRefused}, option: "failover SERVFAIL REFUSED", want: "REFUSED", asked: []int{1, 1}},
		{name: "only one", rcodes: []int{dns.RcodeServerFailure}, option: "failover SERVFAIL", want: "SERVFAIL", asked: []int{1}},
		{name: "NXDOMAIN", rcodes: []int{dns.RcodeNameError, -1}, option: "failover NXDOMAIN", want: "good", asked: []int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			to, servers := ".", []*server{}
			for _, rcode := range c.rcodes {
				s := marked(t, "good")
				if rcode >= 0 {
					s = coded(t, rcode)
				}
				to += " " + s.addr
				servers = append(servers, s)
			}
			h, _, _ := built(t, to, "policy sequential", c.option)
			if got := by(mustAsk(t, h, "www.example.org.")); got != c.want {
				t.Errorf("answered %s, want %s", got, c.want)
			}
			for i, s := range servers {
				if s.count("udp") != c.asked[i] {
					t.Errorf("upstream %d was asked %d times, want %d", i, s.count("udp"), c.asked[i])
				}
			}
			if only(h).doubtful() {
				t.Error("a reply made its upstream suspect")
			}
		})
	}
}

// TestNext: some replies leave the question to a forward line behind, and only to one of those.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		rcode  int
		option string
		second string // FROM of the second line; empty for none
		want   string
	}{
		{name: "no option", rcode: dns.RcodeNameError, second: ".", want: "NXDOMAIN"},
		{name: "listed", rcode: dns.RcodeNameError, option: "next SERVFAIL NXDOMAIN", second: ".", want: "second"},
		{name: "not listed", rcode: dns.RcodeRefused, option: "next SERVFAIL NXDOMAIN", second: ".", want: "REFUSED"},
		{name: "no other line", rcode: dns.RcodeNameError, option: "next NXDOMAIN", want: "NXDOMAIN"},
		{name: "nodata", rcode: dns.RcodeSuccess, option: "next_on_nodata", second: ".", want: "second"},
		{name: "not nodata", rcode: dns.RcodeNameError, option: "next_on_nodata", second: ".", want: "NXDOMAIN"},
		{name: "nodata without the option", rcode: dns.RcodeSuccess, option: "next NXDOMAIN", second: ".", want: "NOERROR"},
		{name: "the other line is for other names", rcode: dns.RcodeNameError, option: "next NXDOMAIN", second: "example.net", want: "YXDOMAIN"}, // the directives behind
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first, second := coded(t, c.rcode), marked(t, "second")
			text := ". {\n forward . " + first.addr + " {\n  " + c.option + "\n }\n"
			if c.second != "" {
				text += " forward " + c.second + " " + second.addr + "\n"
			}
			h, err := Spec().Build(block.NewEnv(new(block.Buffer)), block.Lines(t, text+"}", "forward"))
			if err != nil {
				t.Fatal(err)
			}
			x := block.NewExchange(t, "www.example.org.", dns.TypeTXT)
			if err := block.Serve(x, h, block.Reply(dns.RcodeYXDomain)); err != nil {
				t.Fatal(err)
			}
			if got := by(block.Answer(t, x)); got != c.want {
				t.Errorf("answered %s, want %s", got, c.want)
			}
		})
	}
}

func TestMaxConnectAttempts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		option      string
		least, most int
	}{
		{option: "", least: 4, most: 4},
		{option: "max_connect_attempts 1", least: 1, most: 1},
		{option: "max_connect_attempts 3", least: 3, most: 3},
		{option: "max_connect_attempts 9", least: 9, most: 9},
		{option: "max_connect_attempts 0", least: 5, most: 60}, // until the time is over, with a pause after each round
	} {
		t.Run(c.option, func(t *testing.T) {
			t.Parallel()
			h, env, _ := built(t, ". "+deadAddress(t)+" "+deadAddress(t), "policy sequential", "max_fails 0", c.option)
			h.forwards[0].total = 300 * time.Millisecond
			if c.option != "max_connect_attempts 0" {
				h.forwards[0].total = time.Minute
			}
			if _, err := ask(t, h, "www.example.org."); !errors.Is(err, syscall.ECONNREFUSED) && !os.IsTimeout(errors.Unwrap(err)) {
				t.Fatalf("error %v", err)
			}
			asked := 0.0
			for _, u := range *h.forwards[0].upstreams.Load() {
				asked += max(0, value(t, env, "coredns_forward_requests_total", map[string]string{"to": u.to}))
			}
			if asked < float64(c.least) || asked > float64(c.most) {
				t.Errorf("%v attempts, want %d to %d", asked, c.least, c.most)
			}
		})
	}
}

func TestFailfast(t *testing.T) {
	t.Parallel()
	s := marked(t, "1")
	h, env, _ := built(t, ". "+s.addr, "failfast_all_unhealthy_upstreams")
	only(h).fails.Store(3)
	if _, err := ask(t, h, "www.example.org."); !errors.Is(err, errNoHealthy) {
		t.Errorf("error %v", err)
	}
	if s.count("udp") != 0 || value(t, env, "coredns_forward_healthcheck_broken_total", map[string]string{}) != 1 {
		t.Errorf("asked %d times", s.count("udp"))
	}
}

func TestSourceAddress(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	h, _, _ := built(t, ". "+s.addr, "source_address 127.0.0.77")
	for _, transport := range []plugin.Transport{plugin.UDP, plugin.TCP} {
		x := block.NewExchange(t, "www.example.org.", dns.TypeA)
		x.Transport = transport
		if _, err := send(t, h, x); err != nil {
			t.Skip("this system has no 127.0.0.77: ", err)
		}
		for _, client := range s.clients(transport.String()) {
			if netip.MustParseAddrPort(client).Addr().String() != "127.0.0.77" {
				t.Errorf("%s: asked from %s", transport, client)
			}
		}
	}
}

// TestErrors: what the directive errors prints reads as CoreDNS prints it, and what clients are told follows RFC 8914.
func TestErrors(t *testing.T) {
	t.Parallel()
	silence, dead := newServer(t, silent).addr, deadAddress(t)
	for _, c := range []struct {
		name      string
		to        string
		transport plugin.Transport
		options   []string
		want      string
		code      uint16
	}{
		{name: "silence", to: silence, want: `^read udp 127\.0\.0\.1:\d+->` + silence + `: i/o timeout$`, code: dns.ExtendedErrorCodeNoReachableAuthority},
		{name: "silence by TCP", to: silence, transport: plugin.TCP, want: `^read tcp 127\.0\.0\.1:\d+->` + silence + `: i/o timeout$`, code: dns.ExtendedErrorCodeNoReachableAuthority},
		{name: "refused", to: dead, want: `^(read|write) udp 127\.0\.0\.1:\d+->` + dead + `: (read|write): connection refused$`, code: dns.ExtendedErrorCodeNetworkError},
		{name: "refused by TCP", to: dead, transport: plugin.TCP, want: `^dial tcp ` + dead + `: connect: connection refused$`, code: dns.ExtendedErrorCodeNetworkError},
		{name: "none tried", to: silence, options: []string{"failfast_all_unhealthy_upstreams"}, want: "^no healthy upstream$", code: dns.ExtendedErrorCodeNoReachableAuthority},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, _, _ := built(t, ". "+c.to, append(c.options, "read_timeout 200ms")...)
			if len(c.options) > 0 {
				only(h).fails.Store(3)
			}
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			x.Transport = c.transport
			_, err := send(t, h, x)
			if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
				t.Fatalf("error %q, want %s", err, c.want)
			}
			var told interface {
				ExtendedError() (code uint16, text string)
			}
			if !errors.As(err, &told) {
				t.Fatal("the error tells clients nothing")
			}
			if code, text := told.ExtendedError(); code != c.code || text == "" {
				t.Errorf("clients are told %d %q, want %d", code, text, c.code)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) != strings.Contains(c.name, "silence") {
				t.Errorf("error %v", err)
			}
		})
	}
}
