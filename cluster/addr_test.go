package cluster

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func TestDashed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ addr, label string }{
		{addr: "10.244.1.44", label: "10-244-1-44"},
		{addr: "0.0.0.0", label: "0-0-0-0"},
		{addr: "255.255.255.255", label: "255-255-255-255"},
		{addr: "2001:db8::7334", label: "2001-db8--7334"},
		{addr: "2001:db8:0:1:1:1:1:1", label: "2001-db8-0-1-1-1-1-1"},
		{addr: "fe80::", label: "fe80--0"}, // Kubernetes DNS specification 1.1.0, section 2.4.1
		{addr: "::1", label: "--1"},
		{addr: "::", label: "--0"},
		{addr: "::ffff:10.0.0.1", label: "10-0-0-1"}, // mapped: the same address
	} {
		addr, err := ParseAddr(test.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(addr.AppendDashed([]byte("x"))); got != "x"+test.label {
			t.Errorf("%s: label %q, want %q", test.addr, got, "x"+test.label)
		}
		if back, ok := ParseDashed([]byte(test.label)); !ok || back != addr {
			t.Errorf("%s: label %q reads as %v, %v", test.addr, test.label, back, ok)
		}
	}
}

func TestParseDashedRefuses(t *testing.T) {
	t.Parallel()
	for _, label := range []string{
		"", "-", "--", "---", "1", "web", "10-0-0", "10-0-0-1-", "-10-0-0-1", "10-0-0-1-1", "10--0-0-1", "010-0-0-1", "10-0-0-00",
		"10-0-0-256", "10-0-0-1000", "10.0.0.1", "2001:db8::1", "2001-DB8--1", "fe80--", "fe80--00", "2001-0db8--1",
		"1-2-3-4-5-6-7", "1-2-3-4-5-6-7-8-9", "1--2--3", "1-2-3-4--5-6-7-8", "0-0-0-0-0-0-0-1", "g--1", "12345--1",
		"--ffff-a00-1", "fe80--1%eth0", strings.Repeat("1-", 40) + "1",
	} {
		if addr, ok := ParseDashed([]byte(label)); ok {
			t.Errorf("%q reads as %v", label, addr)
		}
	}
}

// FuzzParseDashed compares with net/netip: a label is an address's exactly when it is that address's only spelling.
func FuzzParseDashed(f *testing.F) {
	for _, seed := range []string{"10-244-1-44", "2001-db8--1", "fe80--0", "--1", "--0", "1-2-3-4-5-6-7-8", "--ffff-1-2-3-4", "a---b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, label []byte) {
		got, ok := ParseDashed(label)
		want, wantOK := byNetip(string(label))
		if ok != wantOK || ok && got != want {
			t.Errorf("%q: %v, %v; by netip %v, %v", label, got, ok, want, wantOK)
		}
	})
}

func byNetip(label string) (Addr, bool) {
	texts := []string{strings.ReplaceAll(label, "-", "."), strings.ReplaceAll(label, "-", ":")}
	texts = append(texts, strings.TrimSuffix(texts[1], "0"))
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			continue
		}
		if addr := AddrFrom(a); string(addr.AppendDashed(nil)) == label {
			return addr, true
		}
	}
	return Addr{}, false
}

func FuzzAppendDashed(f *testing.F) {
	f.Add(netip.MustParseAddr("10.0.0.1").AsSlice())
	f.Add(netip.MustParseAddr("2001:db8::1").AsSlice())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		addr := AddrFrom(a)
		label := addr.AppendDashed(nil)
		if len(label) > maxLabel || bytes.ContainsAny(label, ".:") {
			t.Errorf("%v: %q is not a label", a, label)
		}
		if back, ok := ParseDashed(label); !ok || back != addr {
			t.Errorf("%v: %q reads as %v, %v", a, label, back, ok)
		}
	})
}

func TestAddrForms(t *testing.T) {
	t.Parallel()
	four, _ := ParseAddr("10.0.0.1")
	six, _ := ParseAddr("2001:db8::1")
	if !four.Is4() || six.Is4() || len(four.Bytes()) != 4 || len(six.Bytes()) != 16 {
		t.Errorf("families: %v %v", four.Bytes(), six.Bytes())
	}
	if four.String() != "10.0.0.1" || six.String() != "2001:db8::1" {
		t.Errorf("spelling: %v %v", four, six)
	}
	for _, bad := range []string{"", "10.0.0", "10.96.0.300", "db.example.com", "10.0.0.1/24", "[::1]"} {
		if a, err := ParseAddr(bad); err == nil {
			t.Errorf("%q reads as %v", bad, a)
		}
	}
}

// TestParseLabel: any spelling of an address, as CoreDNS takes it for a pod's name: three single dashes are IPv4. A
// question's labels come in lower case.
func TestParseLabel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ label, want string }{
		{label: "10-244-1-44", want: "10.244.1.44"},
		{label: "2001-0db8--0001", want: "2001:db8::1"},
		{label: "1-0-0-0-0-0-0-1", want: "1::1"},
		{label: "fe80--", want: "fe80::"},
		{label: "--ffff-a00-1", want: "10.0.0.1"},
		{label: "010-0-0-1"}, {label: "2001-DB8--1"}, {label: "10-0-0-256"}, {label: "a-b-c-d"}, {label: "1-2-3"}, {label: "1---2"}, {label: "web"}, {label: ""},
	} {
		got, ok := ParseLabel([]byte(test.label))
		switch {
		case ok != (test.want != ""):
			t.Errorf("%q: taken %v", test.label, ok)
		case ok && got.String() != test.want:
			t.Errorf("%q reads as %v, want %s", test.label, got, test.want)
		}
	}
}

// FuzzParseLabel compares with net/netip, which reads the same addresses when dashes are what they stand for.
func FuzzParseLabel(f *testing.F) {
	for _, seed := range []string{"10-244-1-44", "2001-0db8--1", "--", "1-2-3-4-5-6-7--", "--2-3-4-5-6-7-8", "1---2", "00001--"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, label []byte) {
		got, ok := ParseLabel(label)
		if bytes.ContainsAny(label, ".:%") {
			if ok {
				t.Errorf("%q was taken", label)
			}
			return
		}
		label = bytes.ToLower(label)
		got, ok = ParseLabel(label)
		sep := ":"
		if bytes.Count(label, []byte("-")) == 3 && !bytes.Contains(label, []byte("--")) {
			sep = "."
		}
		want, err := netip.ParseAddr(strings.ReplaceAll(string(label), "-", sep))
		if ok != (err == nil) || ok && got != AddrFrom(want) {
			t.Errorf("%q: %v, %v; by netip %v, %v", label, got, ok, want, err)
		}
	})
}
