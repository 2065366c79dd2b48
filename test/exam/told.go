package exam

import (
	"slices"

	"github.com/miekg/dns"
)

// saysWhy is D18: Nameplane says by extended errors (RFC 8914) that a reply is stale, that a failure was kept, or why there
// is no reply of an upstream. Nothing else differs.
func (d *difference) saysWhy() bool {
	quiet := d.ours.Copy()
	opt := quiet.IsEdns0()
	if opt == nil {
		return false
	}
	said := len(opt.Option)
	opt.Option = slices.DeleteFunc(opt.Option, func(o dns.EDNS0) bool {
		e, ok := o.(*dns.EDNS0_EDE)
		return ok && fits(e.InfoCode, quiet.Rcode)
	})
	return len(opt.Option) == said-1 && len(d.view().compare(d.theirs, quiet)) == 0
}

// fits tells whether an extended error is one of D18 and belongs to the response code.
func fits(code uint16, rcode int) bool {
	switch code {
	case dns.ExtendedErrorCodeStaleAnswer:
		return rcode == dns.RcodeSuccess
	case dns.ExtendedErrorCodeStaleNXDOMAINAnswer:
		return rcode == dns.RcodeNameError
	case dns.ExtendedErrorCodeCachedError, dns.ExtendedErrorCodeNoReachableAuthority, dns.ExtendedErrorCodeNetworkError:
		return rcode == dns.RcodeServerFailure
	}
	return false
}
