package apiwatch

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nameplane/nameplane/cluster"
)

// trouble gathers why kinds are not followed, for the Store's status and for the log. An outage hits every kind and is
// tried again for hours: it is logged when it begins and when it ends, and between those only what an operator has to
// do something about.
type trouble struct {
	writer *cluster.Writer
	log    *slog.Logger

	mu      sync.Mutex
	since   time.Time               // guarded by mu: the first kind's failure
	reasons map[cluster.Kind]string // guarded by mu
}

// begin notes that kind is not followed; denied, that it won't be before somebody acts.
func (t *trouble) begin(kind cluster.Kind, reason string, denied bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := len(t.reasons) == 0
	if first {
		t.since, t.reasons = time.Now(), map[cluster.Kind]string{}
	}
	news := t.reasons[kind] != reason
	t.reasons[kind] = reason
	if first || denied && news {
		t.log.Warn("not following the cluster", "kind", kind.String(), "reason", reason)
	}
	t.writer.Fail("%s", t.text())
}

// end notes that kind is followed.
func (t *trouble) end(kind cluster.Kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.reasons[kind]; !ok {
		return
	}
	delete(t.reasons, kind)
	t.writer.Fail("%s", t.text())
	if len(t.reasons) == 0 {
		t.log.Info("following again after " + time.Since(t.since).Round(time.Millisecond).String())
	}
}

// text names the kinds by reason, in the order of cluster.Kinds; empty when there is none.
func (t *trouble) text() string {
	var parts []string
	done := map[string]bool{}
	for _, kind := range cluster.Kinds() {
		reason, ok := t.reasons[kind]
		if !ok || done[reason] {
			continue
		}
		done[reason] = true
		var names []string
		for _, other := range cluster.Kinds() {
			if t.reasons[other] == reason {
				names = append(names, other.String())
			}
		}
		parts = append(parts, fmt.Sprintf("%s not followed since %s: %s",
			strings.Join(names, ", "), t.since.UTC().Format(time.RFC3339), reason))
	}
	return strings.Join(parts, "; ")
}
