package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What the libraries do not name of include/uapi/linux/netfilter/nfnetlink_conntrack.h, and of the kernel's flags for it.
const (
	ctaFilter          = 25
	ctaFilterOrigFlags = 1
	filterProtocol     = 1 << 3
)

// flows hands the UDP flows of a family to each, until that returns false. The kernel sends a part at a time and leaves out
// other protocols (Linux 5.8 or later; an earlier one sends all), so that a table with a million connections costs no memory.
func flows(f family, each func(flow) bool) error {
	req := conntrackRequest(f, nl.IPCTNL_MSG_CT_GET, unix.NLM_F_DUMP)
	udp := nl.NewRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_ORIG, nil)
	udp.AddRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_PROTO, nil).AddRtAttr(nl.CTA_PROTO_NUM, []byte{unix.IPPROTO_UDP})
	filter := nl.NewRtAttr(unix.NLA_F_NESTED|ctaFilter, nil)
	filter.AddRtAttr(ctaFilterOrigFlags, binary.NativeEndian.AppendUint32(nil, filterProtocol))
	req.AddData(udp)
	req.AddData(filter)
	err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
		flow, ok := parseFlow(message)
		return !ok || each(flow)
	})
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		return fmt.Errorf("to list UDP flows (%v) of conntrack: %w", f.name, err)
	}
	return nil
}

// forget deletes the flow; one that is gone already is none to complain of.
func forget(f family, x flow) error {
	req := conntrackRequest(f, nl.IPCTNL_MSG_CT_DELETE, unix.NLM_F_ACK)
	req.AddData(nl.NewRtAttr(unix.NLA_F_NESTED|nl.CTA_TUPLE_ORIG, x.tuple))
	if len(x.id) > 0 {
		req.AddData(nl.NewRtAttr(nl.CTA_ID, x.id))
	}
	_, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("to delete the UDP flow %v to %v of conntrack: %w", x.to, x.from, err)
	}
	return nil
}

func conntrackRequest(f family, message, flags int) *nl.NetlinkRequest {
	return netfilterRequest(f, unix.NFNL_SUBSYS_CTNETLINK, message, flags)
}

// parseFlow reads a message of conntrack. It is not ok when that is of no UDP flow, or of one in a zone, as those are for
// others than us.
func parseFlow(message []byte) (x flow, ok bool) {
	if len(message) < nl.SizeofNfgenmsg {
		return x, false
	}
	udp := false
	for kind, value := range attributes(message[nl.SizeofNfgenmsg:]) {
		switch kind {
		case nl.CTA_TUPLE_ORIG:
			var protocol byte
			x.tuple = value
			_, x.to, protocol = parseTuple(value)
			udp = protocol == unix.IPPROTO_UDP
		case nl.CTA_TUPLE_REPLY:
			x.from, _, _ = parseTuple(value)
		case nl.CTA_ID:
			x.id = value
		case nl.CTA_ZONE:
			return x, false
		}
	}
	return x, udp && x.to.IsValid() && x.from.IsValid()
}

func parseTuple(tuple []byte) (from, to netip.AddrPort, protocol byte) {
	var src, dst netip.Addr
	var sport, dport uint16
	for kind, value := range attributes(tuple) {
		for part, value := range attributes(value) {
			switch {
			case kind == nl.CTA_TUPLE_IP && (part == nl.CTA_IP_V4_SRC || part == nl.CTA_IP_V6_SRC):
				src, _ = netip.AddrFromSlice(value)
			case kind == nl.CTA_TUPLE_IP && (part == nl.CTA_IP_V4_DST || part == nl.CTA_IP_V6_DST):
				dst, _ = netip.AddrFromSlice(value)
			case kind == nl.CTA_TUPLE_PROTO && part == nl.CTA_PROTO_NUM && len(value) == 1:
				protocol = value[0]
			case kind == nl.CTA_TUPLE_PROTO && part == nl.CTA_PROTO_SRC_PORT && len(value) == 2:
				sport = binary.BigEndian.Uint16(value)
			case kind == nl.CTA_TUPLE_PROTO && part == nl.CTA_PROTO_DST_PORT && len(value) == 2:
				dport = binary.BigEndian.Uint16(value)
			}
		}
	}
	return netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport), protocol
}
