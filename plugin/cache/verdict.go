package cache

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// kind is what a reply says, as far as it matters for keeping it.
type kind uint8

const (
	success    kind = iota // NOERROR with an answer, or without anything that says that there is none
	nameError              // NXDOMAIN
	noData                 // NOERROR, and an SOA record instead of an answer (RFC 2308, section 2.2)
	failure                // SERVFAIL, NOTIMP
	delegation             // NOERROR, and name servers instead of an answer
	transfer               // AXFR, IXFR
	other                  // another rcode, an expired signature, an answer for a name that does not exist
)

// verdict is what the rules want to know of a reply.
type verdict struct {
	kind    kind
	soa     bool // an SOA record bounds the time that a denial holds
	answers bool // there is a record of the type asked for where the name's CNAMEs lead to
	cut     bool // TC
	partial bool // the answer does not answer: its CNAMEs lead nowhere
	records int
	ttl     uint32 // the lowest of all records, in seconds
}

// judge reads the reply in x. Of one that is not to be kept it does not look at more than its TTL follows from.
func judge(x *plugin.Exchange) verdict {
	q, r := &x.Query, &x.Reply
	v := verdict{cut: r.Truncated(), records: r.Records(), ttl: math.MaxUint32}
	answers := r.Count(wire.Answer)
	authority := answers + r.Count(wire.Authority)
	servers, expired := false, false
	for i := range v.records {
		record := r.Record(i)
		v.ttl = min(v.ttl, record.TTL)
		switch inAuthority := i >= answers && i < authority; {
		case record.Type == dns.TypeSOA:
			v.soa = v.soa || inAuthority
		case record.Type == dns.TypeNS:
			servers = servers || inAuthority
		case record.Type == dns.TypeRRSIG && q.EDNS.DO():
			expired = expired || !validAt(r.Data(record), x.Now)
		}
	}
	if r.Rcode() == dns.RcodeSuccess && answers > 0 && (v.soa || !x.Live) {
		v.answers = answered(q, r)
		v.partial = !v.answers
	}
	v.kind = kindOf(q, r.Rcode(), &v, answers > 0, servers)
	if expired && v.kind != transfer {
		v.kind = other
	}
	return v
}

func kindOf(q *wire.Query, rcode int, v *verdict, answer, servers bool) kind {
	switch {
	case q.Type == dns.TypeAXFR || q.Type == dns.TypeIXFR:
		return transfer
	case answer && rcode == dns.RcodeSuccess:
		if v.soa && v.partial {
			return noData
		}
		return success
	case answer && rcode == dns.RcodeNameError:
		return other
	case v.soa && rcode == dns.RcodeSuccess:
		return noData
	case rcode == dns.RcodeNameError:
		return nameError
	case rcode == dns.RcodeServerFailure || rcode == dns.RcodeNotImplemented:
		return failure
	case rcode != dns.RcodeSuccess:
		return other
	case servers:
		return delegation
	}
	return success
}

// keeps tells whether such a reply may be kept. A denial without SOA says nothing of how long it holds (RFC 2308,
// section 5), and so does an answer whose CNAMEs lead nowhere.
func (v *verdict) keeps() bool {
	switch {
	case v.cut || v.kind == other || v.kind == transfer:
		return false
	case v.kind == nameError:
		return v.soa
	case v.kind == success:
		return v.soa || !v.partial
	}
	return true
}

// denies tells whether such a reply goes to the denial cache.
func (v *verdict) denies() bool { return v.kind == nameError || v.kind == noData || v.kind == failure }

// validAt tells whether a signature holds at a time (RFC 4034, section 3.1.5: serial numbers of 32 bits).
func validAt(rrsig []byte, now time.Time) bool {
	if len(rrsig) < 16 {
		return false
	}
	expiration, inception := binary.BigEndian.Uint32(rrsig[8:]), binary.BigEndian.Uint32(rrsig[12:])
	at := uint32(now.Unix())
	return int32(expiration-at) >= 0 && int32(at-inception) >= 0
}

// mostAliases is the number of CNAMEs in an answer that are followed. An answer of more is not worth the time that an
// attacker could make it cost.
const mostAliases = 64

// answered tells whether the answer has what was asked for: a record of the type at the end of the name's CNAMEs
// (RFC 1034, section 3.6.2); for ANY and CNAME, at the name itself.
func answered(q *wire.Query, r *wire.Reply) bool {
	end := wire.QuestionName
	switch q.Type {
	case dns.TypeANY:
	case dns.TypeCNAME:
		_, found, ok := alias(q, r, end)
		return found && ok
	default:
		var ok bool
		if end, ok = canonical(q, r); !ok {
			return false
		}
	}
	for i := range r.Count(wire.Answer) {
		record := r.Record(i)
		if (record.Type == q.Type || q.Type == dns.TypeANY) && ofClass(q, record) && r.SameNames(record.Owner, end) {
			return true
		}
	}
	return false
}

func ofClass(q *wire.Query, record wire.Record) bool {
	return q.Class == dns.ClassANY || record.Class == q.Class
}

// canonical is the name at the end of the CNAMEs that begin at the question's. It is false when there is no one end:
// two targets of one name (RFC 2181, section 10.1), or a loop, which a path longer than there are CNAMEs is.
func canonical(q *wire.Query, r *wire.Reply) (wire.Ref, bool) {
	aliases := 0
	for i := range r.Count(wire.Answer) {
		if r.Record(i).Type == dns.TypeCNAME {
			aliases++
		}
	}
	at := wire.QuestionName
	if aliases == 0 {
		return at, true
	}
	for range min(aliases, mostAliases) + 1 {
		target, found, ok := alias(q, r, at)
		if !ok || !found {
			return at, ok
		}
		at = target
	}
	return at, false
}

// alias is the target of a name's CNAME; not ok when two say different things.
func alias(q *wire.Query, r *wire.Reply, name wire.Ref) (target wire.Ref, found, ok bool) {
	for i := range r.Count(wire.Answer) {
		record := r.Record(i)
		if record.Type != dns.TypeCNAME || !ofClass(q, record) || !r.SameNames(record.Owner, name) {
			continue
		}
		if record.Size == 0 || found && !r.SameNames(target, record.Data) {
			return 0, false, false
		}
		target, found = record.Data, true
	}
	return target, found, true
}
