package wire

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestParseZones(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string
		bad  bool
	}{
		{text: "Cluster.Local", want: []string{"cluster.local."}},
		{text: ".", want: []string{"."}},
		{text: "10.0.0.0/8", want: []string{"10.in-addr.arpa."}},
		{text: "10.1.2.3/16", want: []string{"1.10.in-addr.arpa."}},
		{text: "10.96.0.0/15", want: []string{"96.10.in-addr.arpa.", "97.10.in-addr.arpa."}},
		{text: "192.0.2.1/32", want: []string{"1.2.0.192.in-addr.arpa."}},
		{text: "254.0.0.0/7", want: []string{"254.in-addr.arpa.", "255.in-addr.arpa."}},
		{text: "0.0.0.0/0", want: []string{"in-addr.arpa."}},
		{text: "::/0", want: []string{"ip6.arpa."}},
		{text: "fd00::/8", want: []string{"d.f.ip6.arpa."}},
		{text: "2001:db8::/31", want: []string{"8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."}},
		{text: "", bad: true},
		{text: "a..b", bad: true},
		{text: "10.0.0.0/33", bad: true},
		{text: "10.0.0/8", bad: true},
		{text: "a/b", bad: true},
		{text: "::ffff:10.0.0.0/104", bad: true},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			zones, err := ParseZones(c.text)
			var got []string
			for _, zone := range zones {
				got = append(got, zone.String())
			}
			if (err != nil) != c.bad || !slices.Equal(got, c.want) {
				t.Errorf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// The zones of an address block hold the reverse names of its addresses, each in one zone, and no others.
func TestParseZonesHoldTheBlock(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(13, 14))
	address := func(size int) netip.Addr {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		addr, _ := netip.AddrFromSlice(b)
		return addr
	}
	for range 300 {
		size := []int{4, 16}[random.IntN(2)]
		prefix := netip.PrefixFrom(address(size), random.IntN(size*8+1)).Masked()
		zones, err := ParseZones(prefix.String())
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			addr := address(size)
			if random.IntN(2) == 0 { // else hardly one is within
				addr = within(prefix, addr)
			}
			name, err := dns.ReverseAddr(addr.String())
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, zone := range zones {
				if zone.Contains(mustName(t, name)) {
					n++
				}
			}
			if (n == 1) != prefix.Contains(addr) || n > 1 {
				t.Fatalf("%s is in %d of the zones of %s: %v", addr, n, prefix, zones)
			}
		}
	}
}

// within is addr with the prefix's bits.
func within(prefix netip.Prefix, addr netip.Addr) netip.Addr {
	b, p := addr.AsSlice(), prefix.Addr().AsSlice()
	for i := range prefix.Bits() {
		mask := byte(0x80) >> (i % 8)
		b[i/8] = b[i/8]&^mask | p[i/8]&mask
	}
	moved, _ := netip.AddrFromSlice(b)
	return moved
}

func TestReverse(t *testing.T) {
	t.Parallel()
	nibbles := "1." + strings.Repeat("0.", 23) + "8.b.d.0.1.0.0.2.ip6.arpa."
	for _, c := range []struct {
		name string
		want string // empty for none
	}{
		{name: "1.0.96.10.in-addr.arpa.", want: "10.96.0.1"},
		{name: "255.255.255.255.IN-ADDR.arpa.", want: "255.255.255.255"},
		{name: "256.0.96.10.in-addr.arpa."},
		{name: "01.0.96.10.in-addr.arpa."},
		{name: "x.0.96.10.in-addr.arpa."},
		{name: "1000.0.96.10.in-addr.arpa."},
		{name: "96.10.in-addr.arpa."},
		{name: "1.1.0.96.10.in-addr.arpa."},
		{name: "in-addr.arpa."},
		{name: nibbles, want: "2001:db8::1"},
		{name: strings.ToUpper(nibbles), want: "2001:db8::1"},
		{name: "a.b.c." + nibbles, want: "2001:db8::1"},
		{name: "a.b.c.d." + nibbles},
		{name: "g" + nibbles[1:]},
		{name: "11" + nibbles[1:]},
		{name: nibbles[2:]},
		{name: "ip6.arpa."},
		{name: "1.0.96.10.example."},
		{name: "."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addr, ok := askFor(t, c.name, dns.TypePTR).Reverse()
			if ok != (c.want != "") {
				t.Fatalf("ok is %v", ok)
			}
			if got := netip.AddrFrom16(addr).Unmap(); ok && got.String() != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestIsReverse(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"10.in-addr.arpa.": true, "1.0.96.10.IN-ADDR.arpa.": true, "f.ip6.arpa.": true,
		"in-addr.arpa.": false, "ip6.arpa.": false, "arpa.": false, ".": false, "10.in-addr.arpa.example.": false,
	} {
		if got := askFor(t, name, dns.TypePTR).IsReverse(); got != want {
			t.Errorf("Query %s: %v", name, got)
		}
		if got := mustName(t, name).IsReverse(); got != want {
			t.Errorf("Name %s: %v", name, got)
		}
	}
}

func TestNewQuery(t *testing.T) {
	t.Parallel()
	packet := NewQuery(0x1234, mustName(t, "a.example.org."), dns.TypeSRV)
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	want := dns.Question{Name: "a.example.org.", Qtype: dns.TypeSRV, Qclass: dns.ClassINET}
	if m.Id != 0x1234 || m.RecursionDesired || len(m.Question) != 1 || m.Question[0] != want || m.Len() != len(packet) {
		t.Errorf("%v", m)
	}
	q := new(Query)
	if err := q.Parse(packet); err != nil || q.Len() != len(packet) || string(q.Span(0, 2)) != "\x01a\x07example" || q.ClassString() != "IN" {
		t.Errorf("%v, %d bytes, span %q", err, q.Len(), q.Span(0, 2))
	}
}
