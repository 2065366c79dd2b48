// Package apiwatch fills a Store from a Kubernetes API server. It is the product's only importer of client-go, of which
// it uses the configuration: kubeconfigs, credentials and their renewal.
//
// Lists and watches are its own, and read objects from the bytes of the protobuf streams. client-go's reflectors decode
// whole objects and gather a list of them before they hand it over; CoreDNS dies of that when an API server comes back
// and all is listed anew. Here an object lives, in a buffer that the next one uses again, just until the few fields that
// names are made of were taken out of it:
//
//   - message.go walks a protobuf message, stream.go cuts watches and lists into objects,
//   - convert.go takes out what matters, resource.go hands it to the cluster.Writer,
//   - follower.go lists, watches and resumes; trouble.go says why not.
package apiwatch

import (
	"context"
	"log/slog"
	"sync"

	"github.com/nameplane/nameplane/cluster"
)

// source is a cluster.Source.
type source struct {
	origin cluster.Origin
	needs  cluster.Needs
	server *server
	log    *slog.Logger
	pace   pace
}

// Opener is Open for a program of the given version, which the user agent tells.
func Opener(version string, log *slog.Logger) cluster.Opener {
	return func(origin cluster.Origin, needs cluster.Needs, telemetry cluster.Telemetry) (cluster.Source, error) {
		if err := checkSelectors(origin); err != nil {
			return nil, err
		}
		server, err := newServer(origin, telemetry, version)
		if err != nil {
			return nil, err
		}
		return &source{origin: origin, needs: needs.Full(), server: server, log: log, pace: usualPace()}, nil
	}
}

// Open makes the source of origin's kubeconfig, endpoint or own cluster. It reads the configuration and the files that
// it names, and opens no connection. An error tells the path, and what is wrong with it.
func Open(origin cluster.Origin, needs cluster.Needs, telemetry cluster.Telemetry, log *slog.Logger) (cluster.Source, error) {
	return Opener("dev", log)(origin, needs, telemetry)
}

// String is the API server's URL.
func (s *source) String() string { return s.server.String() }

// Run follows the cluster into w until ctx ends, and returns nil when all that it started has ended.
func (s *source) Run(ctx context.Context, w *cluster.Writer) error {
	deliver := &delivery{needs: s.needs, writer: w, log: s.log}
	all := resources(s.origin, s.needs, deliver)
	kinds := make([]cluster.Kind, len(all))
	for i, r := range all {
		kinds[i] = r.kind
	}
	w.Expect(s.String(), kinds...)
	problems := &trouble{writer: w, log: s.log}
	var slots chan struct{}
	if s.origin.MaxInflight > 0 {
		slots = make(chan struct{}, s.origin.MaxInflight)
	}
	var followers sync.WaitGroup
	for _, r := range all {
		f := &follower{
			resource: r, server: s.server, writer: w, trouble: problems, log: s.log, pace: s.pace, slots: slots,
		}
		followers.Go(func() { f.run(ctx) })
	}
	followers.Wait()
	s.server.close()
	return nil
}
