package forward

import (
	"errors"
	"net"

	"github.com/miekg/dns"
)

// failure is why no upstream answered. Its text is that of the last attempt's error, as CoreDNS prints it.
type failure struct{ cause error }

// Error is the cause's.
func (f *failure) Error() string { return f.cause.Error() }

// Unwrap is the cause.
func (f *failure) Unwrap() error { return f.cause }

// ExtendedError is what the client may be told beside SERVFAIL (RFC 8914, sections 4.23 and 4.24): that nobody answered, or that
// the network did not let the query through.
func (f *failure) ExtendedError() (code uint16, text string) {
	var network net.Error
	if errors.Is(f.cause, errNoHealthy) || errors.As(f.cause, &network) && network.Timeout() {
		return dns.ExtendedErrorCodeNoReachableAuthority, "no upstream answered"
	}
	return dns.ExtendedErrorCodeNetworkError, "upstreams cannot be reached"
}
