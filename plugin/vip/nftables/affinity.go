package nftables

import (
	"encoding/base32"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"
)

// sticky is what a frontend with session affinity goes to in place of a shared chain: the chain looks for the client in each
// endpoint's set, and else draws one of the endpoints; an endpoint's chain notes the client in its set, for the time that
// affinity lasts, and leads there. Frontends of one port share all of it, so that a client stays with its endpoint by whichever
// address it comes.
type sticky struct {
	chain     string
	timeout   time.Duration
	endpoints []string // names of the endpoints' sets, and of their chains
	chains    []chain
}

// prefixes of the names; what begins so is of affinity.
const (
	stickyPrefix   = "sticky-"
	endpointPrefix = "endpoint-"
)

// sticky is what a frontend with affinity needs. All names are hashes of what is in them.
func (s *service) sticky(f family, front *frontend, slots []netip.AddrPort) sticky {
	port := fmt.Sprintf("%s:%s/%v %v", s.id, front.Port, front.Key.Protocol, front.Affinity)
	out := sticky{timeout: front.Affinity}
	choose := chain{}
	var draw []string
	for slot, b := range slots {
		name := endpointPrefix + hash(port+" "+b.String())
		out.endpoints = append(out.endpoints, name)
		out.chains = append(out.chains, chain{name: name, rules: []string{
			f.spell("update @" + name + " { $ip saddr }"),
			fmt.Sprintf("meta l4proto %v dnat to %v", front.Key.Protocol, b),
		}})
		choose.rules = append(choose.rules, f.spell("$ip saddr @"+name+" goto "+name))
		draw = append(draw, fmt.Sprintf("%d : goto %s", slot, name))
	}
	choose.rules = append(choose.rules, fmt.Sprintf("numgen random mod %d vmap { %s }", len(slots), strings.Join(draw, " , ")))
	choose.name = stickyPrefix + hash(port+strings.Join(choose.rules, ";"))
	out.chain, out.chains = choose.name, append(out.chains, choose)
	return out
}

func hash(text string) string {
	h := fnv.New128a()
	h.Write([]byte(text))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

// stickies are those of all frontends with affinity.
func (s *service) stickies(f family, emit func(sticky)) {
	for i := range s.frontends {
		front := &s.frontends[i]
		if front.Affinity == 0 {
			continue
		}
		if len(front.inside) > 0 {
			emit(s.sticky(f, front, front.inside))
		}
		if len(front.outside) > 0 {
			emit(s.sticky(f, front, front.outside))
		}
	}
}
