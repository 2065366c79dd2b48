package nftables

import (
	"net/netip"
	"slices"
)

// assign gives every backend a slot, so that few change theirs: those who have one below the new number keep it, the others
// fill what is free. The slots are dense, since one is chosen by a random number below their number. Backends are sorted,
// without repetition; old slots may hold anything.
func assign(old, backends []netip.AddrPort) []netip.AddrPort {
	if len(old) == 0 || slices.Equal(old, backends) {
		return backends
	}
	slots := make([]netip.AddrPort, len(backends))
	placed := make([]bool, len(backends))
	for slot, b := range old[:min(len(old), len(slots))] {
		if at, ok := slices.BinarySearchFunc(backends, b, netip.AddrPort.Compare); ok && !placed[at] {
			slots[slot], placed[at] = b, true
		}
	}
	free := 0
	for at, b := range backends {
		if placed[at] {
			continue
		}
		for slots[free].IsValid() {
			free++
		}
		slots[free] = b
	}
	return slots
}
