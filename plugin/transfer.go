package plugin

import (
	"context"
	"iter"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// Contents is everything in a zone at one moment (RFC 5936, section 2.2).
type Contents struct {
	SOA     *dns.SOA
	Records iter.Seq[dns.RR] // all but the SOA
}

// Transferer is a Handler whose zones may be transferred.
type Transferer interface {
	// Contents is that of a zone of the handler's; ok is false for any other name. A handler whose zone is not loaded
	// says so by the error.
	Contents(zone wire.Name) (c Contents, ok bool, err error)
}

// Notifier is a Handler that tells other servers that a zone has changed (RFC 1996).
type Notifier interface {
	// Notify returns when all have been told, or ctx ends.
	Notify(ctx context.Context, zone wire.Name) error
}
