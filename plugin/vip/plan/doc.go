// Package plan turns the store's services into the desired state of virtual IPs: for every address, port and protocol
// the verdict and the backends. It is pure: no clock, no I/O, no kernel, so that what a cluster's objects mean is decided
// and tested in one place, and the planes that make it so (packages nftables and relay) cannot differ in it.
package plan
