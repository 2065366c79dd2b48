package cluster

import (
	"testing"
)

func importKey(t *testing.T) []byte {
	key, ok := ServiceKey("n", "web")
	if !ok {
		t.Fatal("no key")
	}
	return []byte(key)
}

func TestImports(t *testing.T) {
	s, w := NewStore()
	w.Expect("test", KindServiceImport, KindEndpointSlice)
	for _, kind := range []Kind{KindServiceImport, KindEndpointSlice} {
		w.BeginList(kind)
	}
	w.PutImport(&ServiceSpec{Namespace: "n", Name: "web", Type: Headless})
	slice := &SliceSpec{Namespace: "n", Name: "web-east", Import: "web", Cluster: "East", Endpoints: []EndpointSpec{{Addr: numbered(1), Zone: "z"}}}
	if !w.PutSlice(slice) {
		t.Error("a slice of an import was left out")
	}
	both := &SliceSpec{Namespace: "n", Name: "both", Service: "local", Import: "web", Cluster: "west", Endpoints: []EndpointSpec{{Addr: numbered(2), Zone: "z"}}}
	w.PutSlice(both)
	for _, kind := range []Kind{KindServiceImport, KindEndpointSlice} {
		w.EndList(kind)
	}
	svc := s.Imports().Service(importKey(t))
	if svc == nil || len(svc.Endpoints.List) != 2 {
		t.Fatalf("the import is %v", svc)
	}
	for i, want := range []string{"east", "west"} {
		if have := svc.Endpoints.Zone(&svc.Endpoints.List[i]); have != want {
			t.Errorf("endpoint %d is in cluster %q, want %q", i, have, want)
		}
	}
	if s.Service(importKey(t)) != nil {
		t.Error("the import is a service of this cluster")
	}
	if h := s.Holders(numbered(1)); h.Next() != nil {
		t.Error("an import has a reverse name")
	}
	if h := s.Holders(numbered(2)); h.Next() == nil {
		t.Error("a service that has an imported slice too lost its reverse name")
	}
	st := s.Status()
	if !st.Synced || st.Objects[KindServiceImport] != 1 || st.Objects[KindService] != 0 || st.Skipped != 0 {
		t.Errorf("status %+v", st)
	}
	slice.Import = ""
	slice.Service = "local"
	w.PutSlice(slice)
	if svc = s.Imports().Service(importKey(t)); len(svc.Endpoints.List) != 1 {
		t.Errorf("a slice that is no longer of the import left %d endpoints, want 1", len(svc.Endpoints.List))
	}
	w.BeginList(KindServiceImport)
	w.EndList(KindServiceImport)
	w.BeginList(KindEndpointSlice)
	w.EndList(KindEndpointSlice)
	if s.Imports().Service(importKey(t)) != nil || s.Status().Objects != [9]int{} || len(w.imports.writer.states) != 0 {
		t.Errorf("after an empty list: %+v", s.Status())
	}
}
