package dns64

import (
	"net"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const form = "dns64 [PREFIX]"

// options are what the Corefile says.
type options struct {
	prefix       netip.Prefix
	translateAll bool
	allowIPv4    bool
}

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "dns64",
		Summary: "makes IPv6 addresses of IPv4 ones, for a NAT64",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	var problems corefile.Errors
	h := &Handler{options: options{prefix: wellKnown()}}
	for _, line := range lines {
		problems.Join(line.WantArgs(0, 1, form))
		if len(line.Args) == 1 {
			problems.Join(h.setPrefix(line))
		}
		problems.Join(line.Decode(
			corefile.Func("prefix", "prefix PREFIX", 1, 1, h.setPrefix),
			corefile.Flag("translate_all", &h.translateAll).Repeated(),
			corefile.Flag("allow_ipv4", &h.allowIPv4).Repeated(),
		))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	var err error
	h.translated, err = plugin.Register(env.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "coredns", Subsystem: "dns64", Name: "requests_translated_total",
		Help: "Queries answered with IPv6 addresses made of IPv4 ones.",
	}, []string{"server"}))
	if err != nil {
		return nil, lines[0].Errorf("%v", err)
	}
	return h, nil
}

// wellKnown is the prefix of RFC 6052, section 2.1: 64:ff9b::/96.
func wellKnown() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x00, 0x64, 0xff, 0x9b}), 96)
}

// setPrefix takes the line's first argument. Lengths are those of RFC 6052, section 2.2.
func (o *options) setPrefix(line *corefile.Directive) error {
	text := line.Args[0].Text
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4() || !slices.Contains([]int{32, 40, 48, 56, 64, 96}, prefix.Bits()) {
		return line.Errorf("%q is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits such as 64:ff9b::/96", text)
	}
	o.prefix = prefix.Masked()
	return nil
}

// embed is the address with the IPv4 one behind the prefix; bits 64 to 71 are skipped (RFC 6052, section 2.2).
func embed(prefix netip.Prefix, addr [4]byte) net.IP {
	const skipped = 8
	b := prefix.Addr().As16()
	at := prefix.Bits() / 8
	for _, octet := range addr {
		if at == skipped {
			at++
		}
		b[at] = octet
		at++
	}
	return b[:]
}
