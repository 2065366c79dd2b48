// Package relay forwards virtual IPs by the sockets of this process: one that listens for each frontend, one that dials for
// each connection or flow, and bytes that are spliced between them. It needs no privileges where the addresses are the
// machine's already, as all of 127.0.0.0/8 is on Linux, and so it is the plane of laptops and of the demo. Other addresses
// are given to the machine, guarded, where the process may do that; else the frontend is refused, and the others go on.
//
// Update and traffic do not meet: a socket finds its frontend by an atomic pointer to an immutable view, which Adopt and
// Apply replace. Sockets open and close only where an address and port begin or end to be forwarded. Connections outlive the
// backends that a plan no longer has; UDP flows don't, since a datagram that is lost is all that would be.
//
// What both ends of a connection do is passed on as it is: an end of data as an end of data, a reset as a reset. So the
// one that closes first is left to wait for stray segments (TIME_WAIT), or the relay in its place, and nobody after a reset.
// A peer that reads slowly slows down the other, for nothing is kept in between but the kernel's buffers, and one of ours.
//
// What sockets cannot do, and package nftables can:
//   - backends see this machine's address, not the client's
//   - connections end with the process
//   - a connection that may not be answered (Drop) is refused, or reset when it is refused to some clients only; a
//     datagram that must be refused to some clients only is dropped
//   - no SCTP
//   - a backend elsewhere takes no more than some 28,000 connections a minute that clients close first: the local ports of
//     one source address, each of which stays in TIME_WAIT for so long
package relay
