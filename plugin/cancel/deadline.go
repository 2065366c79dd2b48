package cancel

import (
	"context"
	"sync"
	"time"
)

// deadline is a context.Context that ends at a time. It has a timer only once somebody waits for that.
type deadline struct {
	mu     sync.Mutex
	around context.Context
	at     time.Time
	inner  context.Context // with the timer; nil until somebody waits
	cancel context.CancelFunc
}

// begin makes d end at a time, or when the context around it does. d must be new, or free as end says.
func (d *deadline) begin(around context.Context, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.around, d.at = around, at
}

// end ends d. It tells whether d may begin again: nobody waited, so nobody has to learn of the end.
func (d *deadline) end() (free bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inner == nil {
		return true
	}
	d.cancel()
	return false
}

// Deadline is the earlier of d's own and that around it.
func (d *deadline) Deadline() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if earlier, ok := d.around.Deadline(); ok && earlier.Before(d.at) {
		return earlier, true
	}
	return d.at, true
}

// Done is closed when d ends.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inner == nil {
		d.inner, d.cancel = context.WithDeadline(d.around, d.at)
	}
	return d.inner.Done()
}

// Err is nil as long as there is time.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.inner != nil:
		return d.inner.Err()
	case d.around.Err() == nil && !time.Now().Before(d.at):
		return context.DeadlineExceeded
	}
	return d.around.Err()
}

// Value is the value around d. Once there is a timer the context with it is asked, by whose answers package context knows
// its own kind: a context below d then needs no goroutine to learn of the end.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	ctx := d.around
	if d.inner != nil {
		ctx = d.inner
	}
	d.mu.Unlock()
	return ctx.Value(key)
}
