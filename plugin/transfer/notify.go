package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/server/wire"
)

// tries is how often a server is told of a change that does not answer well.
const tries = 3

// Notify implements plugin.Notifier: all servers that a zone goes to by address are told at once.
func (h *Handler) Notify(ctx context.Context, zone wire.Name) error {
	r := h.match(zone)
	if r == nil {
		return nil
	}
	errs := make([]error, len(r.to))
	var tasks sync.WaitGroup
	for i, to := range r.to {
		tasks.Go(func() { errs[i] = r.notify(ctx, zone, to) })
	}
	tasks.Wait()
	return errors.Join(errs...)
}

func (r *rule) notify(ctx context.Context, zone wire.Name, to netip.AddrPort) error {
	client := &dns.Client{}
	if r.source.IsValid() {
		client.Dialer = &net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.source, 0))}
	}
	var trouble error
	for range tries {
		reply, _, err := client.ExchangeContext(ctx, new(dns.Msg).SetNotify(zone.String()), to.String())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			trouble = err
		case reply.Rcode == dns.RcodeSuccess:
			return nil
		default:
			trouble = errors.New(dns.RcodeToString[reply.Rcode])
		}
	}
	return fmt.Errorf("%s did not take the notification of zone %s: %w", to, zone, trouble)
}
