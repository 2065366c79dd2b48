package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/wire"
)

// maxDepth bounds questions that lead to questions: a chain of external names may be a circle.
const maxDepth = 12

// listener is the sockets of one address. It outlives instances: what it answers is in its table.
type listener struct {
	address address
	options *Options
	waiters *waiters
	meters  *meters
	log     *slog.Logger

	ctx   context.Context // of the queries: a reader that takes a socket over has no caller to get it from
	table atomic.Pointer[table]
	udp   []*udpSocket // none for TLS
	tcp   *tcpSocket
	tls   *tls.Config    // nil for connections in the clear
	tasks sync.WaitGroup // goroutines that read or have a query in their hands
}

// open binds the sockets; nothing is read before serve.
func (l *listener) open(ctx context.Context) error {
	tcp, err := listenTCP(ctx, l.address.bind())
	if err != nil {
		return err
	}
	l.tcp = newTCPSocket(l, tcp)
	if l.address.tls {
		// The keys of session tickets are this one's, so that sessions are resumed after a reload (RFC 8446, section 2.2).
		l.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return l.table.Load().listen.TLS.Config(), nil
		}}
		return nil
	}
	for shard := range l.options.Shards {
		conn, err := listenUDP(ctx, l.address.bind())
		if err != nil {
			l.close()
			return err
		}
		l.udp = append(l.udp, newUDPSocket(l, conn, shard))
	}
	return nil
}

// serve starts to read. ctx is that of the queries.
func (l *listener) serve(ctx context.Context) {
	l.ctx = ctx
	for _, s := range l.udp {
		s.start()
	}
	l.tasks.Go(l.tcp.accept)
}

// stop ends reading, and waits for the queries under way until ctx ends. Replies still go out.
func (l *listener) stop(ctx context.Context) error {
	for _, s := range l.udp {
		s.stop()
	}
	l.tcp.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.tasks.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: queries were cut off", l.address)
	}
}

// close closes the sockets.
func (l *listener) close() {
	for _, s := range l.udp {
		s.conn.Close()
	}
	l.tcp.close()
}

// enter is the table to answer a query from. The query counts as under way until leave: whoever swapped the table may
// wait for that (see quiesce), and hence it is looked at again once counted.
func (l *listener) enter(shard int) *table {
	for {
		t := l.table.Load()
		t.flights[shard].n.Add(1)
		if l.table.Load() == t {
			return t
		}
		t.leave(shard)
	}
}

func (t *table) leave(shard int) { t.flights[shard].n.Add(-1) }

// quiesce waits until no query is under way in t, which is not the current table any more, or until ctx ends.
func (t *table) quiesce(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for t.busy() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %d queries are under way still", t.server, t.busy())
		}
	}
	return nil
}

// inner is a question that a handler asks in a client's stead. It is never read from a socket, so there is none to
// hand over.
type inner struct {
	plugin.Exchange
	listener *listener
}

// Yield implements plugin.Host.
func (*inner) Yield(*plugin.Exchange) error { return nil }

// Resolve implements plugin.Host.
func (i *inner) Resolve(ctx context.Context, x *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	return i.listener.resolve(ctx, x, name, qtype)
}

// resolve asks for a name in the stead of x's client. The reply is what this client would get, or nil.
func (l *listener) resolve(ctx context.Context, x *plugin.Exchange, name wire.Name, qtype uint16) (*dns.Msg, error) {
	if x.Depth+1 > maxDepth {
		return nil, fmt.Errorf("%s: more than %d questions lead to each other", name, maxDepth)
	}
	packet, err := ask(&x.Query, name, qtype)
	if err != nil {
		return nil, err
	}
	i := &inner{listener: l}
	i.Now, i.Client, i.Local, i.Transport = x.Now, x.Client, x.Local, x.Transport
	i.Shard, i.Depth = x.Shard, x.Depth+1
	t := l.enter(x.Shard)
	defer t.leave(x.Shard)
	reply := t.answer(ctx, &i.Exchange, i, packet)
	if reply == nil {
		return nil, nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		return nil, fmt.Errorf("reply to our question for %s: %w", name, err)
	}
	return m, nil
}

// ask is a query for name with q's flags and EDNS.
func ask(q *wire.Query, name wire.Name, qtype uint16) ([]byte, error) {
	like, err := q.Msg()
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	m.Id, m.RecursionDesired, m.CheckingDisabled, m.AuthenticatedData = like.Id, q.RD(), q.CD(), q.AD()
	m.Question = []dns.Question{{Name: name.String(), Qtype: qtype, Qclass: dns.ClassINET}}
	if opt := like.IsEdns0(); opt != nil {
		m.Extra = []dns.RR{opt}
	}
	return m.Pack()
}

// ended tells whether a socket's error means that nothing is to be read any more.
func ended(err error) bool {
	var timeout net.Error
	return errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout()
}
