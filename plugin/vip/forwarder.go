package vip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nameplane/nameplane/plugin"
)

// forwarder is the one of the process. Instances of the directive come and go with the Corefile: each holds it from Build to
// Close, and the one that runs says what is to be done. Its loop starts with the first of them and ends with the last, so
// that a reload neither closes a socket nor touches a rule.
type forwarder struct {
	open opener
	run  runner // of programs that tell what else is in the kernel

	mu      sync.Mutex
	began   time.Time          // guarded by mu: when the first instance was built; zero before
	holders int                // guarded by mu
	built   uint64             // guarded by mu: number of the youngest instance
	taken   uint64             // guarded by mu: number of the one whose options count
	loop    *loop              // guarded by mu; nil before the first take
	mode    string             // guarded by mu; the loop's
	all     bool               // guarded by mu: the loop takes the services that kube-proxy would
	stop    context.CancelFunc // guarded by mu; ends the loop
	tasks   sync.WaitGroup     // the loop and the plane's Run
}

// opener makes the plane of a mode, or says why it cannot work here, and what can.
type opener func(o *options, env *plugin.Env) (Plane, error)

var errStarting = errors.New("nothing is forwarded yet")

// start is when the first instance was built; now is that time for the first one.
func (f *forwarder) start(now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began.IsZero() {
		f.began = now
	}
	return f.began
}

// takesAll tells whether the services that kube-proxy would take are forwarded already.
func (f *forwarder) takesAll() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loop != nil && f.all
}

// hold notes one more instance, and returns its number.
func (f *forwarder) hold() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holders++
	f.built++
	return f.built
}

// prepare opens the plane of a Corefile that is to take effect; it is nil where the one that is there goes on.
func (f *forwarder) prepare(o *options, env *plugin.Env) (Plane, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.loop == nil:
	case f.mode == o.mode:
		return nil, nil
	case f.mode == modeNftables:
		return nil, fmt.Errorf("mode %s: a reload cannot leave the mode nftables, whose rules would go on to catch the traffic; "+
			"stop, run \"nameplane vip cleanup\", and start again", o.mode)
	}
	return f.open(o, env)
}

// take makes an instance's options those that count, unless a younger one came before: an instance begins to run at some time
// after it was started.
func (f *forwarder) take(v *VIP) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.number < f.taken {
		return
	}
	f.taken = v.number
	f.all = v.policy.All && v.mode != modePlan
	next := order{
		policy: &v.policy, store: v.lease.Store, writer: v.lease.Writer, server: serverAddr(v.lease.Source),
		metrics: v.metrics, log: v.env.Log, now: v.env.Now,
	}
	if v.plane != nil {
		f.end()
		ctx, cancel := context.WithCancel(context.Background())
		l := newLoop(v.mode, v.plane, next)
		f.loop, f.mode, f.stop = l, v.mode, cancel
		v.plane = nil
		f.tasks.Go(func() { l.attend(ctx, next.log) })
		f.tasks.Go(func() { l.run(ctx) })
		return
	}
	f.loop.orders.put(next)
}

// release gives an instance's hold back.
func (f *forwarder) release(v *VIP) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holders--
	if f.holders > 0 || f.loop == nil {
		return nil
	}
	v.env.Log.Info("forwarding ends here; " + afterwards(f.mode))
	return f.end()
}

// afterwards is what becomes of the traffic once nobody tends it.
func afterwards(mode string) string {
	switch mode {
	case modeNftables:
		return "the rules stay in the kernel as they are, \"nameplane vip cleanup\" removes them"
	case modeRelay:
		return "its sockets are closed"
	}
	return "there was nothing to forward by"
}

// end ends the loop and closes the plane. f.mu is held.
func (f *forwarder) end() error {
	if f.loop == nil {
		return nil
	}
	f.stop()
	f.tasks.Wait()
	err := f.loop.plane.Close()
	f.loop = nil
	return err
}

// ready is nil once all was forwarded.
func (f *forwarder) ready() error {
	if l := f.current(); l != nil {
		return l.health.ready()
	}
	return errStarting
}

func (f *forwarder) current() *loop {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loop
}

// inbox holds the last order that the loop did not take yet. Whoever puts one in does not wait.
type inbox struct{ box chan order }

func newInbox() *inbox { return &inbox{make(chan order, 1)} }

// put replaces what is in it. It is called by one at a time.
func (i *inbox) put(o order) {
	select {
	case <-i.box:
	default:
	}
	i.box <- o
}
