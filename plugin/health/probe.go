package health

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Run asks the process's own page again and again: when that takes long, queries do too. Of the blocks that share an
// address the first one asks.
func (h *Handler) Run(ctx context.Context) error {
	if !h.first() {
		return nil
	}
	transport := &http.Transport{Proxy: nil} // an operator's proxy has no say in what goes to this host
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: probeLimit, Transport: transport}
	tick := time.NewTicker(h.period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.probe(ctx, client)
		}
	}
}

// first tells whether no block in front of this one has the same address.
func (h *Handler) first() bool {
	for _, block := range h.env.Instance.Blocks() {
		for _, link := range block.Handlers {
			if other, ok := link.(*Handler); ok && other.addr == h.addr {
				return other == h
			}
		}
	}
	return true
}

func (h *Handler) probe(ctx context.Context, client *http.Client) {
	start := time.Now()
	err := get(ctx, client, "http://"+h.local()+path)
	took := time.Since(start)
	if ctx.Err() != nil {
		return
	}
	h.duration.Observe(took.Seconds())
	switch {
	case err != nil:
		h.failures.Inc()
		h.env.Log.LogAttrs(ctx, slog.LevelWarn, "the health page cannot be reached", slog.Any("error", err))
	case took > probePeriod:
		h.env.Log.LogAttrs(ctx, slog.LevelWarn, "the health page is slow: the process is overloaded", slog.Duration("took", took))
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// local is the page's address as the process itself reaches it.
func (h *Handler) local() string {
	host, port, err := net.SplitHostPort(h.addr)
	if err != nil || host != "" {
		return h.addr
	}
	return net.JoinHostPort("localhost", port)
}
