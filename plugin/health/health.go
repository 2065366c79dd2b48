// Package health is the directive that lets a cluster ask whether the process is alive, and that keeps it answering for a
// while after it was told to stop: those who still have its address have to learn another one first.
package health

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	path = "/health"

	// probePeriod and probeLimit are CoreDNS's, whose alert rules look at how long a probe took.
	probePeriod = time.Second
	probeLimit  = 3 * time.Second
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "health",
		Summary: "tells by HTTP that the process is alive; lameduck",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	h := &Handler{env: env, period: probePeriod}
	h.addr, err = line.Address(":8080")
	problems.Join(err)
	problems.Join(line.Decode(corefile.Duration("lameduck", "lameduck DURATION", &h.lameduck, 0, 0)))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if err := h.register(env.Metrics); err != nil {
		return nil, line.Errorf("%v", err)
	}
	if err := env.Web.Handle(line.Pos, h.addr, path, alive{}); err != nil {
		return nil, err
	}
	return h, nil
}

// alive is the page: whoever gets an answer knows enough.
type alive struct{}

// ServeHTTP answers "OK".
func (alive) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	// An error here is the client's: it went away.
	_, _ = io.WriteString(w, http.StatusText(http.StatusOK))
}

// Same tells that another block's health is the same process's.
func (alive) Same(other http.Handler) bool { return other == http.Handler(alive{}) }

// Handler has no part in answering queries.
type Handler struct {
	env      *plugin.Env
	addr     string
	lameduck time.Duration
	period   time.Duration
	duration prometheus.Histogram
	failures prometheus.Counter
}

func (h *Handler) register(r *prometheus.Registry) (err error) {
	h.duration, err = plugin.Register(r, prometheus.Histogram(prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "coredns_health_request_duration_seconds",
		Help:    "Time that the process's own requests of /health took.",
		Buckets: prometheus.ExponentialBuckets(0.00025, 10, 5),
	})))
	if err != nil {
		return err
	}
	h.failures, err = plugin.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "coredns_health_request_failures_total",
		Help: "Number of the process's own requests of /health that failed.",
	}))
	return err
}

// Name is "health".
func (h *Handler) Name() string { return "health" }

// Serve hands every query on.
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error { return x.Next(ctx) }

// Drain waits for the lameduck time, in which queries are answered as ever.
func (h *Handler) Drain(ctx context.Context) {
	if h.lameduck == 0 {
		return
	}
	h.env.Log.LogAttrs(ctx, slog.LevelInfo, "Going into lameduck mode for "+h.lameduck.String())
	timer := time.NewTimer(h.lameduck)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
