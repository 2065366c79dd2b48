package plugin

import (
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// Listing writes out the records of a zone, as Contents wants them.
type Listing struct {
	Zone  wire.Name
	TTL   uint32
	Yield func(dns.RR) bool
	Ended bool // nobody wants more
}

// Add hands a record over.
func (l *Listing) Add(rr dns.RR) { l.Ended = l.Ended || !l.Yield(rr) }

// Header is that of a record of the zone.
func (l *Listing) Header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: l.TTL}
}

// Address adds an A or AAAA record: addr has 4 or 16 bytes.
func (l *Listing) Address(name string, addr []byte, ttl uint32) {
	h := l.Header(name, dns.TypeA)
	h.Ttl = ttl
	if len(addr) == 4 {
		l.Add(&dns.A{Hdr: h, A: addr})
		return
	}
	h.Rrtype = dns.TypeAAAA
	l.Add(&dns.AAAA{Hdr: h, AAAA: addr})
}

// SRV adds an SRV record of priority 0.
func (l *Listing) SRV(name string, weight, port uint16, target string) {
	l.Add(&dns.SRV{Hdr: l.Header(name, dns.TypeSRV), Weight: weight, Port: port, Target: target})
}

// Name is that of labels in wire form below the zone; empty where it would be too long.
func (l *Listing) Name(labels string) string {
	if len(labels)+len(l.Zone) > wire.MaxName {
		return ""
	}
	return (wire.Name(labels) + l.Zone).String()
}

// SOARecord is the record that wire.Reply.SOA appends.
func SOARecord(zone wire.Name, soa *wire.SOA) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone.String(), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: soa.TTL},
		Ns:  (wire.Name(soa.MName) + zone).String(), Mbox: (wire.Name(soa.RName) + zone).String(),
		Serial: soa.Serial, Refresh: soa.Refresh, Retry: soa.Retry, Expire: soa.Expire, Minttl: soa.Minimum,
	}
}
