package plugin

import (
	"context"

	"github.com/nameplane/nameplane/server/wire"
)

// Forwarder is a Handler that asks other name servers, so that another one can find out which of them lead back here.
type Forwarder interface {
	// Upstreams are those that it asks by now; they may change while it runs. The same upstream compares equal each time.
	Upstreams() []Upstream
}

// Upstream is a name server that a Forwarder asks.
type Upstream interface {
	// String is its address as metrics label it, "10.0.0.2:53".
	String() string
	// Zone is a zone whose names it is asked for.
	Zone() wire.Name
	// Ask asks it alone, be it in quarantine. Any reply will do; an error means that there was none.
	Ask(ctx context.Context, q *wire.Query) error
	// Quarantine keeps clients' queries from it, or lets them through again.
	Quarantine(on bool)
}
