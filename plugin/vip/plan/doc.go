// Package plan turns the store's services into the desired state of virtual IPs: for every address, port and protocol
// the verdict and the backends. It is pure: no clock, no I/O, no kernel, so that what a cluster's objects mean is decided
// and tested in one place, and the planes that make it so (packages nftables and relay) cannot differ in it.
//
// A service alone becomes frontends by the rules of the Kubernetes API, as kube-proxy has them: ports and endpoints join by
// the port's name and protocol; ready endpoints count, and where there is none those that end but still serve (KEP-1669);
// traffic policies choose among all of them or those on this node (KEP-2086); hints prefer this node's or its zone's
// (KEP-2433, KEP-3015). State holds what spans services: whose a Key is. Explanation says of one client and one Key what
// becomes of it, and of each endpoint why it is used or left out; it asks the very functions that the plan is made by.
//
// It differs from kube-proxy on purpose where a Service could take over what is not its own, and each difference is a
// Refusal with its reason, never silence:
//
//   - an address that is the node's, loopback, link-local, a group's, or a cluster IP outside of the service CIDRs, is not
//     served, nor are external IPs unless they are switched on;
//   - of two services with the same Key one has it by a rule that all nodes share, and the other gets it when it is free;
//   - loadBalancerSourceRanges that name only the other address family let in nobody of this one, unless a range is a whole
//     family: kube-proxy lets in everybody.
package plan
