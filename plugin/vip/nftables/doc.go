// Package nftables forwards virtual IPs in the kernel: what the plan says becomes elements of nftables' maps, in two tables
// of our own (ip and ip6 nameplane), and the process may die while traffic goes on.
//
// The layout keeps the number of objects constant, because the kernel's cost of loading a rule, chain or set grows with the
// number of those that are there, while an element costs the same always:
//
//	svc     address . protocol . port        : goto lb-3, goto refuse, or drop
//	ep-tcp  address . port . slot            : endpoint . port          (ep-udp, ep-sctp)
//	lb-3    dnat to what ep-* has for the address, the port and a random number below 3
//
// So a service is 1 + n elements, one more or less endpoint is one or two, and the chain lb-3 is shared by all services with
// three endpoints. Slots are dense: an endpoint that goes is replaced by the last one, and the element of svc that names
// the number changes in the same transaction. Beside svc stand its parallels: np for NodePorts, which have no address,
// and svc-out and np-out for clients from outside where they are led elsewhere than pods (externalTrafficPolicy Local).
//
// Everything is decided for the first packet of a connection, in chains of type nat, so that what is established costs
// nothing, and is never cut off by a change. Which connections are masqueraded is looked up by what the client dialled,
// which conntrack remembers: no mark of packets is needed, so no one else's is disturbed.
//
// Services with session affinity have a chain and, for every endpoint, a set of the clients that it was given to. Their
// names are made of all that is in them: a changed one is another one, and what exists need not be read to be known.
//
// The tables carry the layout's own hash in a chain's name. Adopt reads the maps of a table that has the same, and sends
// the difference; a table of another layout is replaced in one transaction. Nothing is flushed, nobody else's table is
// ever touched or read.
package nftables
