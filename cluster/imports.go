package cluster

// Imports is the Store of the services that clusters of a set share (KEP-1645): an imported service is a record of
// the same shape as a service, in namespaces that mean the same in all clusters, and it has endpoints, each with the name
// of its cluster in place of a zone. So what answers names of services answers names of imports as well. Only Service,
// Services, Sorted and Serial are of use there: imports have no reverse names, and the rest is the cluster's own.
func (s *Store) Imports() *Store { return s.imports }

// PutImport adds or replaces an imported service. The result is as PutService's.
func (w *Writer) PutImport(spec *ServiceSpec) bool { return w.imports.writer.PutService(spec) }

// DeleteImport removes an imported service.
func (w *Writer) DeleteImport(namespace, name string) {
	w.imports.writer.DeleteService(namespace, name)
}

// imports is a Writer's hold of the Writer of Store.Imports, which itself has none.
type imports struct{ writer *Writer }

// imported is what objects of kind are among imports.
func (k Kind) imported() (of Kind, ok bool) {
	switch k {
	case KindServiceImport:
		return KindService, true
	case KindEndpointSlice:
		return KindEndpointSlice, true
	}
	return 0, false
}

func (i imports) beginList(kind Kind) {
	if of, ok := kind.imported(); ok && i.writer != nil {
		i.writer.BeginList(of)
	}
}

func (i imports) endList(kind Kind) {
	if of, ok := kind.imported(); ok && i.writer != nil {
		i.writer.mu.Lock()
		defer i.writer.mu.Unlock()
		i.writer.sweep(of)
	}
}

// putSlice takes what a slice holds for an imported service; it is false when that is nothing.
func (i imports) putSlice(spec *SliceSpec) bool {
	if i.writer == nil {
		return false
	}
	if spec.Import == "" {
		i.deleteSlice(spec.Namespace, spec.Name)
		return false
	}
	own := *spec
	own.Service, own.Import, own.Backends = spec.Import, "", false
	own.Endpoints = make([]EndpointSpec, len(spec.Endpoints))
	for n := range spec.Endpoints {
		own.Endpoints[n] = spec.Endpoints[n]
		own.Endpoints[n].Zone = spec.Cluster
	}
	return i.writer.PutSlice(&own)
}

func (i imports) deleteSlice(namespace, name string) {
	if i.writer != nil {
		i.writer.deleteSlice(namespace, name)
	}
}
