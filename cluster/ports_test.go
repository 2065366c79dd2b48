package cluster

import "testing"

func TestPortQuery(t *testing.T) {
	web := []Port{{Name: "http", Number: 80}, {Name: "HTTPS", Number: 443}, {Name: "quic", Protocol: UDP, Number: 443}}
	tests := []struct {
		name           string
		port, protocol string
		ports          []Port
		count          int
		has443         bool
	}{
		{name: "all", ports: web, count: 3, has443: true},
		{name: "by name", port: "http", ports: web, count: 1},
		{name: "in capitals", port: "https", protocol: "tcp", ports: web, count: 1, has443: true},
		{name: "by protocol", protocol: "udp", ports: web, count: 1, has443: true},
		{name: "of the other protocol", port: "http", protocol: "udp", ports: web},
		{name: "all of none", count: 1},
		{name: "one of none", port: "http"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := PortQuery{Name: []byte(test.port), Protocol: []byte(test.protocol)}
			if n := q.Count(test.ports); n != test.count {
				t.Errorf("%d ports, want %d", n, test.count)
			}
			if has := q.Numbered(test.ports, 443); has != test.has443 {
				t.Errorf("port 443: %v, want %v", has, test.has443)
			}
		})
	}
}

func TestPortLabels(t *testing.T) {
	tests := []struct {
		port Port
		want string
	}{
		{port: Port{Name: "Http"}, want: "\x05_http\x04_tcp"},
		{port: Port{Name: "dns", Protocol: UDP}, want: "\x04_dns\x04_udp"},
		{port: Port{Number: 80}},
		{port: Port{Name: "a-name-of-63-bytes-has-no-room-for-an-underscore-in-front-of-it-x"}},
	}
	for _, test := range tests {
		if have := test.port.Labels(); have != test.want {
			t.Errorf("%v: %q, want %q", test.port, have, test.want)
		}
	}
}

func TestBare(t *testing.T) {
	for label, want := range map[string]string{"_http": "http", "http": "http", "__x": "_x", "": ""} {
		if have := string(Bare([]byte(label))); have != want {
			t.Errorf("%q: %q, want %q", label, have, want)
		}
	}
}
