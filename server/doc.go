// Package server makes a DNS server of a Corefile: listeners, zones, chains of handlers, and their life from start to drain.
//
// It is the only assembler. New is pure: it turns blocks into an instance (chains, and for each address a table from
// zones to chains) or into all errors at once; Run opens what the instance names. Sockets and instance are kept apart: a
// listener holds its table in an atomic pointer, so Reload builds a whole new instance and swaps tables between two
// queries, while sockets that stay in use are not touched.
//
// The goroutine that reads a query also serves it and writes the reply: a hand-off costs more than an answer out of
// memory does. A handler that is about to wait says so (Exchange.Block); then another goroutine takes over the socket,
// and the one that waits sends its reply itself, together with what others have ready by then. On Linux an address has
// one UDP socket for each P, told apart by SO_REUSEPORT, so that readers share nothing. DNS over TLS is the machinery of
// TCP with crypto/tls below it.
//
// Whoever looks for a new Corefile (watcher) belongs to the server as well: it outlives the instances that it replaces.
package server
