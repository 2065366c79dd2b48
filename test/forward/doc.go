// Package forward holds Nameplane's directive forward against CoreDNS's: both get the same Corefile, with a server block
// for each set of options, and ask the same scripted upstreams, which answer well, badly, late, or not at all, as the
// question's first label says. Replies must be the same but for the differences that are declared, each with its reason.
package forward
