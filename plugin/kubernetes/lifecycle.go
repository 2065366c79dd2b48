package kubernetes

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// How often Start looks whether the store is synced, and how often it says that it is not.
const (
	lookEvery = 10 * time.Millisecond
	sayEvery  = 500 * time.Millisecond
)

// Start makes the source run and waits for the first complete list, at most for the start-up timeout: after that the
// server starts all the same, and answers SERVFAIL to what it cannot know.
func (k *Kubernetes) Start(ctx context.Context) error {
	k.local = k.localAddrs()
	k.paths.node = nodeDomains(resolvConf)
	k.unwatch = k.lease.Writer.Watch(k.metrics.observe)
	if err := k.lease.Start(); err != nil {
		return err
	}
	timeout := time.NewTimer(k.startupTimeout)
	defer timeout.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	say := time.NewTicker(sayEvery)
	defer say.Stop()
	for !k.store.Synced() || !k.store.Listed(cluster.Kinds()...) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		case <-say.C:
			k.log.Info("waiting for Kubernetes API before starting server", "source", k.store.Status().String())
		case <-timeout.C:
			k.log.Warn("starting server with unsynced Kubernetes API", "source", k.store.Status().String())
			return nil
		}
	}
	return nil
}

// localAddrs are the addresses by which the cluster may know this server; none where the block binds to some, as in
// CoreDNS, whose NS answer is then empty.
func (k *Kubernetes) localAddrs() []netip.Addr {
	if len(k.listen.Hosts) > 0 {
		return nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		k.log.Warn("cannot read this host's addresses, so the zone has no NS records", "error", err)
		return nil
	}
	var all []netip.Addr
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr())
		}
	}
	return globalAddrs(all)
}

// Ready is nil once every kind of object that names of services and pods need was listed. What else is read, such as
// imports, must not take these names away.
func (k *Kubernetes) Ready() error {
	if k.store.Synced() {
		return nil
	}
	return k.store.Status().Lacking()
}

// Close gives the store back.
func (k *Kubernetes) Close() error {
	if k.unwatch != nil {
		k.unwatch()
	}
	k.lease.Release()
	return nil
}
