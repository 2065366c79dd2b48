package server

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// table is what one instance answers on one address.
type table struct {
	server    string             // "dns://:53"
	zones     []map[string]*zone // by number of labels, then by name in wire form
	observers []plugin.Observer  // of what no zone answers
	listen    plugin.Listen      // of all blocks together
	flights   []flights          // by shard
	panics    prometheus.Counter
	log       *slog.Logger
}

// zone is one key of a server block.
type zone struct {
	name    string // "cluster.local."
	view    string
	filters []plugin.Filter
	chain   []plugin.Handler
	next    *zone // the same zone of the next block, for what the filters don't admit
}

// admitting is the first block with the zone that takes x; nil if none does.
func (z *zone) admitting(x *plugin.Exchange) *zone {
	for ; z != nil; z = z.next {
		if z.admits(x) {
			return z
		}
	}
	return nil
}

func (z *zone) admits(x *plugin.Exchange) bool {
	for _, f := range z.filters {
		if !f.Admits(x) {
			return false
		}
	}
	return true
}

// flights counts queries under way. It fills a cache line, so that shards don't share one.
type flights struct {
	n atomic.Int64
	_ [56]byte
}

func (t *table) add(name wire.Name, z *zone) {
	for len(t.zones) <= name.Labels() {
		t.zones = append(t.zones, nil)
	}
	if t.zones[name.Labels()] == nil {
		t.zones[name.Labels()] = map[string]*zone{}
	}
	first := t.zones[name.Labels()][string(name)]
	if first == nil {
		t.zones[name.Labels()][string(name)] = z
		return
	}
	for first.next != nil {
		first = first.next
	}
	first.next = z
}

// busy is the number of queries under way in all shards.
func (t *table) busy() int64 {
	total := int64(0)
	for i := range t.flights {
		total += t.flights[i].n.Load()
	}
	return total
}

// answer makes the reply to a packet; nil for none.
func (t *table) answer(ctx context.Context, x *plugin.Exchange, host plugin.Host, packet []byte) []byte {
	x.Server, x.Zone, x.View = t.server, "", ""
	x.Reply.Reset()
	t.serve(ctx, x, host, packet)
	if !x.Reply.Made() {
		return nil
	}
	return x.Reply.Finish(&x.Query, x.Limit())
}

// serve finds the chain for a packet and runs it. Class and EDNS version are looked at in CoreDNS's order.
func (t *table) serve(ctx context.Context, x *plugin.Exchange, host plugin.Host, packet []byte) {
	if !t.listen.Debug {
		defer t.rescue(x, packet)
	}
	q := &x.Query
	if err := q.Parse(packet); err != nil {
		if x.Reply.Fail(q, err) {
			t.observe(x)
		}
		return
	}
	if q.Class != dns.ClassINET && !t.listen.AnyClass {
		t.refuse(x)
		return
	}
	if q.EDNS.Present && q.EDNS.Version != 0 {
		x.Reply.BadVersion(q)
		return
	}
	z := t.route(x)
	if z == nil || len(z.chain) == 0 {
		t.refuse(x)
		return
	}
	x.Zone, x.View = z.name, z.view
	x.Begin(host, z.chain)
	err := x.Next(ctx)
	if err != nil || !x.Reply.Made() && !x.Reply.Dropped() {
		x.Reply.Start(q, dns.RcodeServerFailure)
		explain(&x.Reply, err)
	}
}

// explain adds to a failure why it failed, where the error knows (RFC 8914). Only clients with EDNS get to see it.
func explain(reply *wire.Reply, err error) {
	var told interface {
		ExtendedError() (code uint16, text string)
	}
	if errors.As(err, &told) {
		code, text := told.ExtendedError()
		reply.AddOption(dns.EDNS0EDE, append(binary.BigEndian.AppendUint16(nil, code), text...))
	}
}

// route is the zone that answers x: the one of the most labels that holds the name, and whose block takes the query. A DS record belongs to the parent
// side of a zone cut (RFC 4035, section 3.1.4.1): such a question goes to the zone of the fewest labels, as in CoreDNS,
// but not to the root while any other holds the name.
func (t *table) route(x *plugin.Exchange) *zone {
	q := &x.Query
	toParent := q.Type == dns.TypeDS && q.Opcode() == dns.OpcodeQuery
	var parent *zone
	labels := q.Labels()
	for n := min(labels, len(t.zones)-1); n >= 0; n-- {
		if t.zones[n] == nil || n == 0 && parent != nil {
			continue
		}
		z := t.zones[n][string(q.From(labels-n))].admitting(x)
		switch {
		case z == nil:
		case !toParent || len(z.chain) == 0:
			return z
		default:
			parent = z
		}
	}
	return parent
}

func (t *table) refuse(x *plugin.Exchange) {
	x.Reply.Start(&x.Query, dns.RcodeRefused)
	t.observe(x)
}

func (t *table) observe(x *plugin.Exchange) {
	for _, o := range t.observers {
		o.Refused(x)
	}
}

// rescue makes a panic one failed query. The packet is read again, since a handler may have put another question.
func (t *table) rescue(x *plugin.Exchange, packet []byte) {
	cause := recover()
	if cause == nil {
		return
	}
	t.panics.Inc()
	text := "recovered from a panic"
	if t.listen.Stacktrace {
		text += "\n" + string(debug.Stack())
	}
	t.log.Error(text, "server", t.server, "name", x.Query.NameString(), "type", x.Query.TypeString(), "panic", cause)
	if err := x.Query.Parse(packet); err != nil {
		x.Reply.Fail(&x.Query, err)
		return
	}
	x.Reply.Start(&x.Query, dns.RcodeServerFailure)
}
