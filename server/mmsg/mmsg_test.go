package mmsg

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// socket is a UDP socket of loopback, which uses the calls for many datagrams or not.
func socket(t testing.TB, many bool) *Conn {
	t.Helper()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	return conn(t, udp, many)
}

func conn(t testing.TB, udp *net.UDPConn, many bool) *Conn {
	t.Helper()
	t.Cleanup(func() { udp.Close() })
	if err := udp.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := NewConn(udp)
	c.many = c.many && many
	return c
}

// eachWay runs a test with one system call for many datagrams, and with one for each.
func eachWay(t *testing.T, run func(t *testing.T, many bool)) {
	t.Parallel()
	for _, many := range []bool{true, false} {
		t.Run(fmt.Sprintf("many=%v", many), func(t *testing.T) {
			if many && !socket(t, true).many {
				t.Skip("this system has no calls for many datagrams")
			}
			run(t, many)
		})
	}
}

func room(n, size int) []*Incoming {
	in := make([]*Incoming, n)
	for i := range in {
		in[i] = &Incoming{Packet: make([]byte, size)}
	}
	return in
}

// take receives n datagrams and calls with each.
func take(t testing.TB, r *Receiver, in []*Incoming, n int, with func(*Incoming)) {
	t.Helper()
	for n > 0 {
		got, err := r.Receive(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range in[:got] {
			with(d)
		}
		n -= got
	}
}

// What is received can be answered by the name that it came with, as many at a time as there are.
func TestThereAndBack(t *testing.T) {
	eachWay(t, func(t *testing.T, many bool) {
		server, failed := socket(t, many), func(_ *Name, err error) { t.Error(err) }
		udp, err := net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		client := conn(t, udp, many)
		var sender Sender
		const rounds = 3
		for i := range rounds * Most {
			sender.Add(fmt.Appendf(nil, "query %d", i), nil, nil) // a connected socket needs no name
			if sender.Full() {
				sender.Send(client, failed)
			}
		}
		in := room(server.Batch(), 100)
		take(t, NewReceiver(server), in, rounds*Most, func(d *Incoming) {
			if d.From.AddrPort() != client.LocalAddr().(*net.UDPAddr).AddrPort() {
				t.Errorf("from %v", d.From.AddrPort())
			}
			sender.Add(append([]byte("reply to "), d.Packet[:d.Size]...), nil, &d.From)
			sender.Send(server, failed)
		})
		var got []string
		take(t, NewReceiver(client), room(client.Batch(), 100), rounds*Most, func(d *Incoming) {
			got = append(got, string(d.Packet[:d.Size]))
		})
		for i := range rounds * Most {
			if want := fmt.Sprintf("reply to query %d", i); !slices.Contains(got, want) {
				t.Errorf("no %q", want)
			}
		}
	})
}

// Some elements of what is received into may be replaced between two calls, and a smaller one may be in the place.
func TestRoomIsReplaced(t *testing.T) {
	eachWay(t, func(t *testing.T, many bool) {
		s := socket(t, many)
		r, in := NewReceiver(s), room(s.Batch(), 100)
		for turn := range 5 {
			if _, err := s.WriteToUDPAddrPort([]byte("0123456789"), s.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
				t.Fatal(err)
			}
			size := 4 + turn
			in[0] = room(1, size)[0]
			take(t, r, in, 1, func(d *Incoming) {
				if got := string(d.Packet[:d.Size]); got != "0123456789"[:size] {
					t.Errorf("%q in %d bytes", got, size)
				}
			})
		}
	})
}

// A datagram that cannot be sent is told of, and does not keep those behind it.
func TestOthersGoOn(t *testing.T) {
	eachWay(t, func(t *testing.T, many bool) {
		s := socket(t, many)
		var self, nowhere Name
		r, in := NewReceiver(s), room(s.Batch(), 100)
		if _, err := s.WriteToUDPAddrPort([]byte("hello"), s.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			t.Fatal(err)
		}
		take(t, r, in, 1, func(d *Incoming) { self = d.From })
		nowhere = self
		nowhere.addr = netip.AddrPortFrom(self.AddrPort().Addr(), 0)
		nowhere.size = 1
		var sender Sender
		sender.Add([]byte("first"), nil, &self)
		sender.Add([]byte("lost"), nil, &nowhere)
		sender.Add([]byte("last"), nil, &self)
		failures := 0
		sender.Send(s, func(to *Name, err error) {
			failures++
			if to != &nowhere || err == nil {
				t.Errorf("to %v: %v", to.AddrPort(), err)
			}
		})
		var got []string
		take(t, r, in, 2, func(d *Incoming) { got = append(got, string(d.Packet[:d.Size])) })
		if failures != 1 || !slices.Equal(got, []string{"first", "last"}) {
			t.Errorf("%d failures, %q", failures, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		sender.Add(nil, nil, &self)
		sender.Send(s, func(*Name, error) { failures++ })
		if _, err := r.Receive(in); err == nil || failures != 2 {
			t.Errorf("a closed socket: %v, %d failures", err, failures)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	s := socket(t, true)
	if !s.many {
		t.Skip("this system has no calls for many datagrams")
	}
	r, in, failed := NewReceiver(s), room(s.Batch(), 100), func(_ *Name, err error) { t.Error(err) }
	if _, err := s.WriteToUDPAddrPort([]byte("round and round"), s.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	var sender Sender
	n := testing.AllocsPerRun(100, func() {
		if n, err := r.Receive(in); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		sender.Add(in[0].Packet[:in[0].Size], nil, &in[0].From)
		sender.Send(s, failed)
	})
	if n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}
