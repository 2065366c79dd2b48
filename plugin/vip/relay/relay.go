package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

const (
	// acceptPause is how long a listener waits that could not accept.
	acceptPause = 50 * time.Millisecond
	// retryPause is how long a frontend stays refused before it is tried again.
	retryPause = 10 * time.Second
)

// Options are what a relay may be given; each has a default.
type Options struct {
	DialTimeout  time.Duration // of one attempt to reach a backend; 3 s
	Attempts     int           // backends that are asked for one connection; 3
	KeepAlive    time.Duration // silence after which a TCP peer is asked whether it is there; 1 min
	HalfClosed   time.Duration // silence after which a connection ends of which one direction has; 10 min
	FlowIdle     time.Duration // silence after which a UDP flow ends; 1 min
	MaxConns     int           // TCP connections at a time, of two file descriptors each; a quarter of the process's
	MaxPerClient int           // ... of one client's address; half of MaxConns
	MaxFlows     int           // UDP flows at a time; as many as a quarter of the process's file descriptors
	MaxAffinity  int           // clients that are remembered for their backend; 65536
	Log          *slog.Logger  // none
	Now          func() time.Time
}

func (o Options) withDefaults() Options {
	def(&o.DialTimeout, 3*time.Second)
	def(&o.Attempts, 3)
	def(&o.KeepAlive, time.Minute)
	def(&o.HalfClosed, 10*time.Minute)
	def(&o.FlowIdle, time.Minute)
	files := maxFiles()
	def(&o.MaxConns, files/4)
	def(&o.MaxPerClient, (o.MaxConns+1)/2)
	def(&o.MaxFlows, files/4)
	def(&o.MaxAffinity, 1<<16)
	def(&o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// maxFiles is how many file descriptors this process may have, or as many as are of use.
func maxFiles() int {
	const most, least = 1 << 17, 256
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return least
	}
	return int(max(min(limit.Cur, most), least))
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Relay is the plane in userspace.
type Relay struct {
	opts     Options
	counters counters
	sessions *sessions
	flows    *flows
	affinity *affinity
	chooser  chooser
	buffers  *sync.Pool // of datagrams
	node     nodeAddrs
	machine  machine

	life  context.Context // until Close
	end   context.CancelFunc
	tasks sync.WaitGroup // all goroutines but Run's

	mu       sync.Mutex // guards the following
	policy   *plan.Policy
	services map[string]*entry
	doors    map[bind]*door
	foreign  map[netip.Addr]bool // addresses of doors that are not the machine's own
}

// New is a relay without frontends.
func New(o Options) *Relay {
	o = o.withDefaults()
	life, end := context.WithCancel(context.Background())
	known := newAffinity(o.MaxAffinity)
	return &Relay{
		opts: o, machine: newMachine(), sessions: newSessions(o.MaxConns, o.MaxPerClient), flows: newFlows(o.MaxFlows, o.Now), affinity: known,
		chooser: chooser{known, o.Now}, buffers: newBuffers(), life: life, end: end,
		policy: &plan.Policy{}, services: map[string]*entry{}, doors: map[bind]*door{}, foreign: map[netip.Addr]bool{},
	}
}

// Run ends flows that are idle, and tries what was refused again: an address may have come meanwhile, a port be free. It
// ends with ctx.
func (r *Relay) Run(ctx context.Context) error {
	sweep, retry := time.NewTicker(max(r.opts.FlowIdle/4, time.Millisecond)), time.NewTicker(retryPause)
	defer sweep.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			r.flows.expire(r.opts.Now().Add(-r.opts.FlowIdle))
		case <-retry.C:
			r.retry(ctx)
		}
	}
}

// Close ends all connections and flows, closes the sockets and takes the addresses back that the machine was given.
func (r *Relay) Close() error {
	r.end()
	err := r.shut()
	r.sessions.close()
	r.flows.close()
	r.tasks.Wait()
	return err
}
