package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func addr(t testing.TB, s string) Addr {
	t.Helper()
	a, err := ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func names(s *Endpoints, podNames bool) (out []string) {
	for i := range s.List {
		e := &s.List[i]
		out = append(out, fmt.Sprintf("%s %s %s %v", e.Addr, s.Name(e, podNames), s.Zone(e), s.Ports[e.PortsSet]))
	}
	return out
}

func TestMerge(t *testing.T) {
	t.Parallel()
	http, alt := []Port{{Name: "http", Number: 80}}, []Port{{Name: "http", Number: 8080}}
	parts := []*Endpoints{
		newEndpoints(&SliceSpec{Ports: http, Endpoints: []EndpointSpec{
			{Addr: addr(t, "10.0.0.3"), Name: "C", Zone: "Zone-A"}, {Addr: addr(t, "10.0.0.1"), Name: "pod-a", PodName: true},
		}}),
		newEndpoints(&SliceSpec{Ports: http}), // empty: nothing of it stays
		newEndpoints(&SliceSpec{Ports: alt, Endpoints: []EndpointSpec{{Addr: addr(t, "10.0.0.2"), Name: "b", Zone: "zone-b"}, {Addr: addr(t, "10.0.0.3"), Name: "c"}}}),
		newEndpoints(&SliceSpec{Endpoints: []EndpointSpec{{Addr: addr(t, "fd00::1")}}}),
		newEndpoints(&SliceSpec{Ports: http, Endpoints: []EndpointSpec{{Addr: addr(t, "10.0.0.4")}}}),
	}
	all := merge(parts)
	want := []string{
		"10.0.0.1 pod-a  [{http tcp 80}]",
		"10.0.0.2 b zone-b [{http tcp 8080}]",
		"10.0.0.3 c zone-a [{http tcp 80}]",
		"10.0.0.3 c  [{http tcp 8080}]",
		"10.0.0.4   [{http tcp 80}]",
		"fd00::1   []",
	}
	if got := names(all, true); !slices.Equal(got, want) {
		t.Errorf("merged to\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(all.Ports) != 3 {
		t.Errorf("%d sets of ports, want 3: equal sets are one", len(all.Ports))
	}
	if got := names(all, false)[0]; got != "10.0.0.1   [{http tcp 80}]" {
		t.Errorf("without pod names: %q", got)
	}
	if got := len(all.Named([]byte("c"))); got != 2 {
		t.Errorf("%d endpoints named c, want 2", got)
	}
	if got := len(all.At(addr(t, "10.0.0.3"))); got != 2 {
		t.Errorf("%d endpoints at 10.0.0.3, want 2", got)
	}
	if got := all.NamedAs(&all.List[2]); len(got) != 2 {
		t.Errorf("%d endpoints named as the third, want itself and its twin", len(got))
	}
	if got := all.NamedAs(&all.List[4]); len(got) != 0 {
		t.Errorf("%d endpoints named as one without a name", len(got))
	}
	for _, missing := range []string{"", "a", "bb", "z", "10-0-0-4"} {
		if got := all.Named([]byte(missing)); len(got) != 0 {
			t.Errorf("%d endpoints named %q", len(got), missing)
		}
	}
	if merge(nil) != none || merge(parts[1:2]) != none || merge(parts[:2]) != parts[0] {
		t.Error("none or one slice is merged into something new")
	}
}

// TestMergeIsAUnion compares a merge of random slices with the list of all their endpoints.
func TestMergeIsAUnion(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		var parts []*Endpoints
		var want []string
		for p := range random.IntN(6) {
			spec := SliceSpec{Ports: []Port{{Number: uint16(p % 3)}}}
			for range random.IntN(40) {
				e := EndpointSpec{Addr: numbered(random.IntN(60)), Zone: fmt.Sprint("z", random.IntN(3))}
				if random.IntN(2) == 0 {
					e.Name, e.PodName = fmt.Sprint("name-", random.IntN(30)), random.IntN(2) == 0
				}
				spec.Endpoints = append(spec.Endpoints, e)
				want = append(want, fmt.Sprintf("%s %s %s %v", e.Addr, e.Name, e.Zone, spec.Ports))
			}
			parts = append(parts, newEndpoints(&spec))
		}
		all := merge(parts)
		got := names(all, true)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: merged to %v, want %v", seed, got, want)
		}
		for n := range 30 {
			label := fmt.Sprint("name-", n)
			for _, i := range all.Named([]byte(label)) {
				if got := all.Name(&all.List[i], true); got != label {
					t.Fatalf("%q found as %q", got, label)
				}
			}
			if got, want := len(all.Named([]byte(label))), count(want, " "+label+" "); got != want {
				t.Fatalf("%d endpoints named %s, want %d", got, label, want)
			}
		}
		for n := range 60 {
			if got, want := len(all.At(numbered(n))), count(want, numbered(n).String()+" "); got != want {
				t.Fatalf("%d endpoints at %v, want %d", got, numbered(n), want)
			}
		}
	}
}

func count(lines []string, part string) (n int) {
	for _, line := range lines {
		if strings.Contains(" "+line, part) && (part[0] == ' ' || strings.HasPrefix(line, part)) {
			n++
		}
	}
	return n
}

func TestEndpointNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, given, want string }{
		{name: "63 letters are a label (RFC 1035, section 2.3.4)", given: strings.Repeat("a", 63), want: strings.Repeat("a", 63)},
		{name: "64 letters are none", given: strings.Repeat("a", 64), want: ""},
		{name: "lower-cased", given: "DB-0", want: "db-0"},
		{name: "a pod's name may have dots, a label not", given: "web.0", want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEndpoints(&SliceSpec{Endpoints: []EndpointSpec{{Addr: numbered(1), Name: test.given, Zone: test.given}}})
			if got := s.Name(&s.List[0], true); got != test.want {
				t.Errorf("name %q, want %q", got, test.want)
			}
			if found := len(s.Named([]byte(strings.ToLower(test.given)))); found != len(test.want)/max(1, len(test.want)) {
				t.Errorf("found %d times", found)
			}
		})
	}
}

func TestManyPortSets(t *testing.T) {
	t.Parallel()
	var parts []*Endpoints
	for i := range 300 {
		parts = append(parts, newEndpoints(&SliceSpec{Ports: []Port{{Number: uint16(i + 1)}}, Endpoints: []EndpointSpec{{Addr: numbered(i)}}}))
	}
	all := merge(parts)
	if len(all.List) != 300 || len(all.Ports) != 256 {
		t.Errorf("%d endpoints, %d sets of ports", len(all.List), len(all.Ports))
	}
	for i := range all.List {
		if want := uint16(min(i, 255) + 1); all.Ports[all.List[i].PortsSet][0].Number != want {
			t.Fatalf("endpoint %d has port %d, want %d", i, all.Ports[all.List[i].PortsSet][0].Number, want)
		}
	}
}
