package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nameplane/nameplane/server/nodelocal"
)

// nodeLocalFlags are those of NodeLocal DNSCache's program, with its defaults. They take effect when -localip is given.
type nodeLocalFlags struct {
	set            *flag.FlagSet
	localIP        string
	iface          string
	setupInterface bool
	setupRules     bool
	interval       string
	metrics        string
	base           string
	corefile       string
	kubeDNS        string
	upstream       string
	healthPort     uint
	skipTeardown   bool
}

// define adds the flags to a command line.
func (n *nodeLocalFlags) define(set *flag.FlagSet) {
	const of = "NodeLocal DNSCache: "
	n.set = set
	set.StringVar(&n.localIP, "localip", "", of+"addresses that pods ask, with commas; the others of its flags take effect with this one")
	set.StringVar(&n.iface, "interfacename", "nodelocaldns", of+"interface that gets the addresses")
	set.BoolVar(&n.setupInterface, "setupinterface", true, of+"make the interface")
	set.BoolVar(&n.setupRules, "setupiptables", true, of+"keep connection tracking off the addresses (by nft)")
	set.StringVar(&n.interval, "syncinterval", "60", of+"seconds between two looks at interface and rules")
	set.StringVar(&n.metrics, "metrics-listen-address", "0.0.0.0:9353", of+"where its own metrics are served")
	set.StringVar(&n.base, "basecorefile", "/etc/coredns/Corefile.base", of+"template of the Corefile; where there is none, -conf is served")
	set.StringVar(&n.corefile, "corefile", "/etc/Corefile", of+"the Corefile, when -conf does not name it")
	set.StringVar(&n.kubeDNS, "kubednscm", "/etc/kube-dns", of+"folder of kube-dns's ConfigMap")
	set.StringVar(&n.upstream, "upstreamsvc", "kube-dns", of+"service that leads to the cluster's DNS")
	set.UintVar(&n.healthPort, "health-port", 8080, of+"port of the directive health")
	set.BoolVar(&n.skipTeardown, "skipteardown", false, of+"leave interface and rules behind")
	set.Bool("setupebtables", false, of+"(no effect)")
	set.String("initialdelay", "", of+"(no effect)")
}

// nodeLocal is what the flags ask for.
type nodeLocal struct {
	flags    *nodeLocalFlags
	template nodelocal.Template
	network  nodelocal.Network
	interval time.Duration
	errors   *prometheus.CounterVec
	keeping  sync.WaitGroup
}

// parse makes sense of the flags; nil where they ask for nothing.
func (n *nodeLocalFlags) parse(port uint, getenv func(string) string) (*nodeLocal, error) {
	if n.localIP == "" {
		return nil, nil
	}
	var addrs []netip.Addr
	for text := range strings.SplitSeq(n.localIP, ",") {
		addr, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("-localip: %q is not an IP address; addresses are wanted, with commas between them", text)
		}
		addrs = append(addrs, addr)
	}
	interval, err := parseSeconds(n.interval)
	if err != nil {
		return nil, fmt.Errorf("-syncinterval: %w", err)
	}
	if n.healthPort > 65535 {
		return nil, errors.New("-health-port: a number from 0 to 65535 is wanted")
	}
	l := &nodeLocal{
		flags:    n,
		template: nodelocal.Template{Path: n.base, Addrs: addrs, Port: uint16(port), Upstream: n.upstream, KubeDNS: n.kubeDNS, Getenv: getenv},
		network:  nodelocal.Network{Addrs: addrs, Port: uint16(port), HealthPort: uint16(n.healthPort), Untracked: n.setupRules},
		interval: interval,
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "coredns_nodecache_setup_errors_total", Help: "Parts of the node's network that could not be made.",
		}, []string{"errortype"}),
	}
	if n.setupInterface {
		l.network.Interface = n.iface
	}
	return l, nil
}

// parseSeconds reads "60" and "1m" alike.
func parseSeconds(text string) (time.Duration, error) {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil && n > 0 {
		return time.Duration(n) * time.Second, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q: a number of seconds is wanted, or a duration such as 1m", text)
}

// idle are the flags that have no effect, because -localip is missing or they never have one.
func (n *nodeLocalFlags) idle() (names []string) {
	n.set.Visit(func(f *flag.Flag) {
		never := f.Name == "setupebtables" || f.Name == "initialdelay"
		if strings.HasPrefix(f.Usage, "NodeLocal") && (never || n.localIP == "") {
			names = append(names, "-"+f.Name)
		}
	})
	slices.Sort(names)
	return names
}

// begin puts the addresses on the node, so that sockets can be bound to them. What cannot be made is said and counted: the
// addresses may be there by other means.
func (l *nodeLocal) begin(ctx context.Context, log *slog.Logger, registry *prometheus.Registry) {
	registry.MustRegister(l.errors)
	addresses := l.network
	addresses.Untracked = false // a server that does not come up must not draw queries
	if err := addresses.Ensure(ctx); err != nil {
		l.errors.WithLabelValues("interface_add").Inc()
		log.Error("the node's addresses cannot be made", "error", err)
	}
}

// keep looks after the network, and serves the metrics of that, until ctx ends. It returns at once.
func (l *nodeLocal) keep(ctx context.Context, log *slog.Logger, registry *prometheus.Registry) {
	if l.flags.metrics != "" {
		l.serveMetrics(ctx, log, registry)
	}
	l.keeping.Go(func() {
		l.network.Keep(ctx, l.interval, log, func(kind string) { l.errors.WithLabelValues(kind).Inc() })
	})
}

func (l *nodeLocal) serveMetrics(ctx context.Context, log *slog.Logger, registry *prometheus.Registry) {
	listener, err := net.Listen("tcp", l.flags.metrics)
	if err != nil {
		log.Error("-metrics-listen-address: these metrics are not served", "error", err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(listener) }() // it ends with Close, and says so
	context.AfterFunc(ctx, func() { _ = web.Close() })
}

// end takes the network back.
func (l *nodeLocal) end(log *slog.Logger) {
	l.keeping.Wait()
	if l.flags.skipTeardown {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.network.Remove(ctx); err != nil {
		log.Error("the node's addresses or rules are left behind", "error", err)
	}
}
