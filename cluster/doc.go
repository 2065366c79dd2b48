// Package cluster is the object model of a Kubernetes cluster as names and virtual IPs need it, and the Store that
// holds it.
//
// A Source (package apiwatch: an API server; package manifest: a folder of YAML) writes through a Writer; the
// directives read through the Store. The shape follows from three figures:
//
//   - Readers answer a DNS question in under a microsecond. They take no lock and allocate nothing: a look-up is a
//     probe of an open-addressed table of atomic pointers.
//   - The garbage collector must not walk 100,000 endpoints. A Service is one immutable record, its endpoints are one
//     pointer-free slice, their names one string. What virtual IPs need beside that (Backends, Forwarding) stands apart,
//     and is there only when somebody asked for it: names cost the same with and without a forwarder.
//   - A relist must not hold a second copy. Sources hand over objects one by one; a generation mark tells, at the end,
//     what the relist did not name.
//
// Beside the cluster's own services a Store has those that clusters share (Store.Imports), and the host names that lead into
// the cluster (Store.Host), each only for consumers that say so.
//
// Nothing spans services: each service's record is swapped whole, which is all that a DNS answer or a forwarding rule
// needs. So updates cost one record, whatever the size of the cluster.
package cluster
