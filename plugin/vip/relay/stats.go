package relay

import "sync/atomic"

// counters are what the relay did so far.
type counters struct {
	connections, failed, retried, shed, denied, bytesIn, bytesOut atomic.Uint64
	flows, flowsFailed, evicted, stale, datagramsIn, datagramsOut atomic.Uint64
	acceptErrors                                                  atomic.Uint64
}

// Stats is what the relay did since it was made, and what it holds now.
type Stats struct {
	Frontends int // addresses and ports that are served
	Refused   int // those that cannot be

	Open         int    // connections that are open now, those that are still led to a backend among them
	Connections  uint64 // connections that were led to a backend
	Failed       uint64 // ... that no backend took
	Retried      uint64 // attempts to reach another backend after one refused or did not answer
	Shed         uint64 // connections that were one too many, in all or of one client
	Denied       uint64 // connections and flows of clients that the policy does not let in, or that no backend is there for
	AcceptErrors uint64 // connections that could not be accepted, for want of file descriptors most likely
	BytesIn      uint64 // from clients to backends
	BytesOut     uint64 // from backends to clients

	OpenFlows    int    // UDP flows that are open now
	Flows        uint64 // flows that were led to a backend
	FlowsFailed  uint64 // ... that no backend could be found for, or whose backend said that nobody listens
	Evicted      uint64 // flows that gave way to younger ones
	Stale        uint64 // flows that ended because their backend no longer serves
	DatagramsIn  uint64 // from clients to backends
	DatagramsOut uint64 // from backends to clients

	Affinities int // clients that are remembered for their backend
}

// Stats are what the relay did and holds.
func (r *Relay) Stats() Stats {
	c := &r.counters
	frontends, refused := r.size()
	return Stats{
		Frontends: frontends, Refused: refused,
		Open: r.sessions.count(), Connections: c.connections.Load(), Failed: c.failed.Load(), Retried: c.retried.Load(),
		Shed: c.shed.Load(), Denied: c.denied.Load(), AcceptErrors: c.acceptErrors.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		OpenFlows: r.flows.count(), Flows: c.flows.Load(), FlowsFailed: c.flowsFailed.Load(), Evicted: c.evicted.Load(),
		Stale: c.stale.Load(), DatagramsIn: c.datagramsIn.Load(), DatagramsOut: c.datagramsOut.Load(),
		Affinities: r.affinity.count(),
	}
}
