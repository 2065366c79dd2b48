package nftables

import "testing"

func TestDecode(t *testing.T) {
	t.Parallel()
	four, six := families()[0], families()[1]
	for _, test := range []struct {
		name, spec string
		family     family
		bytes      string
		want       string
		bad        bool
	}{
		{name: "an address", spec: "ipv4_addr", family: four, bytes: "\x0a\x60\x00\x01", want: "10.96.0.1"},
		{name: "a port", spec: "inet_service", family: four, bytes: "\x00\x50", want: "80"},
		{name: "a frontend", spec: "ipv4_addr . inet_proto . inet_service", family: four,
			bytes: "\x0a\x60\x00\x01\x11\x00\x00\x00\x00\x35\x00\x00", want: "10.96.0.1 . udp . 53"},
		{name: "IPv6", spec: "ip6 daddr . sctp dport", family: six,
			bytes: "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1f\x90\x00\x00", want: "fd00::1 . 8080"},
		{name: "short", spec: "ipv4_addr . inet_service", family: four, bytes: "\x0a\x60\x00\x01\x00", bad: true},
		{name: "long", spec: "ipv4_addr", family: four, bytes: "\x0a\x60\x00\x01\x00\x00\x00\x00", bad: true},
		{name: "nothing", spec: "ipv4_addr", family: four, bad: true},
	} {
		got, ok := decode(test.family, kinds(test.spec), []byte(test.bytes))
		if ok == test.bad || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, ok, test.want)
		}
	}
}

func TestNormal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		parts      []string
		protocolAt int
		want       string
	}{
		{[]string{"10.96.0.1", "6", "6"}, 1, "10.96.0.1 . tcp . 6"},
		{[]string{"10.96.0.1", "132", "80"}, 1, "10.96.0.1 . sctp . 80"},
		{[]string{"17", "17"}, 0, "udp . 17"},
		{[]string{"::1.2.3.4", "80"}, -1, "::102:304 . 80"},
		{[]string{"10.0.0.0/8"}, -1, "10.0.0.0/8"},
		{[]string{"fd00::1/128"}, -1, "fd00::1"},
		{[]string{"goto lb-1"}, -1, "goto lb-1"},
	} {
		if got := normal(test.parts, test.protocolAt); got != test.want {
			t.Errorf("%q: %q, want %q", test.parts, got, test.want)
		}
	}
}
