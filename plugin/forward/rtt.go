package forward

import (
	"sync/atomic"
	"time"
)

// rtt is an estimate of how long an upstream takes, as TCP makes it of its round trips (RFC 6298, section 2). Two that
// observe at once may lose one observation.
type rtt struct {
	mean, deviation atomic.Int64 // nanoseconds; a mean of 0 before the first observation
}

func (r *rtt) observe(took time.Duration) {
	mean, deviation := r.mean.Load(), r.deviation.Load()
	if mean == 0 {
		r.mean.Store(max(1, int64(took)))
		r.deviation.Store(int64(took) / 2)
		return
	}
	off := int64(took) - mean
	r.mean.Store(max(1, mean+off/8))
	r.deviation.Store(deviation + (max(off, -off)-deviation)/4)
}

// patience is how long a reply commonly takes at most, between least and most, which it is as long as nothing is known.
func (r *rtt) patience(least, most time.Duration) time.Duration {
	mean := r.mean.Load()
	if mean == 0 {
		return most
	}
	return min(max(time.Duration(mean+4*r.deviation.Load()), least), most)
}
