package manifest

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/cluster"
)

// addresses gives virtual IPs to services that have none. An address follows from the service's name: only when two
// names fall on the same address does the later one, by name, move on to the next free one. So services keep their
// addresses while others come and go, over restarts, and on every machine that reads the same files.
type addresses struct {
	four, six []netip.Prefix
	dual      bool // the CIDRs that were configured are of both families
	primary   corev1.IPFamily
	used      map[cluster.Addr]bool
}

// newAddresses takes the configured CIDRs; a family without one has the usual one of a cluster.
func newAddresses(cidrs []netip.Prefix) *addresses {
	a := &addresses{primary: corev1.IPv4Protocol, used: map[cluster.Addr]bool{}}
	for _, cidr := range cidrs {
		if cidr.Addr().Is4() {
			a.four = append(a.four, cidr)
		} else {
			a.six = append(a.six, cidr)
		}
	}
	a.dual = len(a.four) > 0 && len(a.six) > 0
	if len(cidrs) > 0 && cidrs[0].Addr().Is6() {
		a.primary = corev1.IPv6Protocol
	}
	if len(a.four) == 0 {
		a.four = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96}), 12)} // kubeadm's
	}
	if len(a.six) == 0 {
		a.six = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 3: 0x10, 5: 0x96}), 112)}
	}
	return a
}

// families are those that the API server would settle on for a service, the first one first.
func (a *addresses) families(s *service) []corev1.IPFamily {
	families := append([]corev1.IPFamily(nil), s.families...)
	if len(families) == 0 {
		for i := range s.spec.ClusterIPs {
			families = append(families, familyOf(&s.spec.ClusterIPs[i]))
		}
	}
	if len(families) == 0 {
		families = append(families, a.primary)
	}
	if len(families) == 1 && (s.policy == corev1.IPFamilyPolicyRequireDualStack || s.policy == corev1.IPFamilyPolicyPreferDualStack && a.dual) {
		other := corev1.IPv4Protocol
		if families[0] == other {
			other = corev1.IPv6Protocol
		}
		families = append(families, other)
	}
	return families
}

func familyOf(addr *cluster.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// take gives the service called key an address; false when there is none left.
func (a *addresses) take(key string, family corev1.IPFamily) (cluster.Addr, bool) {
	cidrs := a.four
	if family == corev1.IPv6Protocol {
		cidrs = a.six
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key)) // never fails
	for _, cidr := range cidrs {
		first, n := usable(cidr)
		if key == "default/kubernetes" && n > 0 && a.claim(cidr, 1) {
			return at(cidr, 1), true // as in every cluster
		}
		for i := range n {
			if offset := first + (hash.Sum64()+i)%n; a.claim(cidr, offset) {
				return at(cidr, offset), true
			}
		}
	}
	return cluster.Addr{}, false
}

func (a *addresses) claim(cidr netip.Prefix, offset uint64) bool {
	addr := at(cidr, offset)
	if a.used[addr] {
		return false
	}
	a.used[addr] = true
	return true
}

// usable are the offsets that are given: neither the network's own address nor the last, nor the lower part of a large
// network, which the API server too leaves to those who choose an address by hand.
func usable(cidr netip.Prefix) (first, n uint64) {
	bits := min(cidr.Addr().BitLen()-cidr.Bits(), 32)
	size := uint64(1) << bits
	first = 1
	if size > 16 {
		first = min(max(16, size/16), 256)
	}
	if size <= first+1 {
		return 1, 0
	}
	return first, size - 1 - first
}

func at(cidr netip.Prefix, offset uint64) cluster.Addr {
	addr := cluster.AddrFrom(cidr.Addr())
	low := addr[12:]
	binary.BigEndian.PutUint32(low, binary.BigEndian.Uint32(low)|uint32(offset))
	return addr
}
