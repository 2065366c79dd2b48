package plugin

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

// Env is what a server block offers to the directives that are built for it.
type Env struct {
	Zones    []wire.Name          // the block's keys; address blocks are written out as reverse zones
	Servers  []string             // the block's listeners without "bind", "dns://:53", as metrics label them
	Dir      string               // folder of the Corefile: relative paths of options start there
	File     *corefile.File       // all of it, for directives that concern the whole process; nil in some tests
	Shards   int                  // number of sockets that read, see Exchange.Shard
	Version  string               // of the program
	Log      *slog.Logger         // for the directive's own messages
	Metrics  *prometheus.Registry // of the process: see Register
	Web      Web                  // HTTP paths
	Listen   *Listen              // how the block's sockets are opened
	Reload   *Reload              // how a new Corefile is looked for
	Instance Instance             // all blocks; not before Start
	Now      func() time.Time     // the clock
	Keeper   Keeper               // what outlives a reload: see Keep
	Hosts    []string             // kinds of objects whose host names the block answers: "ingress", "gateway"
	Metadata bool                 // the block has the directive metadata: what it can tell may be read
}

// Keeper finds what an earlier instance made.
type Keeper interface {
	Keep(key string, make func() any) any
}

// Keep is what an earlier instance's directive made under this key, or else what make makes. It is found again while
// the text of the directive, of everything behind it in the chain, and the block's keys and listeners stay the same: what
// was learnt from other directives is not to outlive them. Old and new instance share it for a moment.
func (e *Env) Keep(key string, make func() any) any {
	if e.Keeper == nil {
		return make()
	}
	return e.Keeper.Keep(key, make)
}

// Listen is what directives may say of a server block's sockets.
type Listen struct {
	Hosts      []string // addresses to bind to; none for all
	Debug      bool     // a panic ends the process instead of one query
	Stacktrace bool     // the log shows where a panic that was recovered came from
	AnyClass   bool     // queries of other classes than IN reach the listener's chains; else they are refused
	TLS        *TLS     // for keys that begin with tls://
	Timeouts   Timeouts // what is zero is left to others, and then to the server
}

// Timeouts are those of connections.
type Timeouts struct {
	Read    time.Duration // for the first query, a handshake included
	Idle    time.Duration // for each further one
	Write   time.Duration // for the client to take a reply
	Queries int           // how many a connection may bring; 0 for any number
}

// Or is t, and what it lacks of other.
func (t Timeouts) Or(other Timeouts) Timeouts {
	return Timeouts{
		Read: cmp.Or(t.Read, other.Read), Idle: cmp.Or(t.Idle, other.Idle), Write: cmp.Or(t.Write, other.Write),
		Queries: cmp.Or(t.Queries, other.Queries),
	}
}

// Reload is how a new Corefile is looked for, for all server blocks together.
type Reload struct {
	Every time.Duration // between two looks; 0 for none
}

// Web offers HTTP paths to operators. Listeners are opened when the instance starts and live through a reload.
type Web interface {
	// Handle serves path on addr (host:port). Two handlers of one path and address are an error of the second, unless
	// the first is a Page that says they are the same.
	Handle(at corefile.Position, addr, path string, h http.Handler) error
}

// Page is an http.Handler that several server blocks may ask for at one path and address.
type Page interface {
	http.Handler
	// Same tells whether the first serves for the other as well, which is then not needed.
	Same(other http.Handler) bool
}

// SecurePage is an http.Handler that may be served by TLS. All pages of an address have to agree on that.
type SecurePage interface {
	http.Handler
	// TLS is nil for a page in the clear.
	TLS() *TLS
}

// Instance is everything that one Corefile made.
type Instance interface {
	Blocks() []Block
}

// Block is one zone of a server block on one listener.
type Block struct {
	Server   string // "dns://:53"
	Zone     string // "cluster.local."
	View     string // see Filter; empty for a block that takes all queries
	Handlers []Handler
}

// Register registers a collector, or finds the one of the same description that an earlier instance registered:
// counters go on over a reload.
func Register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	err := r.Register(c)
	if have, ok := err.(prometheus.AlreadyRegisteredError); ok {
		if same, ok := have.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, err
}
