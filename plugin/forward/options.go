package forward

import (
	"crypto/tls"
	"crypto/x509"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// settings are what one line says, with CoreDNS's defaults.
type settings struct {
	from, except  plugin.Zones
	policy        string
	forceTCP      bool
	preferUDP     bool
	maxFails      int
	maxConcurrent int
	maxAttempts   int // below 0 for two each upstream, 0 for any number
	expire        time.Duration
	maxAge        time.Duration
	maxIdle       int
	readTimeout   time.Duration
	check         check
	failfast      bool
	failover      []int // rcodes
	next          []int
	nextOnNodata  bool
	source        netip.Addr
	resolvers     []netip.AddrPort
	tls           *tls.Config
	serverName    string
}

func defaults() *settings {
	return &settings{
		policy: "random", maxFails: 2, maxAttempts: -1, expire: 10 * time.Second, readTimeout: 2 * time.Second,
		check: check{interval: 500 * time.Millisecond, patience: time.Second, name: wire.Root, recursion: true},
		tls:   &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

func (s *settings) options(dir string) []corefile.Option {
	return []corefile.Option{
		corefile.Func("except", "except NAME...", 1, -1, func(o *corefile.Directive) error {
			zones, err := plugin.ParseZones(o.Args, nil)
			s.except = append(s.except, zones...)
			return err
		}).Repeated(),
		corefile.Flag("force_tcp", &s.forceTCP),
		corefile.Flag("prefer_udp", &s.preferUDP),
		corefile.Enum("policy", &s.policy, "random", "round_robin", "sequential"),
		corefile.Int("max_fails", "max_fails NUMBER", &s.maxFails, 0, math.MaxInt32),
		corefile.Int("max_concurrent", "max_concurrent NUMBER", &s.maxConcurrent, 0, math.MaxInt),
		corefile.Int("max_connect_attempts", "max_connect_attempts NUMBER", &s.maxAttempts, 0, math.MaxInt32),
		corefile.Int("max_idle_conns", "max_idle_conns NUMBER", &s.maxIdle, 0, math.MaxInt32),
		corefile.Duration("expire", "expire DURATION", &s.expire, 0, 0),
		corefile.Duration("max_age", "max_age DURATION", &s.maxAge, 0, 0),
		corefile.Duration("read_timeout", "read_timeout DURATION", &s.readTimeout, time.Nanosecond, 0),
		corefile.Func("health_check", healthForm, 1, 4, s.check.decode),
		corefile.Flag("failfast_all_unhealthy_upstreams", &s.failfast),
		rcodes("failover", &s.failover, false),
		rcodes("next", &s.next, true),
		corefile.Flag("next_on_nodata", &s.nextOnNodata),
		corefile.Func("source_address", "source_address IP", 1, 1, s.decodeSource),
		corefile.Func("resolver", "resolver IP[:PORT]...", 1, -1, s.decodeResolvers),
		corefile.Func("tls", "tls [CERT KEY] [CA]", 0, 3, func(o *corefile.Directive) error { return s.decodeTLS(o, dir) }),
		corefile.String("tls_servername", "tls_servername NAME", &s.serverName),
		corefile.Func("doh_method", "doh_method GET|POST", 1, 1, func(o *corefile.Directive) error {
			return o.Errorf("it is for upstreams by https://, which are not built; leave it out")
		}),
	}
}

// rcodes is an option that lists response codes by name.
func rcodes(name string, into *[]int, success bool) corefile.Option {
	return corefile.Func(name, name+" RCODE...", 1, -1, func(o *corefile.Directive) error {
		var problems corefile.Errors
		for _, arg := range o.Args {
			rcode, ok := dns.StringToRcode[strings.ToUpper(arg.Text)]
			switch {
			case !ok:
				problems.Join(o.Errorf("%q is not a response code such as SERVFAIL or NXDOMAIN", arg.Text))
			case rcode == dns.RcodeSuccess && !success:
				problems.Join(o.Errorf("%s is no reason to ask another upstream; name codes that are errors", arg.Text))
			default:
				*into = append(*into, rcode)
			}
		}
		return problems.Err()
	}).Repeated()
}

func (s *settings) decodeSource(o *corefile.Directive) error {
	addr, err := netip.ParseAddr(o.Args[0].Text)
	if err != nil {
		return o.Errorf("%q is not an IP address", o.Args[0].Text)
	}
	s.source = addr.Unmap()
	return nil
}

func (s *settings) decodeResolvers(o *corefile.Directive) error {
	var problems corefile.Errors
	for _, arg := range o.Args {
		addr, port, ok := parseAddress(arg.Text, dnsPort)
		if !ok {
			problems.Join(o.Errorf("%q is not an address; write IP[:PORT]", arg.Text))
			continue
		}
		s.resolvers = append(s.resolvers, netip.AddrPortFrom(addr, port))
	}
	return problems.Err()
}

// decodeTLS reads the files of "tls [CERT KEY] [CA]".
func (s *settings) decodeTLS(o *corefile.Directive, dir string) error {
	files := make([]string, len(o.Args))
	for i, arg := range o.Args {
		files[i] = arg.Text
		if !filepath.IsAbs(arg.Text) {
			files[i] = filepath.Join(dir, arg.Text)
		}
	}
	if len(files) >= 2 {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			return o.Errorf("certificate %q with key %q cannot be used: %v", o.Args[0].Text, o.Args[1].Text, err)
		}
		s.tls.Certificates = []tls.Certificate{pair}
		files = files[2:]
	}
	if len(files) == 1 {
		pem, err := os.ReadFile(files[0])
		if err != nil {
			return o.Errorf("the CA's certificates cannot be read: %v", err)
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return o.Errorf("%q holds no certificate in PEM form", files[0])
		}
	}
	return nil
}

const healthForm = "health_check DURATION [no_rec] [domain NAME]"

// decode reads the arguments of health_check.
func (c *check) decode(o *corefile.Directive) error {
	duration := *o
	duration.Args = o.Args[:1]
	line := corefile.Directive{Name: o.Name, Pos: o.Pos, Body: []*corefile.Directive{&duration}}
	if err := line.Decode(corefile.Duration(o.Name, healthForm, &c.interval, 0, 0)); err != nil {
		return err
	}
	for words := o.Args[1:]; len(words) > 0; words = words[1:] {
		switch word := words[0]; {
		case word.Text == "no_rec":
			c.recursion = false
		case word.Text == "domain" && len(words) > 1:
			words = words[1:]
			name, err := wire.ParseName(words[0].Text)
			if err != nil {
				return o.Errorf("%v", err)
			}
			c.name = name
		default:
			return o.Errorf("%q is not understood; write %q", word.Text, healthForm)
		}
	}
	return nil
}
