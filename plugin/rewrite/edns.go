package rewrite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// ednsSize is the UDP payload size of a question that gets an OPT record from a rule, as in CoreDNS.
const ednsSize = 4096

// The actions of an edns0 rule.
const (
	set     = "set"
	replace = "replace"
	add     = "append"
	unset   = "unset"
)

// optionRule changes an EDNS option of questions.
type optionRule struct {
	code   uint16
	action string
	data   func(x *plugin.Exchange) (data []byte, ok bool) // not of unset
	once   bool                                            // append leaves a question alone that has the option
	revert bool                                            // the reply shall not show it
}

// optionUndo is what a rule with revert does to the options of a reply.
type optionUndo struct {
	code uint16
	was  []byte // what stood there before
	had  bool   // it did: the option was changed, not added
}

func (r *optionRule) apply(p *pass) (bool, error) {
	e := p.x.Query.EDNS
	if r.action == unset {
		if !e.Present || !has(e.Options, r.code) {
			return true, nil
		}
		e.Options = without(e.Options, func(code uint16) bool { return code == r.code })
		return true, p.setEDNS(e)
	}
	data, ok := r.data(p.x)
	if !ok {
		return false, nil
	}
	if !e.Present {
		e = wire.EDNS{Present: true, Size: ednsSize}
	}
	was, had := find(e.Options, r.code)
	switch {
	case had && r.action != add:
		e.Options = replaceFirst(e.Options, r.code, data)
	case had && r.once, !had && r.action == replace:
		return false, nil
	default:
		had = false
		e.Options = wire.AppendOption(slices.Clip(e.Options), r.code, data)
	}
	if r.revert {
		p.options = append(p.options, optionUndo{code: r.code, was: was, had: had})
	}
	return true, p.setEDNS(e)
}

func (p *pass) setEDNS(e wire.EDNS) error {
	p.keep()
	return p.x.Query.SetEDNS(e)
}

// echo gives the reply its options. A reply of somebody else's keeps that one's. One of our own without options has those of
// the question, as far as rules of this block speak of them, because CoreDNS does so. A client without EDNS gets no option
// (RFC 6891, section 7), whatever the rules put into the question.
func (h *Handler) echo(p *pass) {
	if len(h.echoed) == 0 && len(p.options) == 0 {
		return
	}
	r := &p.x.Reply
	options, foreign := r.Options()
	switch {
	case foreign && len(p.options) > 0:
		r.SetOptions(p.undoOptions(options, r.Records()+1)) // once for each record, as other rules, and the OPT record is one
	case !foreign && len(options) == 0 && p.x.Query.EDNS.Present:
		options = p.undoOptions(p.x.Query.EDNS.Options, 1)
		r.SetOptions(without(options, func(code uint16) bool { return !slices.Contains(h.echoed, code) }))
	}
}

func (p *pass) undoOptions(options []byte, times int) []byte {
	for range times {
		for _, u := range slices.Backward(p.options) {
			if u.had {
				options = replaceFirst(options, u.code, u.was)
			} else {
				options = removeFirst(options, u.code)
			}
		}
	}
	return options
}

func has(options []byte, code uint16) bool {
	_, ok := find(options, code)
	return ok
}

func find(options []byte, code uint16) (data []byte, ok bool) {
	for have, data := range wire.Options(options) {
		if have == code {
			return data, true
		}
	}
	return nil, false
}

// without is the options that drop does not speak of, in bytes of their own.
func without(options []byte, drop func(code uint16) bool) []byte {
	var kept []byte
	for code, data := range wire.Options(options) {
		if !drop(code) {
			kept = wire.AppendOption(kept, code, data)
		}
	}
	return kept
}

func removeFirst(options []byte, code uint16) []byte {
	first := true
	return without(options, func(have uint16) bool {
		if have != code || !first {
			return false
		}
		first = false
		return true
	})
}

func replaceFirst(options []byte, code uint16, data []byte) []byte {
	var changed []byte
	first := true
	for have, was := range wire.Options(options) {
		if have == code && first {
			first, was = false, data
		}
		changed = wire.AppendOption(changed, have, was)
	}
	return changed
}

const ednsForm = "rewrite edns0 local|nsid|subnet set|replace|append|unset [ARGUMENTS] [revert]"

// newOptionRule reads a rule; local tells that its option is one that replies show.
func newOptionRule(line *corefile.Directive, args []string) (r *optionRule, local bool, err error) {
	if len(args) < 2 {
		return nil, false, line.Errorf("an edns0 rule wants at least 2 arguments, but has %d; write %q", len(args), ednsForm)
	}
	what, action := strings.ToLower(args[0]), strings.ToLower(args[1])
	options := []string{"local", "nsid", "subnet"}
	if !slices.Contains(options, what) {
		return nil, false, line.Errorf("%q is none of %s%s", args[0], strings.Join(options, ", "), near(what, options))
	}
	actions := []string{set, replace, add, unset}
	if !slices.Contains(actions, action) {
		return nil, false, line.Errorf("%q is none of %s%s", args[1], strings.Join(actions, ", "), near(action, actions))
	}
	r = &optionRule{action: action}
	args = args[2:]
	if n := len(args); action != unset && n > 0 && args[n-1] == "revert" {
		r.revert, args = true, args[:n-1]
	}
	form, parse, count := r.shape(what)
	if len(args) != count {
		return nil, false, line.Errorf("edns0 %s %s wants %d arguments, but has %d; write %q", what, action, count, len(args), form)
	}
	return r, what == "local", parse(line, args)
}

