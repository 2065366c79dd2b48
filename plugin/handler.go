package plugin

import (
	"context"
	"errors"

	"github.com/nameplane/nameplane/server/corefile"
)

// Handler is one link of a server block's chain.
type Handler interface {
	Name() string
	// Serve answers x, or hands it on with x.Next(ctx); around that call it may look at or change query and reply.
	// An error means that no reply was made: the client gets SERVFAIL. REFUSED, NXDOMAIN and the like are replies.
	// Nothing of x may be kept after Serve returned.
	Serve(ctx context.Context, x *Exchange) error
}

// ErrNoHandler is what Next returns behind the last handler: no directive of the server block answers the question.
var ErrNoHandler = errors.New("no directive of this server block answers the question")

// ErrOneMessage is what Send returns where an answer can only be one message.
var ErrOneMessage = errors.New("an answer of several messages is for a client that asks by TCP")

// ErrOverload is what Block returns when too many queries wait already.
var ErrOverload = errors.New("too many queries are waiting")

// Spec declares a directive.
type Spec struct {
	Name    string
	Summary string // one line, for the list that -plugins prints
	Plain   bool   // lines of Env.Log go out as they are, without "plugin/NAME: " before them
	// Build makes the handler of a server block from all lines of the block that begin with the name. It opens and
	// starts nothing. The handler is nil where the directive only changes the block's Env. Errors carry file:line.
	Build func(env *Env, lines []*corefile.Directive) (Handler, error)
}

// Starter is a Handler with work to do before its block answers: to open what can fail, to wait for data. An error
// keeps the instance from starting. Start returns when ctx ends.
type Starter interface {
	Start(ctx context.Context) error
}

// Runner is a Handler with a long-lived task, which ends with ctx. An error ends the process with a message; trouble
// that may pass is to be logged and tried again.
type Runner interface {
	Run(ctx context.Context) error
}

// Readier is a Handler that may not be able to answer yet. Ready is nil, or says what is waited for. It is a pointer, since
// two of one name have to be told apart.
type Readier interface {
	Ready() error
}

// Drainer is a Handler that takes part in an orderly stop. All are called at once, and the server answers on until the
// last has returned or ctx ends.
type Drainer interface {
	Drain(ctx context.Context)
}

// Closer is a Handler that holds what must be given back once no query can reach it any more.
type Closer interface {
	Close() error
}

// Filter is a Handler that chooses its server block's queries. What it does not admit goes to the next block with the same
// zone, and past the last of those to the zone above.
type Filter interface {
	// View is the block's name in metrics.
	View() string
	// Admits tells whether the block takes x, which no handler has seen yet.
	Admits(x *Exchange) bool
}

// Observer is a Handler that also wants to see what no server block answered: refused and malformed queries.
type Observer interface {
	Refused(x *Exchange)
}
