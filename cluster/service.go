package cluster

import "strings"

// Service is everything the Store knows of one service: an immutable record, swapped whole.
type Service struct {
	key          string // wire form: length, name, length, namespace
	id           uint32
	Type         ServiceType
	ClusterIPs   []Addr
	ExternalName string
	Ports        []Port
	External     []External
	Endpoints    *Endpoints  // never nil
	Forwarding   *Forwarding // nil unless Needs.Forwarding, and for a service that nobody forwards
	Backends     *Backends   // nil unless Needs.Forwarding, or when there are none
}

// Key is the service's name and namespace as two labels in wire form (RFC 1035, section 3.1), lower-case, as they stand
// in a question: a look-up needs no string, and an answer copies them.
func (s *Service) Key() string { return s.key }

// Name is the service's name.
func (s *Service) Name() string { return s.key[1 : 1+s.key[0]] }

// Namespace is the service's namespace.
func (s *Service) Namespace() string { return s.key[2+s.key[0]:] }

// NamespaceLabel is the namespace as one label in wire form.
func (s *Service) NamespaceLabel() string { return s.key[1+s.key[0]:] }

// String is "namespace/name".
func (s *Service) String() string { return s.Namespace() + "/" + s.Name() }

// HasClusterIP tells whether addr is one of the service's virtual IPs.
func (s *Service) HasClusterIP(addr Addr) bool {
	for _, a := range s.ClusterIPs {
		if a == addr {
			return true
		}
	}
	return false
}

// HasExternal tells whether addr is one of the addresses by which the service is known outside of the cluster.
func (s *Service) HasExternal(addr Addr) bool {
	for i := range s.External {
		if e := &s.External[i]; e.Name == "" && e.Addr == addr {
			return true
		}
	}
	return false
}

const maxLabel = 63 // RFC 1035, section 2.3.4

// label appends s, lower-cased, as a label in wire form. Nothing is appended, and ok is false, where s cannot be one.
func label(b []byte, s string) (_ []byte, ok bool) {
	if len(s) == 0 || len(s) > maxLabel || strings.IndexByte(s, '.') >= 0 {
		return b, false
	}
	b = append(b, byte(len(s)))
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b, true
}

// ServiceKey is the key of a service's record; ok is false when name or namespace cannot be a label.
func ServiceKey(namespace, name string) (key string, ok bool) {
	b, ok := label(make([]byte, 0, len(name)+len(namespace)+2), name)
	if ok {
		b, ok = label(b, namespace)
	}
	return string(b), ok
}
