package vip

import (
	"context"
	"errors"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// Spec declares the directive; its stores are shared through pool.
func Spec(pool *cluster.Pool) plugin.Spec {
	f := &forwarder{open: openPlane, run: run}
	return plugin.Spec{
		Name:    "vip",
		Summary: "forwards services' virtual IPs, as kube-proxy does",
		Build: func(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
			return build(env, lines, pool, f)
		},
	}
}

// VIP is what one Corefile says of the forwarder. It hands that over when it runs, and has no other part in forwarding.
type VIP struct {
	options
	env       *plugin.Env
	lease     *cluster.Lease
	metrics   *metrics
	forwarder *forwarder
	number    uint64 // the higher, the younger
	plane     Plane  // opened by Start; nil when another instance's goes on
}

func build(env *plugin.Env, lines []*corefile.Directive, pool *cluster.Pool, f *forwarder) (plugin.Handler, error) {
	line, err := only(env.File, lines)
	if err != nil {
		return nil, err
	}
	v := &VIP{env: env, forwarder: f}
	if err := v.decode(line, env); err != nil {
		return nil, err
	}
	if v.metrics, err = newMetrics(env.Metrics, f, env.Now); err != nil {
		return nil, line.Errorf("%v", err)
	}
	if v.healthz != "" {
		for path, page := range map[string]probe{"/healthz": {f, v.metrics, env.Now, true}, "/livez": {f, v.metrics, env.Now, false}} {
			if err := env.Web.Handle(line.Pos, v.healthz, path, page); err != nil {
				return nil, err
			}
		}
	}
	v.lease, err = pool.Lease(v.origin, v.needs(), cluster.Telemetry{})
	if err != nil {
		return nil, line.Errorf("%v", err)
	}
	v.number = f.hold()
	return v, nil
}

// only is the one line of the whole Corefile: there is one kernel and one forwarder, whatever the number of server blocks.
func only(file *corefile.File, lines []*corefile.Directive) (*corefile.Directive, error) {
	if file != nil {
		if all := file.Lines("vip"); len(all) > 0 && all[0] != lines[0] {
			return nil, lines[0].Errorf("given twice; it speaks for the whole process, and stands in one server block: the first one is at %s", all[0].Pos)
		}
	}
	if len(lines) > 1 {
		return nil, lines[1].Errorf("given twice; the first one is at %s", lines[0].Pos)
	}
	return lines[0], nil
}

// Name is "vip".
func (v *VIP) Name() string { return "vip" }

// Serve refuses: forwarding answers no questions, and the directive is the last of its block's chain.
func (v *VIP) Serve(_ context.Context, x *plugin.Exchange) error {
	x.Reply.Start(&x.Query, dns.RcodeRefused)
	return nil
}

// Start finds out whether the mode can do its work here, before a Corefile that asks for it takes effect. It changes
// nothing.
func (v *VIP) Start(ctx context.Context) error {
	if err := v.checkServer(v.lease.Source); err != nil {
		return err
	}
	if v.policy.All && v.mode != modePlan && !v.forwarder.takesAll() {
		if err := rivals(ctx, v.forwarder.run); err != nil {
			return err
		}
	}
	var err error
	if v.plane, err = v.forwarder.prepare(&v.options, v.env); err != nil {
		return err
	}
	return v.lease.Start()
}

// Run hands the process's forwarder what the Corefile says. The forwarder itself goes on when ctx ends: another instance
// may take it over.
func (v *VIP) Run(ctx context.Context) error {
	v.forwarder.take(v)
	<-ctx.Done()
	return nil
}

// Ready is nil once everything was forwarded for the first time.
func (v *VIP) Ready() error {
	if !listed(v.lease.Store) {
		return v.lease.Store.Status().Lacking()
	}
	return v.forwarder.ready()
}

// Close gives the store back. The last instance ends the forwarder; what a plane made in the kernel stays.
func (v *VIP) Close() error {
	var err error
	if v.plane != nil {
		err = v.plane.Close()
	}
	err = errors.Join(err, v.forwarder.release(v))
	v.lease.Release()
	return err
}
