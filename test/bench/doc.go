// Package bench measures Nameplane beside CoreDNS: both serve the same API server's objects from the same Corefile, in
// turn and in the same minutes, and what is printed is the ratio. "make bench" runs it.
//
// The headline is CPU time per answered query, user and system, of the server's process: it is what an operator pays,
// and unlike queries a second it does not depend on how fast the generator is. The server has one processor and the
// generator (dnsperf) another; rounds of all contenders alternate, A B C C B A, so that a drift of the machine's speed
// falls on all.
package bench
