package server

import (
	"fmt"
	"net"
	"strconv"

	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// address is where a listener is bound. An empty host stands for all addresses of both families.
type address struct {
	host string
	port uint16
	tls  bool
}

// bind is the address as package net takes it.
func (a address) bind() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

// scheme is what its keys begin with.
func (a address) scheme() string {
	if a.tls {
		return "tls://"
	}
	return "dns://"
}

// String is the address as metrics label it: "dns://:53".
func (a address) String() string { return a.scheme() + a.bind() }

// site is one zone on one address.
type site struct {
	zone    wire.Name
	address address
	block   *block
	at      corefile.Position
}

func (s *site) String() string { return fmt.Sprintf("%s on port %d", s.zone, s.address.port) }

// checkSites reports zones that two keys serve on the same address. A zone that is served on all addresses leaves none
// for a block that is bound to one.
func checkSites(sites []*site, problems *corefile.Errors) {
	type place struct {
		zone wire.Name
		port uint16
	}
	taken := map[place][]*site{} // in the order of the file
	for i, s := range sites {
		if other := otherTransport(sites[:i], s.address); other != nil {
			problems.Add(s.at, "cannot serve %s by %s: the port is served by %s at %s", s, s.address.scheme(), other.address.scheme(), other.at)
			continue
		}
		p := place{s.zone, s.address.port}
		have := conflict(taken[p], s.address.host)
		filters, _ := s.block.filters()
		switch {
		case len(filters) > 0 && (have == nil || have.address.host == s.address.host):
			// Blocks with filters may share a zone with each other, and with one that takes the rest.
		case have == nil:
			taken[p] = append(taken[p], s)
		case have.address.host == s.address.host:
			problems.Add(s.at, "cannot serve %s: it is already served at %s", s, have.at)
		default:
			problems.Add(s.at, "cannot serve %s: %s and %s overlap, the other one is at %s",
				s, where(s.address.host), where(have.address.host), have.at)
		}
	}
}

// conflict is the site that leaves no room for another one on a host.
func conflict(taken []*site, host string) *site {
	for _, s := range taken {
		if s.address.host == host || s.address.host == "" || host == "" {
			return s
		}
	}
	return nil
}

// otherTransport is a site that needs an address's port for TLS where that is for DNS in the clear, or the other way round.
func otherTransport(sites []*site, a address) *site {
	for _, s := range sites {
		if b := s.address; b.port == a.port && b.tls != a.tls && (b.host == a.host || b.host == "" || a.host == "") {
			return s
		}
	}
	return nil
}

// checkTLS reports keys with tls:// without a certificate, and those of one address that have different ones.
func checkTLS(sites []*site, problems *corefile.Errors) {
	first := map[address]*site{}
	for _, s := range sites {
		if !s.address.tls {
			continue
		}
		if s.block.listen.TLS == nil {
			problems.Add(s.at, `cannot serve %s by tls://: no certificate is given; write "tls CERT KEY" into the block`, s)
			continue
		}
		other := first[s.address]
		switch {
		case other == nil:
			first[s.address] = s
		case other.block.listen.TLS.Identity() != s.block.listen.TLS.Identity():
			problems.Add(s.at, "cannot serve %s by tls://: the block at %s has another tls directive for the same address", s, other.at)
		}
	}
}

func where(host string) string {
	if host == "" {
		return "all addresses"
	}
	return host
}
