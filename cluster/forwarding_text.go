package cluster

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ForwardingText is what Forwarding is made of, as a Service object spells it. Sources fill it in; what the words mean
// is decided here, for all of them.
type ForwardingText struct {
	Type            string        // spec.type
	ProxyName       string        // label service.kubernetes.io/service-proxy-name
	NoProxy         bool          // kube-proxy passes over the service, and nobody else is named: that label is empty, or there is service.kubernetes.io/headless
	Ingress         []IngressText // status.loadBalancer.ingress
	ExternalIPs     []string
	SourceRanges    []string // loadBalancerSourceRanges
	NodePorts       []int32  // by index of the service's ports
	HealthPort      int32    // healthCheckNodePort
	Affinity        string   // sessionAffinity
	AffinitySeconds int32    // sessionAffinityConfig.clientIP.timeoutSeconds; 0 where there is none
	InternalPolicy  string   // internalTrafficPolicy
	ExternalPolicy  string   // externalTrafficPolicy
}

// IngressText is one ingress of a load balancer.
type IngressText struct{ IP, Mode string }

// Flaw is a part of an object that broke a rule and was left out.
type Flaw struct{ Field, Value string }

// Forwarding reads the text; nil where nobody forwards the service. What cannot be read is a flaw; it costs nothing else.
func (t *ForwardingText) Forwarding() (*Forwarding, []Flaw) {
	if t.NoProxy {
		return nil, nil
	}
	var flaws flaws
	f := &Forwarding{
		ProxyName:     t.ProxyName,
		ExternalIPs:   flaws.addrs("spec.externalIPs", t.ExternalIPs),
		SourceRanges:  flaws.ranges("spec.loadBalancerSourceRanges", t.SourceRanges),
		InternalLocal: t.InternalPolicy == "Local",
		ExternalLocal: t.ExternalPolicy == "Local",
	}
	balanced := t.Type == "LoadBalancer"
	if balanced {
		f.Balancers = flaws.addrs("status.loadBalancer.ingress.ip", t.balancers())
	}
	if balanced || t.Type == "NodePort" {
		f.NodePorts = flaws.ports("spec.ports.nodePort", t.NodePorts)
	}
	if balanced && f.ExternalLocal {
		f.HealthPort = flaws.port("spec.healthCheckNodePort", t.HealthPort)
	}
	if t.Affinity == "ClientIP" {
		f.Affinity = flaws.affinity("spec.sessionAffinityConfig.clientIP.timeoutSeconds", t.AffinitySeconds)
	}
	return f, flaws
}

// balancers are the addresses whose packets come as they were sent. With ipMode Proxy the load balancer sends on its own.
func (t *ForwardingText) balancers() (ips []string) {
	for _, in := range t.Ingress {
		if in.IP != "" && in.Mode != "Proxy" {
			ips = append(ips, in.IP)
		}
	}
	return ips
}

type flaws []Flaw

func (f *flaws) add(field, value string) { *f = append(*f, Flaw{field, value}) }

func (f *flaws) addrs(field string, texts []string) (addrs []Addr) {
	for _, text := range texts {
		addr, err := ParseAddr(text)
		switch {
		case err != nil:
			f.add(field, text)
		case !slices.Contains(addrs, addr):
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// ranges are nil only where there are no texts (see Forwarding.SourceRanges).
func (f *flaws) ranges(field string, texts []string) []netip.Prefix {
	if len(texts) == 0 {
		return nil
	}
	ranges := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		r, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err == nil && r.Addr().Is4In6() { // written as IPv6, but meant for IPv4 clients
			r = netip.PrefixFrom(r.Addr().Unmap(), r.Bits()-96)
		}
		if err != nil || !r.IsValid() {
			f.add(field, text)
			continue
		}
		ranges = append(ranges, r.Masked())
	}
	return ranges
}

func (f *flaws) ports(field string, numbers []int32) []uint16 {
	ports := make([]uint16, len(numbers))
	some := false
	for i, n := range numbers {
		ports[i] = f.port(field, n)
		some = some || ports[i] != 0
	}
	if !some {
		return nil
	}
	return ports
}

func (f *flaws) port(field string, n int32) uint16 {
	if n < 0 || n > 65535 {
		f.add(field, strconv.Itoa(int(n)))
		return 0
	}
	return uint16(n)
}

func (f *flaws) affinity(field string, seconds int32) time.Duration {
	const usual = 10800 // the API's default
	if seconds < 0 {
		f.add(field, strconv.Itoa(int(seconds)))
	}
	if seconds <= 0 {
		seconds = usual
	}
	return time.Duration(seconds) * time.Second
}
