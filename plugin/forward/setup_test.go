package forward

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
	"github.com/nameplane/nameplane/test/block"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	for _, example := range block.Examples(t) {
		env := block.NewEnv(new(block.Buffer))
		resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(resolvConf, []byte("nameserver 192.0.2.1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(example, "/etc/resolv.conf", resolvConf)
		if _, err := Spec().Build(env, block.Lines(t, text, "forward")); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	standard := func(change func(s *settings)) settings {
		s := settings{
			from: plugin.Zones{wire.Root}, policy: "random", maxFails: 2, maxAttempts: -1, expire: 10 * time.Second, readTimeout: 2 * time.Second,
			check: check{interval: 500 * time.Millisecond, patience: time.Second, name: wire.Root, recursion: true},
		}
		change(&s)
		return s
	}
	for _, c := range []struct {
		name    string
		options []string
		want    settings
	}{
		{name: "none", want: standard(func(*settings) {})},
		{name: "kubeadm", options: []string{"max_concurrent 1000"}, want: standard(func(s *settings) { s.maxConcurrent = 1000 })},
		{name: "NodeLocal", options: []string{"force_tcp"}, want: standard(func(s *settings) { s.forceTCP, s.check.tcp = true, true })},
		{name: "all", options: []string{"except a.org b.org", "except c.org", "prefer_udp", "policy round_robin", "max_fails 0",
			"expire 1m", "read_timeout 1s", "health_check 5s domain x.org no_rec"},
			want: standard(func(s *settings) {
				s.except = plugin.Zones{"\x01a\x03org\x00", "\x01b\x03org\x00", "\x01c\x03org\x00"}
				s.preferUDP, s.policy, s.maxFails, s.expire, s.readTimeout = true, "round_robin", 0, time.Minute, time.Second
				s.check = check{interval: 5 * time.Second, patience: time.Second, name: "\x01x\x03org\x00"}
			})},
		{name: "all of the others", options: []string{"max_age 1m", "max_idle_conns 5", "max_connect_attempts 0", "failfast_all_unhealthy_upstreams",
			"failover servfail REFUSED", "failover 	NOTIMP", "next nxdomain NOERROR", "next_on_nodata", "source_address 192.0.2.9",
			"resolver 192.0.2.10 [2001:db8::1]:54", "tls_servername dns.example"},
			want: standard(func(s *settings) {
				s.maxAge, s.maxIdle, s.maxAttempts, s.failfast, s.nextOnNodata = time.Minute, 5, 0, true, true
				s.failover = []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented}
				s.next = []int{dns.RcodeNameError, dns.RcodeSuccess}
				s.source, s.serverName = netip.MustParseAddr("192.0.2.9"), "dns.example"
				s.resolvers = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:53"), netip.MustParseAddrPort("[2001:db8::1]:54")}
			})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, _, _ := built(t, ". 192.0.2.1", c.options...)
			diff := cmp.Diff(c.want, h.forwards[0].settings, cmp.AllowUnexported(settings{}, check{}), cmpopts.EquateEmpty(),
				cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreFields(settings{}, "tls"))
			if diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestUpstreams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"resolv.conf": "# comment\nsearch example.org\nnameserver 192.0.2.7\nnameserver 2001:db8::1\n options ndots:5\nnameserver\tfe80::1%lo\n",
		"empty":       "search example.org\n",
		"broken":      "\nnameserver ns.example.org\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		to   string
		want []string
		bad  string // a part of the error
	}{
		{to: "192.0.2.1", want: []string{"192.0.2.1:53"}},
		{to: "192.0.2.1:5353", want: []string{"192.0.2.1:5353"}},
		{to: "dns://192.0.2.1", want: []string{"192.0.2.1:53"}},
		{to: "dns://192.0.2.1:5353", want: []string{"192.0.2.1:5353"}},
		{to: "2001:db8::1", want: []string{"[2001:db8::1]:53"}},
		{to: "[2001:db8::1]", want: []string{"[2001:db8::1]:53"}},
		{to: "[2001:db8::1]:54", want: []string{"[2001:db8::1]:54"}},
		{to: "dns://[fe80::1%eth0]:54", want: []string{"[fe80::1%eth0]:54"}},
		{to: "::ffff:192.0.2.1", want: []string{"192.0.2.1:53"}},
		{to: "192.0.2.1 192.0.2.2 192.0.2.1:53", want: []string{"192.0.2.1:53", "192.0.2.2:53"}},
		{to: "resolv.conf", want: []string{"192.0.2.7:53", "[2001:db8::1]:53", "[fe80::1%lo]:53"}},
		{to: filepath.Join(dir, "resolv.conf") + " 192.0.2.7", want: []string{"192.0.2.7:53", "[2001:db8::1]:53", "[fe80::1%lo]:53"}},
		{to: "empty", bad: `"empty" has no nameserver line`},
		{to: "empty 192.0.2.1", want: []string{"192.0.2.1:53"}},
		{to: "tls://192.0.2.1", want: []string{"tls 192.0.2.1:853"}},
		{to: "tls://192.0.2.1:1853 192.0.2.1:1853", want: []string{"tls 192.0.2.1:1853", "192.0.2.1:1853"}},
		{to: "tls://192.0.2.1%Dns.example tls://192.0.2.1%dns.example:853", want: []string{"tls 192.0.2.1:853 dns.example"}},
		{to: "tls://192.0.2.1%dns.example:10853", want: []string{"tls 192.0.2.1:10853 dns.example"}},
		{to: "tls://192.0.2.1%a.example tls://192.0.2.1%b.example", want: []string{"tls 192.0.2.1:853 a.example", "tls 192.0.2.1:853 b.example"}},
		{to: "tls://[2001:db8::1]", want: []string{"tls [2001:db8::1]:853"}},
		{to: "tls://2001:db8::1%dns.example", want: []string{"tls [2001:db8::1]:853 dns.example"}},
		{to: "tls://[2001:db8::1%dns.example]:853", want: []string{"tls [2001:db8::1]:853 dns.example"}},
		{to: "tls://2001:db8::1%dns.example:1853", want: []string{"tls [2001:db8::1]:1853 dns.example"}},
		{to: "ns.example.org", want: []string{}}, // looked up when the instance starts
		{to: "dns://ns.example.org:5353 tls://dns.example 192.0.2.1", want: []string{"192.0.2.1:53"}},
		{to: "broken", bad: `broken:2: nameserver "ns.example.org" is not an IP address`},
		{to: "/missing", bad: `"/missing" is neither an IP address nor a file nor a host name`},
		{to: "./missing.conf", bad: "neither an IP address nor a file nor a host name"},
		{to: ".", bad: "cannot be read as a resolv.conf"},
		{to: "192.0.2.1:0", bad: "neither an IP address nor a file"},
		{to: "192.0.2.1:99999", bad: "neither an IP address nor a file"},
		{to: "192.0.2.256", bad: "neither an IP address nor a file"},
		{to: "ns.example.org:http", bad: "neither an IP address nor a file"},
		{to: "a..b", bad: "neither an IP address nor a file"},
		{to: "tls://", bad: "neither an IP address nor a file"},
		{to: "https://192.0.2.1", bad: "https:// are not built"},
		{to: "quic://192.0.2.1", bad: "quic:// are not built"},
		{to: "grpc://192.0.2.1", bad: "grpc:// are not built"},
		{to: "ftp://192.0.2.1", bad: "ftp:// is not a transport"},
		{to: strings.Repeat("192.0.2.1 ", 16), bad: "16 upstreams are given; at most 15 are allowed"},
	} {
		t.Run(c.to, func(t *testing.T) {
			t.Parallel()
			env := block.NewEnv(new(block.Buffer))
			env.Dir = dir
			h, err := Spec().Build(env, block.Lines(t, "example.org {\n\n forward . "+c.to+"\n}", "forward"))
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) || !strings.HasPrefix(err.Error(), "Corefile:3: ") {
					t.Fatalf("error %v, want %q at Corefile:3", err, c.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range *h.(*Handler).forwards[0].upstreams.Load() {
				text := u.to
				if u.tls {
					text = strings.TrimSpace("tls " + u.to + " " + u.server)
				}
				got = append(got, text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("upstreams %v, want %v", got, c.want)
			}
		})
	}
}

func TestBadLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		line string
		want []string
	}{
		{name: "nothing", line: "forward", want: []string{"Corefile:2: forward: wants at least 2 arguments"}},
		{name: "no TO", line: "forward .", want: []string{"Corefile:2: forward: wants at least 2 arguments"}},
		{name: "bad FROM", line: "forward a..b 192.0.2.1", want: []string{`Corefile:2: "a..b"`}},
		{name: "bad CIDR", line: "forward 10.0.0.0/99 192.0.2.1", want: []string{"Corefile:2: ", "address block"}},
		{name: "unknown option", line: "forward . 192.0.2.1 {\n max_concurent 5\n}", want: []string{`Corefile:3: `, `did you mean "max_concurrent"`}},
		{name: "unknown policy", line: "forward . 192.0.2.1 {\n policy rand\n}", want: []string{"Corefile:3: ", "sequential"}},
		{name: "except without a name", line: "forward . 192.0.2.1 {\n except\n}", want: []string{"Corefile:3: except"}},
		{name: "negative max_fails", line: "forward . 192.0.2.1 {\n max_fails -1\n}", want: []string{"Corefile:3: max_fails"}},
		{name: "flag with an argument", line: "forward . 192.0.2.1 {\n force_tcp yes\n}", want: []string{"Corefile:3: force_tcp"}},
		{name: "negative duration", line: "forward . 192.0.2.1 {\n expire -1s\n}", want: []string{"Corefile:3: expire"}},
		{name: "read_timeout 0", line: "forward . 192.0.2.1 {\n read_timeout 0s\n}", want: []string{"Corefile:3: read_timeout"}},
		{name: "health_check without a unit", line: "forward . 192.0.2.1 {\n health_check 5\n}", want: []string{"Corefile:3: health_check", "5s"}},
		{name: "health_check word", line: "forward . 192.0.2.1 {\n health_check 5s norec\n}", want: []string{`Corefile:3: health_check: "norec" is not understood`}},
		{name: "health_check domain", line: "forward . 192.0.2.1 {\n health_check 5s domain\n}", want: []string{`"domain" is not understood`}},
		{name: "health_check name", line: "forward . 192.0.2.1 {\n health_check 5s domain a..b\n}", want: []string{`"a..b" is not a domain name`}},
		{name: "all at once", line: "forward . https://192.0.2.1 {\n policy x\n maxfails 2\n}",
			want: []string{"Corefile:2: ", "Corefile:3: ", "Corefile:4: ", `"max_fails"`}},
		{name: "doh_method", line: "forward . 192.0.2.1 {\n doh_method GET\n}", want: []string{"Corefile:3: doh_method", "not built"}},
		{name: "no rcode", line: "forward . 192.0.2.1 {\n next\n failover\n}", want: []string{"Corefile:3: next", "Corefile:4: failover"}},
		{name: "unknown rcode", line: "forward . 192.0.2.1 {\n next SERVFIAL\n}", want: []string{`Corefile:3: next: "SERVFIAL" is not a response code`}},
		{name: "failover without an error", line: "forward . 192.0.2.1 {\n failover NOERROR\n}", want: []string{"Corefile:3: failover: NOERROR is no reason"}},
		{name: "source_address", line: "forward . 192.0.2.1 {\n source_address eth0\n}", want: []string{`Corefile:3: source_address: "eth0" is not an IP address`}},
		{name: "resolver", line: "forward . 192.0.2.1 {\n resolver ns.example\n}", want: []string{`Corefile:3: resolver: "ns.example" is not an address`}},
		{name: "max_age below expire", line: "forward . 192.0.2.1 {\n max_age 5s\n}", want: []string{"Corefile:2: forward: max_age 5s is less than expire 10s"}},
		{name: "two server names", line: "forward . tls://192.0.2.1%a.example {\n tls_servername b.example\n}", want: []string{`names its server, and tls_servername names another, "b.example"`}},
		{name: "tls of four", line: "forward . tls://192.0.2.1 {\n tls a b c d\n}", want: []string{"Corefile:3: tls: wants at most 3"}},
		{name: "tls without files", line: "forward . tls://192.0.2.1 {\n tls /none/cert /none/key\n}", want: []string{`Corefile:3: tls: certificate "/none/cert" with key "/none/key"`}},
		{name: "tls without a CA", line: "forward . tls://192.0.2.1 {\n tls /none/ca\n}", want: []string{"Corefile:3: tls: the CA's certificates cannot be read"}},
		{name: "two lines", line: "forward . /a {\n}\n forward . /b", want: []string{"Corefile:2: ", "Corefile:4: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkBad(t, ". {\n"+c.line+"\n}", c.want...)
		})
	}
}

func checkBad(t *testing.T, text string, want ...string) {
	t.Helper()
	h, err := Spec().Build(block.NewEnv(new(block.Buffer)), block.Lines(t, text, "forward"))
	if err == nil || h != nil {
		t.Fatalf("no error for\n%s", text)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error\n%v\ndoes not contain %q", err, part)
		}
	}
}

// A reload builds the directive anew on the same registry.
func TestBuiltTwice(t *testing.T) {
	t.Parallel()
	env := block.NewEnv(new(block.Buffer))
	for range 2 {
		if _, err := Spec().Build(env, block.Lines(t, ". {\n forward . 192.0.2.1\n}", "forward")); err != nil {
			t.Fatal(err)
		}
	}
}
