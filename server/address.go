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
}

// bind is the address as package net takes it.
func (a address) bind() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

// String is the address as metrics label it: "dns://:53".
func (a address) String() string { return "dns://" + a.bind() }

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
	taken := map[place]map[string]*site{} // the inner key is the host
	for _, s := range sites {
		p := place{s.zone, s.address.port}
		if taken[p] == nil {
			taken[p] = map[string]*site{}
		}
		if have := taken[p][s.address.host]; have != nil {
			problems.Add(s.at, "cannot serve %s: it is already served at %s", s, have.at)
			continue
		}
		if have := overlap(taken[p], s.address.host); have != nil {
			problems.Add(s.at, "cannot serve %s: %s and %s overlap, the other one is at %s",
				s, where(s.address.host), where(have.address.host), have.at)
			continue
		}
		taken[p][s.address.host] = s
	}
}

func overlap(hosts map[string]*site, host string) *site {
	if host != "" {
		return hosts[""]
	}
	var first *site
	for _, s := range hosts { // the first in the file, whatever the map's order
		if first == nil || s.at.Line < first.at.Line {
			first = s
		}
	}
	return first
}

func where(host string) string {
	if host == "" {
		return "all addresses"
	}
	return host
}
