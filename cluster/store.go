package cluster

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Store holds a cluster's objects for readers. Every method may be called at any time from any goroutine, takes no
// lock and allocates nothing, unless it says otherwise.
type Store struct {
	services   *table[Service]
	namespaces *table[namespace]
	pods       *table[Pod]
	addresses  *reverse
	numbers    atomic.Pointer[[]atomic.Pointer[Service]]
	node       atomic.Pointer[Node]
	serial     atomic.Uint32
	external   atomic.Uint32
	synced     atomic.Bool
	status     *status // shared with imports
	imports    *Store
	hosts      *table[Host]
}

type namespace struct{ key string }

// Pod is a running pod, found by its address.
type Pod struct {
	key             string // the address's 16 bytes
	Namespace, Name string
	labels          string // see packLabels
	next            *Pod   // another pod with the same address
}

// Next is another pod with the same address, or nil.
func (p *Pod) Next() *Pod { return p.next }

// NewStore is an empty Store, not synced, and the Writer that fills it.
func NewStore() (*Store, *Writer) {
	status := new(status)
	s, w := newStore(status)
	s.imports, w.imports.writer = newStore(status)
	w.imports.writer.imported = true
	return s, w
}

func newStore(status *status) (*Store, *Writer) {
	s := &Store{
		status:     status,
		services:   newTable(func(s *Service) string { return s.key }),
		namespaces: newTable(func(n *namespace) string { return n.key }),
		pods:       newTable(func(p *Pod) string { return p.key }),
		addresses:  newReverse(),
		hosts:      newTable(func(h *Host) string { return h.key }),
	}
	numbers := make([]atomic.Pointer[Service], smallest)
	s.numbers.Store(&numbers)
	return s, newWriter(s)
}

// Service is the service with this key (see Service.Key), or nil. It is never one of type Absent.
func (s *Store) Service(key []byte) *Service {
	svc := s.services.get(key)
	if svc == nil || svc.Type == Absent {
		return nil
	}
	return svc
}

// HasNamespace tells whether the namespace exists; label is its name in wire form.
func (s *Store) HasNamespace(label []byte) bool { return s.namespaces.get(label) != nil }

// Holders walks the services that have addr as virtual IP, as external address or as address of a ready endpoint.
func (s *Store) Holders(addr Addr) Holders { return s.addresses.holders(s, addr) }

// PodAt is the first of the running pods with this address, or nil.
func (s *Store) PodAt(addr Addr) *Pod { return s.pods.get(addr[:]) }

// Node is the node that Needs.Node names; nil when it is not known.
func (s *Store) Node() *Node { return s.node.Load() }

// Serial is the Unix second of the last change to a service, an endpoint or a pod; 0 before any.
func (s *Store) Serial() uint32 { return s.serial.Load() }

// ExternalSerial is the Unix second of the last change to what a service is known by outside of the cluster, or to the
// ports of one that is; 0 before any.
func (s *Store) ExternalSerial() uint32 { return s.external.Load() }

// Listed tells whether every one of these kinds was listed once, or is none that the source lists.
func (s *Store) Listed(kinds ...Kind) bool {
	var wanted uint32
	for _, k := range kinds {
		wanted |= 1 << k
	}
	return s.status.waiting.Load()&wanted == 0
}

// Synced tells whether every kind of object that names need was listed once. It never turns false again: what was known is
// still the best answer when the API server is away.
func (s *Store) Synced() bool { return s.synced.Load() }

// Services calls visit for every service. It is for slow paths: zone transfers, tables.
func (s *Store) Services(visit func(*Service)) {
	s.services.each(func(svc *Service) {
		if svc.Type != Absent {
			visit(svc)
		}
	})
}

// Sorted are the services that show takes, by name and then by namespace. It is for slow paths.
func (s *Store) Sorted(show func(*Service) bool) (all []*Service) {
	s.Services(func(svc *Service) {
		if show(svc) {
			all = append(all, svc)
		}
	})
	slices.SortFunc(all, func(a, b *Service) int {
		return cmp.Or(strings.Compare(a.Name(), b.Name()), strings.Compare(a.Namespace(), b.Namespace()))
	})
	return all
}

func (s *Store) byNumber(id uint32) *Service {
	numbers := *s.numbers.Load()
	if int(id) >= len(numbers) {
		return nil
	}
	return numbers[id].Load()
}

// touch records a change that a zone's serial has to show.
func (s *Store) touch(now time.Time) { s.serial.Store(uint32(now.Unix())) }

// touchService records a change of a service's record in the serials of the zones that show it.
func (s *Store) touchService(now time.Time, old, next *Service) {
	if !sameService(old, next) || old.Endpoints != next.Endpoints {
		s.touch(now)
	}
	if !slices.Equal(old.External, next.External) || len(next.External) > 0 && !slices.Equal(old.Ports, next.Ports) {
		s.external.Store(uint32(now.Unix()))
	}
}
