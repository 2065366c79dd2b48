package forward

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// policy is the order in which upstreams are asked for one query. The list is not to be changed.
type policy func(all []*upstream) []*upstream

// newPolicy is the policy that goes by a name: random, round_robin or sequential.
func newPolicy(name string) policy {
	switch name {
	case "round_robin":
		return roundRobin()
	case "sequential":
		return sequential
	}
	return random
}

func sequential(all []*upstream) []*upstream { return all }

func random(all []*upstream) []*upstream {
	if len(all) <= 1 {
		return all
	}
	list := slices.Clone(all)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// roundRobin moves the next one to the front and leaves the others in their order, as CoreDNS does.
func roundRobin() policy {
	var turn atomic.Uint32
	return func(all []*upstream) []*upstream {
		if len(all) <= 1 {
			return all
		}
		first := int(turn.Add(1) % uint32(len(all)))
		list := make([]*upstream, 0, len(all))
		list = append(list, all[first])
		list = append(list, all[:first]...)
		return append(list, all[first+1:]...)
	}
}
