package nodelocal

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Network is what has to be on the node so that pods reach the server.
type Network struct {
	Interface  string       // name of the one that has the addresses; empty for none
	Addrs      []netip.Addr // that the server listens on
	Port       uint16
	HealthPort uint16
	Untracked  bool // keep connection tracking, and so kube-proxy's rules, off the addresses
}

// SetupError is a part of the network that could not be made.
type SetupError struct {
	Kind string // "interface_add" or "nftables", as metrics label it
	err  error
}

func (e *SetupError) Error() string { return e.err.Error() }

// Unwrap is what happened.
func (e *SetupError) Unwrap() error { return e.err }

// Keep looks after the network every so often until ctx ends. What goes wrong is logged once until it changes, and failed is
// told of it each time.
func (n *Network) Keep(ctx context.Context, every time.Duration, log *slog.Logger, failed func(kind string)) {
	look := time.NewTicker(every)
	defer look.Stop()
	said := ""
	for {
		text := ""
		if err := n.Ensure(ctx); err != nil && ctx.Err() == nil {
			text = err.Error()
			for _, kind := range kinds(err) {
				failed(kind)
			}
		}
		if text != said && text != "" {
			log.Error("the node's network is not as it has to be", "error", text)
		}
		said = text
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// kinds are those of the SetupErrors that were joined.
func kinds(err error) (all []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		if setup := (*SetupError)(nil); errors.As(e, &setup) {
			all = append(all, setup.Kind)
		}
	}
	return all
}