// shape is how the arguments of a rule are written, read, and their number.
func (r *optionRule) shape(what string) (form string, parse func(*corefile.Directive, []string) error, count int) {
	form = "rewrite edns0 " + what + " " + r.action
	switch {
	case what == "nsid":
		return form, r.parseNSID, 0
	case what == "local" && r.action == unset:
		return form + " CODE", r.parseCode, 1
	case what == "local":
		return form + " CODE DATA [revert]", r.parseLocal, 2
	case r.action == unset:
		return form, func(*corefile.Directive, []string) error { r.code = dns.EDNS0SUBNET; return nil }, 0
	}
	return form + " BITS4 BITS6 [revert]", r.parseSubnet, 2
}

func (r *optionRule) parseNSID(*corefile.Directive, []string) error {
	r.code = dns.EDNS0NSID // RFC 5001, section 2.1: empty in a question
	r.data = func(*plugin.Exchange) ([]byte, bool) { return nil, true }
	return nil
}

func (r *optionRule) parseCode(line *corefile.Directive, args []string) error {
	code, err := strconv.ParseUint(args[0], 0, 16)
	if err != nil {
		return line.Errorf("%q is not the code of an option: 16 bits are wanted, such as 0xffee", args[0])
	}
	r.code = uint16(code)
	return nil
}

func (r *optionRule) parseLocal(line *corefile.Directive, args []string) error {
	if err := r.parseCode(line, args); err != nil {
		return err
	}
	text := args[1]
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		r.once = true
		return r.parseVariable(line, text)
	}
	data := []byte(text)
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		var err error
		if data, err = hex.DecodeString(digits); err != nil {
			return line.Errorf("%q is not data in hexadecimal digits: %v", text, err)
		}
	}
	r.data = func(*plugin.Exchange) ([]byte, bool) { return data, true }
	return nil
}

func (r *optionRule) parseVariable(line *corefile.Directive, text string) error {
	names := make([]string, 0, 8)
	for _, v := range variables() {
		if v.name == text {
			r.data = v.data
			return nil
		}
		names = append(names, v.name)
	}
	label := text[1 : len(text)-1]
	if !isLabel(label) {
		return line.Errorf("%q is not a variable: %s or {PLUGIN/LABEL} is wanted%s", text, strings.Join(names, ", "), near(text, names))
	}
	r.data = func(x *plugin.Exchange) ([]byte, bool) {
		value, ok := x.Metadata.Value(label)
		return []byte(value), ok && value != ""
	}
	return nil
}

// variable is data that depends on the question.
type variable struct {
	name string
	data func(x *plugin.Exchange) ([]byte, bool)
}

func variables() []variable {
	return []variable{
		{"{qname}", func(x *plugin.Exchange) ([]byte, bool) { return []byte(x.Query.NameString()), true }},
		{"{qtype}", func(x *plugin.Exchange) ([]byte, bool) { return number(x.Query.Type) }},
		{"{client_ip}", func(x *plugin.Exchange) ([]byte, bool) { return x.Client.Addr().AsSlice(), true }},
		{"{client_port}", func(x *plugin.Exchange) ([]byte, bool) { return number(x.Client.Port()) }},
		{"{protocol}", func(x *plugin.Exchange) ([]byte, bool) { return []byte(x.Transport.String()), true }},
		{"{server_ip}", func(x *plugin.Exchange) ([]byte, bool) {
			addr := x.Local.Addr().Unmap()
			return addr.AsSlice(), addr.Is4() == x.Client.Addr().Is4()
		}},
		{"{server_port}", func(x *plugin.Exchange) ([]byte, bool) { return number(x.Local.Port()) }},
	}
}

func number(n uint16) ([]byte, bool) { return binary.BigEndian.AppendUint16(nil, n), true }

func (r *optionRule) parseSubnet(line *corefile.Directive, args []string) error {
	var bits [2]int
	for i, most := range [...]uint64{32, 128} {
		n, err := strconv.ParseUint(args[i], 0, 16)
		if err != nil || n > most {
			return line.Errorf("%q is not a number of bits from 0 to %d", args[i], most)
		}
		bits[i] = int(n)
	}
	r.code, r.once = dns.EDNS0SUBNET, true
	r.data = func(x *plugin.Exchange) ([]byte, bool) {
		if addr := x.Client.Addr(); addr.Is4() {
			return subnet(1, addr, bits[0]), true
		}
		return subnet(2, x.Client.Addr(), bits[1]), true
	}
	return nil
}

// subnet is a client's network as an option (RFC 7871, section 6): the bytes that bits reach into.
func subnet(family byte, addr netip.Addr, bits int) []byte {
	network, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return []byte{0, family, 0, 0} // bits were checked
	}
	data := bytes.NewBuffer([]byte{0, family, byte(bits), 0})
	data.Write(network.Addr().AsSlice()[:(bits+7)/8])
	return data.Bytes()
}
