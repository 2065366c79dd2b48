// Package manifest is a cluster without a cluster: a cluster.Source over YAML or JSON files. It serves development on a
// laptop (`make run`), tests of one's own manifests, and networks of plain machines whose names are kept in git.
//
// It reads Services, EndpointSlices, Endpoints, Pods, Nodes and Namespaces and, where they are wanted, ServiceImports,
// Ingresses, Gateways and HTTPRoutes, alone, in lists, or many to a file, as kubectl applies or prints them, and skips
// other kinds. What a cluster would add to them is added by the rules of the controller that would do it:
//
//   - Every namespace that an object names exists; an object without one is in "default".
//   - A service without an address gets one out of the service CIDR. The choice hangs on the service's own name only,
//     so that it stays when other services come and go.
//   - A service of type NodePort or LoadBalancer gets the node ports that it does not name, likewise; that of its health
//     check, too. Its load balancer's address is the one that its status says.
//   - A service with a selector gets its endpoints from the pods that match and have an address in their status. A pod
//     with a condition Ready is as ready as that says; one whose status has no conditions is ready, as hand-written pods
//     have none. Virtual IPs see those that are not ready or are being deleted, too. When endpoint slices (or, without
//     them, Endpoints) of a service are given too, these count and nothing is derived for it.
//
// Files are followed: changes take effect at once. What cannot be read as objects breaks its file, whose last good
// version stays in force, as does a folder that vanished; an object that breaks a rule is left out alone. Both are
// told with file and line.
package manifest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/nameplane/nameplane/cluster"
)

// source follows files and folders.
type source struct {
	rules rules
	tree  *tree
	log   *slog.Logger

	settle time.Duration // from an event to reading: editors and git write in several steps
	poll   time.Duration // between looks at file systems that have no events
}

// rules are what the objects are read by.
type rules struct {
	needs           cluster.Needs
	cidrs           []netip.Prefix
	labels          labels.Selector // of services, endpoint slices and pods
	namespaceLabels labels.Selector
}

// Open makes the source of an origin with Manifests. It starts nothing; all that is wrong with the origin is in the
// error: paths that cannot be read, selectors, CIDRs.
func Open(origin cluster.Origin, needs cluster.Needs, log *slog.Logger) (cluster.Source, error) {
	s := &source{log: log, settle: 50 * time.Millisecond, poll: 10 * time.Second}
	needs = needs.Full()
	s.rules = rules{needs: needs, cidrs: origin.ServiceCIDRs}
	var errs []error
	if len(origin.Manifests) == 0 {
		errs = append(errs, errors.New("manifests: no file or folder is named"))
	}
	for _, path := range origin.Manifests {
		errs = append(errs, readable(path))
	}
	for _, cidr := range origin.ServiceCIDRs {
		if !cidr.IsValid() || cidr != cidr.Masked() {
			errs = append(errs, fmt.Errorf("service CIDR %v: not a network; %v would be", cidr, cidr.Masked()))
		}
	}
	var err error
	if s.rules.labels, err = labels.Parse(origin.Labels); err != nil {
		errs = append(errs, fmt.Errorf("labels %q: not a label selector: %w", origin.Labels, err))
	}
	if s.rules.namespaceLabels, err = labels.Parse(origin.NamespaceLabels); err != nil {
		errs = append(errs, fmt.Errorf("namespace labels %q: not a label selector: %w", origin.NamespaceLabels, err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.tree = newTree(origin.Manifests, decoder{needs: needs, log: log}, log)
	return s, nil
}

func readable(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return fmt.Errorf("manifests %s: neither a file nor a folder", path)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return fmt.Errorf("manifests %s: %w", path, cause(err))
	}
	return f.Close()
}

// String names the files and folders.
func (s *source) String() string { return "manifests " + strings.Join(s.tree.roots, ", ") }

// Run reads the files into w and follows them until ctx ends.
func (s *source) Run(ctx context.Context, w *cluster.Writer) error {
	w.Expect(s.String(), s.rules.kinds()...)
	events, failures, watch := s.watcher(ctx)
	look := time.NewTicker(s.poll)
	defer look.Stop()
	apply := &applier{writer: w, log: s.log, rules: s.rules}
	s.read(apply, watch)

	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if settled == nil && !e.Has(fsnotify.Chmod) {
				settled = time.After(s.settle)
			}
			continue
		case err := <-failures:
			s.log.Warn("watching manifests: events were lost", "error", err)
		case <-settled:
			settled = nil
		case <-look.C:
			w.Alive()
		}
		s.read(apply, watch)
	}
}

// watcher opens the file system's events; where there are none, looking from time to time remains.
func (s *source) watcher(ctx context.Context) (<-chan fsnotify.Event, <-chan error, func([]string) bool) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("watching manifests: no events from the file system", "error", err, "look", s.poll)
		return nil, nil, func([]string) bool { return false }
	}
	context.AfterFunc(ctx, func() { _ = w.Close() }) // nothing to lose: it only reads
	// watch follows exactly these folders; it tells whether one of them is new.
	watch := func(folders []string) (news bool) {
		wanted := map[string]bool{}
		for _, folder := range folders {
			wanted[folder] = true
		}
		for _, have := range w.WatchList() {
			if !wanted[have] {
				_ = w.Remove(have)
			}
			delete(wanted, have)
		}
		for folder := range wanted {
			news = w.Add(folder) == nil || news
		}
		return news
	}
	return w.Events, w.Errors, watch
}

// read looks at the files, and applies them when they changed.
func (s *source) read(apply *applier, watch func([]string) bool) {
	changed := false
	for again := 0; again < 3; again++ {
		changed = s.tree.read() || changed
		// What was written to a new folder between its reading and its watch made no event.
		if !watch(s.tree.folders()) {
			break
		}
	}
	if changed && s.tree.complete() {
		apply.all(s.tree.objects())
	}
	apply.fail(s.tree.failures())
}

// kinds are those that the source lists.
func (r *rules) kinds() []cluster.Kind {
	kinds := []cluster.Kind{cluster.KindService, cluster.KindNamespace}
	if r.needs.Endpoints || r.needs.Imports {
		kinds = append(kinds, cluster.KindEndpointSlice)
	}
	if r.needs.Pods {
		kinds = append(kinds, cluster.KindPod)
	}
	if r.needs.Imports {
		kinds = append(kinds, cluster.KindServiceImport)
	}
	if r.needs.Ingresses {
		kinds = append(kinds, cluster.KindIngress)
	}
	if r.needs.Gateways {
		kinds = append(kinds, cluster.KindGateway, cluster.KindHTTPRoute)
	}
	if r.needs.Node != "" {
		kinds = append(kinds, cluster.KindNode)
	}
	return kinds
}
