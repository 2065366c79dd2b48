// Package nodelocal is what NodeLocal DNSCache's program does around its server, so that ours takes the place of that one
// with the same arguments and the same ConfigMaps:
//
//   - template.go makes the Corefile of its template, the environment and kube-dns's ConfigMap,
//   - network_linux.go keeps the addresses that pods ask on an interface of the node, and keeps connection tracking off
//     them: without that the service's own address would still be led to other nodes by kube-proxy's rules.
//
// The Corefile is made in memory each time it is read: no file system has to be writable, and what changes in a ConfigMap
// is found by the directive reload like any other change. The rules are those of nft and in a table of our own, where the
// original puts its into iptables' chains between those of others.
package nodelocal
