// Package forward is the directive that asks other name servers.
//
// An upstream's reply stays the bytes that it is: they are checked, the client's ID and spelling are put in, and they go out
// again (wire.Reply.SetPacket), so that a miss costs little more than its system calls.
//
// Many queries are under way on one link, a socket or a connection. Its goroutine reads it and hands each reply to the
// flight that it answers by ID, source and question; what answers none is counted, and ends no wait (RFC 5452, section 9).
// The query's own goroutine sends and waits. Deadlines are the link's: its reads end in vain when the first flight's time is
// over, so that a query needs no timer. A link on which a query stayed without a reply takes no more, since what lost it may
// be on the way, such as a translation to a server that is gone.
//
// IDs come from math/rand/v2's own generator, ChaCha8 with a seed of the system's. UDP sockets are few, for the sake of
// reading several replies with one wake-up, and short-lived: see pool for what a forger has to guess.
//
// A line's TO become its upstreams by a roster, which reads files again when they change; an upstream that fails is
// doubtful, and asked last, until a health check speaks for it. Run owns the checks, and looks after the files.
package forward
