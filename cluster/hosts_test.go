package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// put hands over an object: hosts are "NAME" or "NAME@LISTENER", parents "NAMESPACE/NAME" or "NAMESPACE/NAME@LISTENER".
func put(w *Writer, kind Kind, name, hosts, external, parents string) {
	spec := &HostSpec{Kind: kind}
	spec.Namespace, spec.Name, _ = strings.Cut(name, "/")
	for _, text := range strings.Fields(hosts) {
		host, listener, _ := strings.Cut(text, "@")
		spec.Hosts = append(spec.Hosts, HostRule{Name: host, Listener: listener})
	}
	for _, text := range strings.Fields(external) {
		spec.External = append(spec.External, ParseExternal(text))
	}
	for _, text := range strings.Fields(parents) {
		whole, listener, _ := strings.Cut(text, "@")
		namespace, name, _ := strings.Cut(whole, "/")
		spec.Parents = append(spec.Parents, Parent{namespace, name, listener})
	}
	w.PutHosts(spec)
}

// hostsOf is every host of a store as text.
func hostsOf(s *Store) string {
	var lines []string
	s.Hosts(func(h *Host) {
		line := fmt.Sprintf("%q", h.Key())
		for _, p := range h.Parts {
			line += fmt.Sprintf(" %s%v", p.Namespace[1:], p.External)
		}
		lines = append(lines, line)
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestHosts(t *testing.T) {
	s, w := NewStore()
	check := func(what string, want ...string) {
		t.Helper()
		if have := hostsOf(s); have != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwanted\n%s", what, have, strings.Join(want, "\n"))
		}
	}
	const a, b, wildcard = `"\x01a\x03org\x00"`, `"\x01b\x03org\x00"`, `"\x01*\x01w\x03org\x00"`
	put(w, KindIngress, "n/one", "A.org b.org", "192.0.2.1", "")
	put(w, KindIngress, "n/two", "a.org", "192.0.2.2 192.0.2.1", "")
	put(w, KindIngress, "m/three", "a.org.", "lb.example", "")
	check("of three objects", a+" m[lb.example] n[192.0.2.1 192.0.2.2]", b+" n[192.0.2.1]")
	put(w, KindIngress, "n/one", "*.w.org", "", "")
	check("a wildcard that leads nowhere yet", wildcard+" n[]", a+" m[lb.example] n[192.0.2.1 192.0.2.2]")
	for name, there := range map[string]bool{"\x01w\x03org\x00": true, "\x03org\x00": true, "\x01b\x03org\x00": false} {
		if h := s.Host([]byte(name)); (h != nil) != there || there && len(h.Parts) > 0 {
			t.Errorf("%q: %v, want an empty name: %v", name, h, there)
		}
	}
	w.DeleteHosts(KindIngress, "n", "two")
	w.DeleteHosts(KindIngress, "m", "three")
	check("without two of them", wildcard+" n[]")
	w.BeginList(KindIngress)
	w.EndList(KindIngress)
	check("after an empty list")
	if s.hosts.live != 0 || len(w.hosts.names) != 0 || s.Status().Objects != [9]int{} {
		t.Errorf("%d names are left", len(w.hosts.names))
	}
	if s.ExternalSerial() == 0 {
		t.Error("the serial is 0 after changes")
	}
}

func TestRoutes(t *testing.T) {
	s, w := NewStore()
	check := func(what string, want ...string) {
		t.Helper()
		if have := hostsOf(s); have != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwanted\n%s", what, have, strings.Join(want, "\n"))
		}
	}
	const a, b, star = `"\x01a\x03org\x00"`, `"\x01b\x03com\x00"`, `"\x01*\x03org\x00"`
	put(w, KindHTTPRoute, "n/r", "a.org b.com", "", "g/gw")
	check("before its gateway", a+" n[]", b+" n[]")
	put(w, KindGateway, "g/gw", "*.org@one", "192.0.2.1", "")
	check("of a listener for one of two", star+" g[192.0.2.1]", a+" n[192.0.2.1]", b+" n[]")
	put(w, KindGateway, "g/gw", "@all", "192.0.2.2", "")
	check("of a listener for all", a+" n[192.0.2.2]", b+" n[192.0.2.2]")
	put(w, KindHTTPRoute, "n/r", "a.org", "", "g/gw@other")
	check("of a listener that is not there", a+" n[]")
	put(w, KindHTTPRoute, "n/r", "a.org", "", "g/gw@all g/none")
	check("of a listener by its name", a+" n[192.0.2.2]")
	w.DeleteHosts(KindGateway, "g", "gw")
	check("without its gateway", a+" n[]")
}

func TestHostKey(t *testing.T) {
	tests := map[string]string{
		"a.example.org": "\x01a\x07example\x03org\x00", "A.org.": "\x01a\x03org\x00", "*.org": "\x01*\x03org\x00",
		"": "", ".": "", "a..org": "", "a.*.org": "", strings.Repeat("a", 64): "", strings.Repeat("a.", 127): strings.Repeat("\x01a", 127) + "\x00",
		strings.Repeat("a.", 128): "",
	}
	for name, want := range tests {
		if have, ok := HostKey(name); ok != (want != "") || ok && have != want {
			t.Errorf("%q: %q, %v, want %q", name, have, ok, want)
		}
	}
}
