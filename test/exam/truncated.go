package exam

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/world"
)

// bothFull tells whether replies that differ only in the number of records are truncated ones that are as full as they
// can be. Records come in random order and have different lengths, so that the first few of them may be more or less.
func (s *sitting) bothFull(both *pair, q world.Question, parts []string, theirs, ours *dns.Msg) bool {
	if !theirs.Truncated || !ours.Truncated {
		return false
	}
	for _, part := range parts {
		if part != "answer" && part != "additional" {
			return false
		}
	}
	full := s.whole(both, q)
	v := s.view()
	return full != nil && v.isFull(full, theirs, maxReply(q.Msg)) && v.isFull(full, ours, maxReply(q.Msg))
}

// whole is CoreDNS's reply to q by TCP, where nothing has to be left out; nil when there is none.
func (s *sitting) whole(both *pair, q world.Question) *dns.Msg {
	packet, err := q.Msg.Pack()
	if err != nil {
		return nil
	}
	reply, _, err := both.ask("tcp", packet) // both, so that both caches hear of it
	if err != nil {
		return nil
	}
	full := new(dns.Msg)
	if full.Unpack(reply) != nil || full.Truncated {
		return nil
	}
	return full
}

// maxReply is the size up to which a client takes a reply by UDP.
func maxReply(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return max(dns.MinMsgSize, int(opt.UDPSize()))
	}
	return dns.MinMsgSize
}

// contains tells whether m holds nothing but records of full.
func (v view) contains(full, m *dns.Msg) bool {
	all := v.records(records(full))
	for _, r := range v.records(records(m)) {
		i, found := slices.BinarySearch(all, r)
		if !found {
			return false
		}
		all = slices.Delete(all, i, i+1)
	}
	return true
}

// isFull tells whether m holds nothing but records of full, and not all others would have fitted beside them.
func (v view) isFull(full, m *dns.Msg, limit int) bool {
	all, some := v.records(records(full)), v.records(records(m))
	for _, r := range some {
		i, found := slices.BinarySearch(all, r)
		if !found {
			return false
		}
		all = slices.Delete(all, i, i+1)
	}
	packed := m.Copy()
	packed.Compress = true
	for _, rr := range records(full) {
		if _, missing := slices.BinarySearch(all, v.record(rr)); !missing {
			continue
		}
		more := packed.Copy()
		more.Compress = true
		more.Answer = append(more.Answer, rr)
		if more.Len() > limit {
			return true
		}
	}
	return false
}

func records(m *dns.Msg) []dns.RR {
	return slices.Concat(m.Answer, m.Ns, withoutOPT(m.Extra))
}
