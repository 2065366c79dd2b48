package plugin

import "github.com/nameplane/nameplane/server/wire"

// Searcher is a Handler that knows clients' search lists (resolv.conf's "search"), so that another one can walk them in a
// client's stead.
type Searcher interface {
	// SearchPath is what the client that asks x puts behind a name, in the order in which it does, the root last. It is
	// nil unless the question ends in the first of them, and for whom the list is not known. It is not to be changed.
	SearchPath(x *Exchange) []wire.Name
}
