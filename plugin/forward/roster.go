package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// roster is who the upstreams of a line are: its TO, read at the start, and files among them again whenever they change.
// Hosts are looked up once, when the instance starts, as in CoreDNS.
type roster struct {
	line    *forward
	targets []target
	dir     string
	hosts   map[string][]netip.Addr // what was looked up
	lookup  lookup
	trouble string // what was last said of a file
}

// lookup finds the addresses of a host.
type lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// lookupTime bounds one look-up.
const lookupTime = 5 * time.Second

// newLookup asks the system's resolver, or those of the option "resolver", one after the other.
func newLookup(resolvers []netip.AddrPort) lookup {
	if len(resolvers) == 0 {
		return lookupBy(net.DefaultResolver)
	}
	return func(ctx context.Context, host string) (found []netip.Addr, err error) {
		for _, server := range resolvers {
			r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.String())
			}}
			if found, err = lookupBy(r)(ctx, host); err == nil {
				return found, nil
			}
		}
		return nil, err
	}
}

func lookupBy(r *net.Resolver) lookup {
	return func(ctx context.Context, host string) ([]netip.Addr, error) {
		ctx, cancel := context.WithTimeout(ctx, lookupTime)
		defer cancel()
		if host[len(host)-1] != '.' {
			host += "." // no search domains
		}
		return r.LookupNetIP(ctx, "ip", host)
	}
}

// resolve looks up the hosts.
func (r *roster) resolve(ctx context.Context) error {
	var errs []error
	for _, t := range r.targets {
		if t.host == "" || r.hosts[t.host] != nil {
			continue
		}
		found, err := r.lookup(ctx, t.host)
		if err != nil {
			errs = append(errs, fmt.Errorf("the upstream %q has no address: %w", t.text, err))
			continue
		}
		r.hosts[t.host] = found
	}
	return errors.Join(errs...)
}

// endpoints are all that the targets stand for, each once. Of what is not known yet there are none.
func (r *roster) endpoints() (list []endpoint, err error) {
	for i := range r.targets {
		t := &r.targets[i]
		var addrs []netip.Addr
		switch {
		case t.addr.IsValid():
			addrs = []netip.Addr{t.addr}
		case t.host != "":
			addrs = r.hosts[t.host]
		default:
			found, err := newResolvConf(r.dir, t.text).addresses()
			if err != nil && (!errors.Is(err, errNoNameserver) || len(r.targets) == 1) {
				return nil, fmt.Errorf("%q %w", t.text, err)
			}
			addrs = found
		}
		for _, addr := range addrs {
			if e := t.endpoint(addr); !slices.Contains(list, e) {
				list = append(list, e)
			}
		}
	}
	return list, nil
}

// apply makes the endpoints the line's upstreams. Those that were there before stay as they are, with their links and
// what is known of their health.
func (r *roster) apply(list []endpoint) {
	before := *r.line.upstreams.Load()
	after := make([]*upstream, len(list))
	for i, e := range list {
		at := slices.IndexFunc(before, func(u *upstream) bool { return u.endpoint == e })
		if at >= 0 {
			after[i] = before[at]
			continue
		}
		after[i] = r.line.newUpstream(e)
	}
	r.line.upstreams.Store(&after)
	for _, u := range before {
		if !slices.Contains(after, u) {
			u.close()
		}
	}
}

// refresh reads the files again. A file that cannot be read changes nothing.
func (r *roster) refresh() {
	if !slices.ContainsFunc(r.targets, func(t target) bool { return !t.addr.IsValid() && t.host == "" }) {
		return
	}
	list, err := r.endpoints()
	if err == nil && len(list) == 0 {
		err = errNoNameserver
	}
	if err != nil {
		if text := err.Error(); text != r.trouble {
			r.trouble = text
			r.line.log.Warn(fmt.Sprintf("the upstreams stay as they are: %s", text))
		}
		return
	}
	r.trouble = ""
	if !slices.EqualFunc(list, *r.line.upstreams.Load(), func(e endpoint, u *upstream) bool { return u.endpoint == e }) {
		r.line.log.Info(fmt.Sprintf("upstreams are now %s", addresses(list)))
		r.apply(list)
	}
}

func addresses(list []endpoint) (text string) {
	for i, e := range list {
		if i > 0 {
			text += ", "
		}
		text += e.addr.String()
	}
	return text
}

// Start looks up the hosts among the upstreams.
func (h *Handler) Start(ctx context.Context) error {
	var errs []error
	for _, r := range h.rosters {
		if err := r.resolve(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		list, err := r.endpoints()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.apply(list)
	}
	return errors.Join(errs...)
}
