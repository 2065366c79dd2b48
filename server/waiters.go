package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
)

// waiters bounds the goroutines of the process that wait for something with a query in their hands. Each holds 10 KiB,
// so that a dead upstream under full load costs a known amount of memory.
type waiters struct {
	max  int64
	n    atomic.Int64
	shed prometheus.Counter
}

// enter takes a place, or says that there is none.
func (w *waiters) enter() error {
	if w.n.Add(1) > w.max {
		w.n.Add(-1)
		w.shed.Inc()
		return plugin.ErrOverload
	}
	return nil
}

func (w *waiters) leave() { w.n.Add(-1) }
