package rewrite

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/corefile"
)

// typeRule asks for another type.
type typeRule struct{ from, to uint16 }

func newTypeRule(line *corefile.Directive, args []string) (change, error) {
	from, to, err := parsePair(line, args, "type", dns.StringToType)
	return typeRule{from, to}, err
}

func (r typeRule) apply(p *pass) (bool, error) {
	q := &p.x.Query
	if q.Type != r.from || r.from == 0 || r.to == 0 {
		return false, nil
	}
	return true, p.ask(q.Spelling(0), r.to, q.Class)
}

// classRule asks in another class.
type classRule struct{ from, to uint16 }

func newClassRule(line *corefile.Directive, args []string) (change, error) {
	from, to, err := parsePair(line, args, "class", dns.StringToClass)
	return classRule{from, to}, err
}

func (r classRule) apply(p *pass) (bool, error) {
	q := &p.x.Query
	if q.Class != r.from || r.from == 0 || r.to == 0 {
		return false, nil
	}
	return true, p.ask(q.Spelling(0), q.Type, r.to)
}

// parsePair reads the FROM and TO of a type or class rule.
func parsePair(line *corefile.Directive, args []string, what string, known map[string]uint16) (from, to uint16, err error) {
	if len(args) != 2 {
		return 0, 0, line.Errorf("a %s rule wants 2 arguments, but has %d; write %q", what, len(args), "rewrite "+what+" FROM TO")
	}
	var pair [2]uint16
	var problems corefile.Errors
	for i, word := range args {
		value, ok := known[strings.ToUpper(word)]
		if !ok {
			problems.Join(line.Errorf("%q is not a %s of questions, such as %s", word, what, map[string]string{"type": "AAAA", "class": "IN"}[what]))
		}
		pair[i] = value
	}
	return pair[0], pair[1], problems.Err()
}

// ttlRule bounds the TTLs of replies to the questions that it matches.
type ttlRule struct {
	matcher
	clamp
}

// clamp is the bounds, in seconds.
type clamp struct{ min, max uint32 }

const ttlForm = "rewrite ttl [exact|prefix|suffix|substring|regex] NAME SECONDS|MIN-MAX"

func newTTLRule(line *corefile.Directive, args []string) (change, error) {
	if len(args) < 2 || len(args) > 3 {
		return nil, line.Errorf("a ttl rule wants 2 or 3 arguments, but has %d; write %q", len(args), ttlForm)
	}
	r := new(ttlRule)
	var (
		ok       bool
		problems corefile.Errors
		err      error
	)
	last := args[len(args)-1]
	if r.clamp, ok = parseClamp(last); !ok {
		problems.Join(line.Errorf("%q is not a TTL: SECONDS, MIN-MAX, MIN- or -MAX is wanted, at most 32 bits each", last))
	}
	r.matcher, err = parseMatch(line, args[:len(args)-1])
	problems.Join(err)
	return r, problems.Err()
}

// parseMatch reads [KIND] NAME.
func parseMatch(line *corefile.Directive, args []string) (matcher, error) {
	kind := exact
	if len(args) == 2 {
		var err error
		if kind, err = parseKind(line, args[0]); err != nil {
			return matcher{}, err
		}
	}
	return newMatcher(line, kind, args[len(args)-1])
}

// parseClamp reads SECONDS, MIN-MAX, MIN- or -MAX.
func parseClamp(text string) (clamp, bool) {
	low, high, ranged := strings.Cut(text, "-")
	if !ranged {
		n, err := strconv.ParseUint(low, 10, 32)
		return clamp{uint32(n), uint32(n)}, err == nil
	}
	bounds := clamp{0, math.MaxInt32} // RFC 2181, section 8: 31 bits
	for _, part := range [...]struct {
		text string
		into *uint32
	}{{low, &bounds.min}, {high, &bounds.max}} {
		if part.text == "" {
			continue
		}
		n, err := strconv.ParseUint(part.text, 10, 32)
		if err != nil {
			return clamp{}, false
		}
		*part.into = uint32(n)
	}
	return bounds, low+high != "" && bounds.min <= bounds.max
}

func (r *ttlRule) apply(p *pass) (bool, error) {
	if !r.matches(p) {
		return false, nil
	}
	p.undo = append(p.undo, &r.clamp)
	return true, nil
}

func (c *clamp) ttl(ttl uint32) uint32 { return min(max(ttl, c.min), c.max) }
func (c *clamp) rcode(rcode int) int   { return rcode }

func (c *clamp) record(_ context.Context, _ *pass, _ *dns.Msg, rr dns.RR) {
	rr.Header().Ttl = c.ttl(rr.Header().Ttl)
}

// rcodeRule changes the response code of replies to the questions that it matches.
type rcodeRule struct {
	matcher
	recode
}

// recode is a code and what takes its place.
type recode struct{ from, to int }

const rcodeForm = "rewrite rcode [exact|prefix|suffix|substring|regex] NAME FROM TO"

func newRcodeRule(line *corefile.Directive, args []string) (change, error) {
	if len(args) < 3 || len(args) > 4 {
		return nil, line.Errorf("an rcode rule wants 3 or 4 arguments, but has %d; write %q", len(args), rcodeForm)
	}
	r := new(rcodeRule)
	var (
		problems corefile.Errors
		err      error
	)
	n := len(args) - 2
	r.matcher, err = parseMatch(line, args[:n])
	problems.Join(err)
	r.from, err = parseRcode(line, args[n])
	problems.Join(err)
	r.to, err = parseRcode(line, args[n+1])
	problems.Join(err)
	return r, problems.Err()
}

// parseRcode reads the name or the number of a response code.
func parseRcode(line *corefile.Directive, word string) (int, error) {
	const highest = dns.RcodeBadCookie
	if n, err := strconv.ParseUint(word, 10, 32); err == nil && n <= highest {
		return int(n), nil
	}
	if n, ok := dns.StringToRcode[strings.ToUpper(word)]; ok {
		return n, nil
	}
	known := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
	return 0, line.Errorf("%q is not a response code: a name such as NXDOMAIN or a number from 0 to %d is wanted%s", word, highest, near(word, known))
}

func (r *rcodeRule) apply(p *pass) (bool, error) {
	if !r.matches(p) {
		return false, nil
	}
	p.undo = append(p.undo, &r.recode)
	return true, nil
}

func (*recode) ttl(ttl uint32) uint32 { return ttl }

func (r *recode) rcode(rcode int) int {
	if rcode == r.from {
		return r.to
	}
	return rcode
}

func (r *recode) record(_ context.Context, _ *pass, m *dns.Msg, _ dns.RR) {
	m.Rcode = r.rcode(m.Rcode)
}
