package plugin

import (
	"context"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// Own is a question in a zone of a directive's own, on its way to an answer from live data: an authoritative one, which
// nobody keeps. It is a value, so that it lives on the stack.
type Own struct {
	Query *wire.Query
	Reply *wire.Reply
	Zone  wire.Name // that the question lies in
	Left  int       // number of labels left of the zone
}

// Take begins the reply to a question in one of the zones; it is false for any other.
func (o *Own) Take(x *Exchange, zones Zones) (ok bool) {
	if o.Zone, o.Left, ok = zones.Match(&x.Query); !ok {
		return false
	}
	o.Query, o.Reply, x.Live = &x.Query, &x.Reply, true
	o.Begin(dns.RcodeSuccess)
	return true
}

// Begin makes the reply an empty one.
func (o *Own) Begin(rcode int) {
	o.Reply.Start(o.Query, rcode)
	o.Reply.SetAuthoritative(true)
}

// RefuseTransfer refuses a question for a transfer; it is false for another. Transfers that are allowed are answered by the
// directive transfer, which comes first.
func (o *Own) RefuseTransfer() bool {
	if t := o.Query.Type; t != dns.TypeAXFR && t != dns.TypeIXFR {
		return false
	}
	o.Reply.Start(o.Query, dns.RcodeRefused)
	return true
}

// Negative makes the reply one without an answer (RFC 2308, sections 2.1 and 2.2).
func (o *Own) Negative(rcode int, soa *wire.SOA) {
	o.Begin(rcode)
	o.Reply.Section(wire.Authority)
	o.Reply.SOA(o.ZoneRef(), soa)
}

// Empty tells whether there is no answer yet.
func (o *Own) Empty() bool { return o.Reply.Count(wire.Answer) == 0 }

// ZoneRef is where the zone's name stands in the question.
func (o *Own) ZoneRef() wire.Ref { return o.Query.ZoneRef(o.Zone) }

// Disown hands a question on that looked like the directive's own.
func Disown(ctx context.Context, x *Exchange) error {
	x.Reply.Reset()
	x.Live = false
	return x.Next(ctx)
}
