package plugin

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// Transport is how a query came in.
type Transport uint8

// The transports, in the order of Transport's text.
const (
	UDP Transport = iota
	TCP
)

// String is the transport as logs and metrics name it.
func (t Transport) String() string {
	if t == TCP {
		return "tcp"
	}
	return "udp"
}

// Host is what an Exchange needs of the server that carries it.
type Host interface {
	// Yield lets another goroutine read on from the socket or connection that x came by.
	Yield(x *Exchange) error
	// Resolve asks the listener that x came by for another name, through the whole chain of the block that serves it.
	Resolve(ctx context.Context, x *Exchange, name wire.Name, qtype uint16) (*dns.Msg, error)
}

// Sender is a Host that can send several messages as one answer.
type Sender interface {
	// SendPart sends x's reply; another message follows.
	SendPart(x *Exchange) error
}

// Exchange is a query on its way along a chain, and its reply. The server pools it: nothing of it may be kept after
// Serve returned.
type Exchange struct {
	Query wire.Query
	Reply wire.Reply

	Now       time.Time      // when the query was read
	Client    netip.AddrPort // IPv4 addresses are never in their mapped form
	Local     netip.AddrPort // where the query was sent to, as far as the system tells
	Transport Transport
	Shard     int    // number of the reading goroutine's socket, below Env.Shards: for counters without contention
	Server    string // the listener, "dns://:53", as metrics label it
	Zone      string // the key of the server block that answers, "cluster.local."; empty when there is none
	View      string // of the server block that answers, see Filter
	Depth     int    // how many questions of ours led to this one; 0 for a client's
	Live      bool   // the answer is read from live data: nothing may keep it

	Metadata *Metadata // what directives know of the query; nil unless the block has the directive metadata

	host    Host
	chain   []Handler
	at      int
	blocked bool
}

// Begin puts x at the head of a chain.
func (x *Exchange) Begin(host Host, chain []Handler) {
	x.host, x.chain, x.at, x.blocked, x.Live, x.Metadata = host, chain, 0, false, false, nil
}

// Next hands x to the handler behind the one that calls.
func (x *Exchange) Next(ctx context.Context) error {
	if x.at == len(x.chain) {
		return ErrNoHandler
	}
	h := x.chain[x.at]
	x.at++
	err := h.Serve(ctx, x)
	x.at--
	return err
}

// Block says that the handler is about to wait: another goroutine takes over the socket that x came by, and the reply
// is sent by this one. Forgetting it costs throughput, never correctness. After ErrOverload the handler must not wait.
func (x *Exchange) Block() error {
	if x.blocked || x.host == nil {
		return nil
	}
	if err := x.host.Yield(x); err != nil {
		return err
	}
	x.blocked = true
	return nil
}

// Blocked tells whether Block was called.
func (x *Exchange) Blocked() bool { return x.blocked }

// Resolve asks another question in x's stead: of the same listener, with the same client and EDNS. The chain of the
// block that serves name answers it. It waits, so it calls Block itself.
func (x *Exchange) Resolve(ctx context.Context, name wire.Name, qtype uint16) (*dns.Msg, error) {
	if err := x.Block(); err != nil {
		return nil, err
	}
	return x.host.Resolve(ctx, x, name, qtype)
}

// Send sends the reply so far as a message of its own, for answers of several messages (RFC 5936, section 2.2), and empties
// the reply: the next message, at last that which Serve leaves behind, is begun anew. It waits until the client has
// taken the message, so Block comes first. An error means that the client is gone, or that it did not come by TCP.
func (x *Exchange) Send() error {
	defer x.Reply.Reset()
	sender, ok := x.host.(Sender)
	if !ok {
		return ErrOneMessage
	}
	return sender.SendPart(x)
}

// Detach makes an Exchange of its own for x's question and the rest of the chain, behind the handler that calls: for work
// that outlives Serve, such as refreshing what is kept. Whoever calls sets Now. Its reply goes to nobody, and it counts
// as one by TCP, whatever x came by, so that no reply is cut for a client's sake. Block is free, hence the caller bounds
// how many there are.
func (x *Exchange) Detach() (*Exchange, error) {
	d := &Exchange{
		Now: x.Now, Client: x.Client, Local: x.Local, Transport: TCP, Shard: x.Shard,
		Server: x.Server, Zone: x.Zone, View: x.View, Depth: x.Depth,
		chain: x.chain, at: x.at,
	}
	if x.host != nil {
		d.host = detached{x.host}
	}
	if err := d.Query.Parse(bytes.Clone(x.Query.Packet())); err != nil {
		return nil, err
	}
	if x.Metadata != nil {
		d.Metadata = new(Metadata)
		d.Metadata.Begin(d, x.Metadata.providers)
	}
	return d, nil
}

// detached is the Host of an Exchange that holds no socket.
type detached struct{ Host }

// Yield has nothing to hand over.
func (detached) Yield(*Exchange) error { return nil }

// Limit is the size in bytes up to which the client takes a reply.
func (x *Exchange) Limit() int {
	if x.Transport == TCP {
		return dns.MaxMsgSize
	}
	return x.Query.MaxReply()
}
