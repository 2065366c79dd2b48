package autopath

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
	"github.com/nameplane/nameplane/server/wire"
)

const form = "autopath [ZONE...] RESOLV-CONF|@DIRECTIVE"

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "autopath",
		Summary: "walks clients' search lists for them",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	problems.Join(line.NoBody())
	if err := line.WantArgs(1, -1, form); err != nil {
		problems.Join(err)
		return nil, problems.Err()
	}
	h := &Handler{env: env}
	last := len(line.Args) - 1
	h.zones, err = plugin.ParseZones(line.Args[:last], env.Zones)
	problems.Join(err)
	problems.Join(h.readSource(line.Args[last], line))
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if h.success, err = newCounters(env); err != nil {
		return nil, line.Errorf("%v", err)
	}
	return h, nil
}

// readSource reads where search lists come from.
func (h *Handler) readSource(word corefile.Token, line *corefile.Directive) error {
	from, at := strings.CutPrefix(word.Text, "@")
	switch {
	case at && from == "":
		return line.Errorf("a directive is missing behind \"@\"; write %q", "autopath @kubernetes")
	case at:
		h.from = from
	case word.Text == "":
		return line.Errorf("the argument is empty; write %q", form)
	case filepath.IsAbs(word.Text):
		h.file = word.Text
	default:
		h.file = filepath.Join(h.env.Dir, word.Text)
	}
	return nil
}

func newCounters(env *plugin.Env) (map[string]prometheus.Counter, error) {
	all, err := plugin.Register(env.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "coredns", Subsystem: "autopath", Name: "success_total",
		Help: "Queries for which an entry of the client's search list had an answer.",
	}, []string{"server"}))
	if err != nil {
		return nil, err
	}
	byServer := make(map[string]prometheus.Counter, len(env.Servers))
	for _, server := range env.Servers {
		byServer[server] = all.WithLabelValues(server)
	}
	return byServer, nil
}

// Start reads the file, or finds the directive in the same server block.
func (h *Handler) Start(context.Context) error {
	if h.file != "" {
		return h.readFile()
	}
	for _, block := range h.env.Instance.Blocks() {
		if !slices.Contains(block.Handlers, plugin.Handler(h)) {
			continue
		}
		for _, link := range block.Handlers {
			if link.Name() != h.from {
				continue
			}
			searcher, ok := link.(plugin.Searcher)
			if !ok {
				return fmt.Errorf("%s knows no search lists; kubernetes does", h.from)
			}
			h.searcher = searcher
			return nil
		}
	}
	h.env.Log.Warn("the server block has no such directive, so no search list is walked", "directive", h.from)
	return nil
}

// readFile reads the search list that all clients have.
func (h *Handler) readFile() error {
	config, err := dns.ClientConfigFromFile(h.file)
	if err != nil {
		return fmt.Errorf("cannot read the search list: %w", err)
	}
	for _, domain := range config.Search {
		name, err := wire.ParseName(domain)
		if err != nil {
			return fmt.Errorf("%s: search: %w", h.file, err)
		}
		h.search = append(h.search, name)
	}
	if len(h.search) == 0 {
		h.env.Log.Warn("the file has no search list, so none is walked", "file", h.file)
		return nil
	}
	h.search = append(h.search, wire.Root)
	return nil
}
