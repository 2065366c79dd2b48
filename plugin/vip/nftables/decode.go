package nftables

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// kind is what a part of a key or value is.
type kind uint8

const (
	kindAddr kind = iota
	kindProtocol
	kindPort
	kindSlot
)

// kinds are those of a type as a set or map declares it: "ipv4_addr . inet_service", "ip daddr . tcp dport . numgen random mod 2".
func kinds(spec string) (list []kind) {
	for part := range strings.SplitSeq(spec, " . ") {
		switch {
		case strings.HasSuffix(part, "addr"):
			list = append(list, kindAddr)
		case part == "inet_proto":
			list = append(list, kindProtocol)
		case strings.HasPrefix(part, "numgen"):
			list = append(list, kindSlot)
		default:
			list = append(list, kindPort)
		}
	}
	return list
}

// size is a part's number of bytes.
func (k kind) size(f family) int {
	switch {
	case k == kindAddr && f.four:
		return 4
	case k == kindAddr:
		return 16
	case k == kindProtocol:
		return 1
	case k == kindPort:
		return 2
	}
	return 4
}

// spell appends a part in the spelling of our transactions. Slots are the machine's numbers, all else is the network's.
func (k kind) spell(text, b []byte) []byte {
	switch k {
	case kindAddr:
		a, _ := netip.AddrFromSlice(b)
		return a.AppendTo(text)
	case kindProtocol:
		return append(text, protocolName(strconv.Itoa(int(b[0])))...)
	case kindPort:
		return strconv.AppendUint(text, uint64(binary.BigEndian.Uint16(b)), 10)
	}
	return strconv.AppendUint(text, uint64(binary.NativeEndian.Uint32(b)), 10)
}

// decode spells a key or value from the bytes that the kernel keeps it in: each part begins at a multiple of four. It is not
// ok when the bytes are not of these kinds.
func decode(f family, list []kind, b []byte) (string, bool) {
	text := make([]byte, 0, 64)
	for i, k := range list {
		size := k.size(f)
		if len(b) < size {
			return "", false
		}
		if i > 0 {
			text = append(text, " . "...)
		}
		text = k.spell(text, b[:size])
		b = b[min((size+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		return "", false
	}
	return string(text), true
}

// The kernel's numbers of verdicts (include/uapi/linux/netfilter.h and nf_tables.h).
const (
	verdictDrop = 0
	verdictGoto = -4
)

// verdict spells one of ours; it is not ok for any other.
func verdict(code int32, chain string) (string, bool) {
	switch {
	case code == verdictDrop && chain == "":
		return drop, true
	case code == verdictGoto && chain != "":
		return "goto " + chain, true
	}
	return "", false
}
