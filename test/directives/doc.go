// Package directives compares directives with CoreDNS's: both servers get the same Corefile, whose blocks are the options of
// a directive in all their combinations, and both are asked the same. What is understood differently shows as a record, a
// flag or a TTL that differs; what is not understood, as a Corefile that one of them refuses.
package directives
