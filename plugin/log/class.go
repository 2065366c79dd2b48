package log

import (
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// classes is a set of the classes that replies fall into.
type classes uint8

const (
	success classes = 1 << iota
	denial
	failure

	allClasses = success | denial | failure
)

func classByName(name string) (c classes, ok bool) {
	switch name {
	case "success":
		return success, true
	case "denial":
		return denial, true
	case "error":
		return failure, true
	case "all":
		return allClasses, true
	}
	return 0, false
}

// outcome is what became of a query (RFC 2308, section 2, for the kinds of denial).
type outcome uint8

const (
	noError outcome = iota
	nameError
	noData
	delegation
	serverError
	meta
	otherError
)

// String is the outcome as {/log/type} prints it.
func (o outcome) String() string {
	return [...]string{
		noError:     "NOERROR",
		nameError:   "NXDOMAIN",
		noData:      "NODATA",
		delegation:  "DELEGATION",
		serverError: "SERVERERROR",
		meta:        "META",
		otherError:  "OTHERERROR",
	}[o]
}

func (o outcome) class() classes {
	switch o {
	case noError, delegation:
		return success
	case nameError, noData:
		return denial
	default:
		return failure
	}
}

// className is the outcome's class as {/log/class} prints it.
func (o outcome) className() string {
	switch o.class() {
	case success:
		return "success"
	case denial:
		return "denial"
	default:
		return "error"
	}
}

func classify(x *plugin.Exchange, now time.Time) outcome {
	r := &x.Reply
	switch {
	case !r.Made():
		return otherError
	case x.Query.Opcode() == dns.OpcodeNotify, x.Query.Type == dns.TypeAXFR, x.Query.Type == dns.TypeIXFR:
		return meta
	case x.Query.EDNS.DO() && expired(r, now):
		return otherError
	}
	answered := r.Count(wire.Answer) > 0
	switch r.Rcode() {
	case dns.RcodeSuccess:
		switch {
		case answered:
			return noError
		case r.Has(wire.Authority, dns.TypeSOA):
			return noData
		case r.Has(wire.Authority, dns.TypeNS):
			return delegation
		}
		return noError
	case dns.RcodeNameError:
		if !answered {
			return nameError
		}
	case dns.RcodeServerFailure, dns.RcodeNotImplemented:
		return serverError
	}
	return otherError
}

// expired tells whether a signature is outside its time (RFC 4034, section 3.1.5): to a validating client that is no answer.
func expired(r *wire.Reply, now time.Time) bool {
	if !r.Has(wire.Answer, dns.TypeRRSIG) && !r.Has(wire.Authority, dns.TypeRRSIG) && !r.Has(wire.Additional, dns.TypeRRSIG) {
		return false
	}
	m, err := r.Msg()
	if err != nil {
		return true
	}
	for _, section := range [...][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if sig, ok := rr.(*dns.RRSIG); ok && !sig.ValidityPeriod(now) {
				return true
			}
		}
	}
	return false
}
