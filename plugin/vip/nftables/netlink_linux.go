package nftables

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// reader asks the kernel for the contents of a table. The program nft would read a whole table to answer any question about it,
// and print it as JSON: with 30,000 services it takes twenty seconds for what are tenths of one.
type reader struct {
	family family
	table  string
}

// contents are the names of the table's chains, sets and maps.
func (r reader) contents() (c contents, err error) {
	if c.chains, err = r.names(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME); err != nil {
		return c, err
	}
	c.sets, err = r.names(unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, unix.NFTA_SET_NAME)
	return c, err
}

func (r reader) names(message int, table, name uint16) (found map[string]bool, err error) {
	start := func() { found = map[string]bool{} }
	err = r.dump(message, nil, start, func(attribute map[uint16][]byte) error {
		if unix.ByteSliceToString(attribute[table]) == r.table {
			found[unix.ByteSliceToString(attribute[name])] = true
		}
		return nil
	})
	return found, err
}

// rules counts the rules of each chain.
func (r reader) rules() (count map[string]int, err error) {
	start := func() { count = map[string]int{} }
	filter := []*nl.RtAttr{nl.NewRtAttr(unix.NFTA_RULE_TABLE, nl.ZeroTerminated(r.table))}
	err = r.dump(unix.NFT_MSG_GETRULE, filter, start, func(attribute map[uint16][]byte) error {
		if unix.ByteSliceToString(attribute[unix.NFTA_RULE_TABLE]) == r.table {
			count[unix.ByteSliceToString(attribute[unix.NFTA_RULE_CHAIN])]++
		}
		return nil
	})
	return count, err
}

// elements are those of a set or map that is not of intervals.
func (r reader) elements(o object) (found map[string]string, err error) {
	key, value := o.kinds()
	start := func() { found = map[string]string{} }
	filter := []*nl.RtAttr{
		nl.NewRtAttr(unix.NFTA_SET_ELEM_LIST_TABLE, nl.ZeroTerminated(r.table)), nl.NewRtAttr(unix.NFTA_SET_ELEM_LIST_SET, nl.ZeroTerminated(o.name)),
	}
	err = r.dump(unix.NFT_MSG_GETSETELEM, filter, start, func(attribute map[uint16][]byte) error {
		for _, b := range attributes(attribute[unix.NFTA_SET_ELEM_LIST_ELEMENTS]) {
			k, v, ok := r.element(key, value, b)
			if !ok {
				return fmt.Errorf("%w: %s has %x", errForeign, o.name, b)
			}
			found[k] = v
		}
		return nil
	})
	return found, err
}

// element reads one: its key, and its value in a map.
func (r reader) element(key, value []kind, b []byte) (k, v string, ok bool) {
	var hasKey, hasValue bool
	for kind, part := range attributes(b) {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			k, hasKey = decode(r.family, key, first(part, unix.NFTA_DATA_VALUE))
		case unix.NFTA_SET_ELEM_DATA:
			if verdictPart := first(part, unix.NFTA_DATA_VERDICT); verdictPart != nil {
				v, hasValue = readVerdict(verdictPart)
			} else {
				v, hasValue = decode(r.family, value, first(part, unix.NFTA_DATA_VALUE))
			}
		}
	}
	return k, v, hasKey && (hasValue || value == nil)
}

func readVerdict(b []byte) (string, bool) {
	code := first(b, unix.NFTA_VERDICT_CODE)
	if len(code) != 4 {
		return "", false
	}
	return verdict(int32(binary.BigEndian.Uint32(code)), unix.ByteSliceToString(first(b, unix.NFTA_VERDICT_CHAIN)))
}

// dump asks, and hands each message's attributes to each. When the rules of anybody change meanwhile, it starts once more, and
// says so. What does not exist has no messages.
func (r reader) dump(message int, filter []*nl.RtAttr, start func(), each func(map[uint16][]byte) error) error {
	for range maxDumps {
		start()
		err := r.dumpOnce(message, filter, each)
		if errors.Is(err, nl.ErrDumpInterrupted) {
			continue
		}
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		return fmt.Errorf("netlink: %w", err)
	}
	return fmt.Errorf("netlink: the kernel's rules change so often that they could not be read in %d attempts", maxDumps)
}

const maxDumps = 50

func (r reader) dumpOnce(message int, filter []*nl.RtAttr, each func(map[uint16][]byte) error) error {
	req := netfilterRequest(r.family, unix.NFNL_SUBSYS_NFTABLES, message, unix.NLM_F_DUMP)
	for _, a := range filter {
		req.AddData(a)
	}
	var problem error
	err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(message []byte) bool {
		if len(message) < nl.SizeofNfgenmsg {
			return true
		}
		attribute := map[uint16][]byte{}
		for kind, value := range attributes(message[nl.SizeofNfgenmsg:]) {
			attribute[kind] = value
		}
		problem = each(attribute)
		return problem == nil
	})
	return cmp.Or(err, problem)
}

// kinds are those of the object's keys and values; no values for a set, nor for a map of verdicts.
func (o object) kinds() (key, value []kind) {
	k, v, isMap := strings.Cut(o.typ+o.typeof, " : ")
	if isMap && v != "verdict" {
		value = kinds(v)
	}
	return kinds(k), value
}

func netfilterRequest(f family, subsystem, message, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(subsystem<<8|message, flags)
	number := uint8(unix.AF_INET6)
	if f.four {
		number = unix.AF_INET
	}
	req.AddData(&nl.Nfgenmsg{NfgenFamily: number, Version: nl.NFNETLINK_V0})
	return req
}

// first is the value of the first attribute of a kind; nil when there is none.
func first(b []byte, want uint16) []byte {
	for kind, value := range attributes(b) {
		if kind == want {
			return value
		}
	}
	return nil
}

// attributes are the netlink attributes of b, up to one that is broken.
func attributes(b []byte) func(yield func(kind uint16, value []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			n := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if n < unix.SizeofNlAttr || n > len(b) || !yield(kind, b[unix.SizeofNlAttr:n]) {
				return
			}
			b = b[min((n+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(b)):]
		}
	}
}
