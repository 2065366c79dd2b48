package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
)

// gate is a handler that lets questions below "wait." wait until it is opened.
type gate struct {
	open    chan struct{}
	arrived chan struct{} // one for each question that waits
}

func newGate() *gate { return &gate{open: make(chan struct{}), arrived: make(chan struct{}, 1<<16)} }

func (g *gate) double() *double {
	return &double{name: "gate", serve: func(ctx context.Context, x *plugin.Exchange) error {
		if !strings.HasSuffix(x.Query.NameString(), "wait.") {
			return x.Next(ctx)
		}
		if err := x.Block(); err != nil {
			return err
		}
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
		return x.Next(ctx)
	}}
}

// While a hundred queries wait, the socket is served; their replies come when they are ready.
func TestBlockHandsSocketOver(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{Shards: 1}, g.double().spec())
	const waiting = 100
	var clients sync.WaitGroup
	for i := range waiting {
		clients.Go(func() {
			client := dns.Client{Timeout: 20 * time.Second}
			name := fmt.Sprintf("q%d.wait.", i)
			got, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), r.addr("127.0.0.1"))
			if err != nil || text(got) != "x" || got.Question[0].Name != name {
				t.Errorf("%s: %v %v", name, err, got)
			}
		})
	}
	for range waiting {
		<-g.arrived
	}
	for range 100 {
		if got := text(r.ask("udp", "now.", dns.TypeA)); got != "x" {
			t.Fatal(got)
		}
	}
	if n := r.waiters.n.Load(); n != waiting {
		t.Errorf("%d queries count as waiting", n)
	}
	close(g.open)
	clients.Wait()
	eventually(t, "no query waits", func() bool { return r.waiters.n.Load() == 0 })
}

// Goroutines that served while others waited are kept, for a while and up to a bound, and a stop does not wait for them.
func TestReadersAreKept(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{Shards: 1, Grace: time.Minute}, g.double().spec())
	conn, err := net.Dial("udp", r.addr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packet, err := new(dns.Msg).SetQuestion("a.wait.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for range mostIdle + 50 {
		if _, err := conn.Write(packet); err != nil {
			t.Fatal(err)
		}
		<-g.arrived
	}
	close(g.open)
	var s *udpSocket
	for _, l := range r.listeners {
		s = l.udp[0]
	}
	idle := func(want int) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.idle) == want
		}
	}
	eventually(t, "as many goroutines are idle as may be", idle(mostIdle))
	eventually(t, "those that are not needed are gone", idle(0))
	r.ask("udp", "b.wait.", dns.TypeA)
	eventually(t, "one is idle", idle(1))
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// Past the bound a query that would wait is answered by SERVFAIL at once, and counted.
func TestShed(t *testing.T) {
	t.Parallel()
	g := newGate()
	r := start(t, ". {\n bind 127.0.0.1\n gate\n answer x\n}", Options{Waiting: 2}, g.double().spec())
	replies := make(chan string, 2)
	for range 2 {
		go func() {
			client := dns.Client{Timeout: 20 * time.Second}
			got, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.wait.", dns.TypeA), r.addr("127.0.0.1"))
			if err != nil {
				replies <- err.Error()
				return
			}
			replies <- text(got)
		}()
	}
	<-g.arrived
	<-g.arrived
	for _, network := range []string{"udp", "tcp"} {
		if got := text(r.ask(network, "b.wait.", dns.TypeA)); got != "SERVFAIL" {
			t.Errorf("%s: %s", network, got)
		}
	}
	if got := text(r.ask("udp", "now.", dns.TypeA)); got != "x" {
		t.Error(got)
	}
	if n := r.metric("nameplane_dns_shed_total"); n != 2 {
		t.Errorf("nameplane_dns_shed_total is %v", n)
	}
	close(g.open)
	for range 2 {
		if got := <-replies; got != "x" {
			t.Error(got)
		}
	}
}

// A client without EDNS takes 512 bytes by UDP (RFC 1035, section 4.2.1); what does not fit is cut at a record, with TC.
func TestTruncation(t *testing.T) {
	t.Parallel()
	many := &double{name: "many", serve: func(_ context.Context, x *plugin.Exchange) error {
		x.Reply.Start(&x.Query, dns.RcodeSuccess)
		for i := range 200 {
			x.Reply.Address(12, []byte{10, 0, 0, byte(i)}, 5)
		}
		return nil
	}}
	r := start(t, ". {\n bind 127.0.0.1\n many\n}", Options{}, many.spec())
	for _, test := range []struct {
		name, network string
		edns          uint16
		cut           bool
		least, most   int
	}{
		{name: "UDP", network: "udp", cut: true, least: 30, most: 31},
		{name: "UDP, size below the least", network: "udp", edns: 100, cut: true, least: 29, most: 30},
		{name: "UDP, 1232", network: "udp", edns: 1232, cut: true, least: 74, most: 75},
		{name: "UDP, 4096", network: "udp", edns: 4096, least: 200, most: 200},
		{name: "TCP", network: "tcp", least: 200, most: 200},
		{name: "TCP, 512", network: "tcp", edns: 512, least: 200, most: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
			if test.edns > 0 {
				m.SetEdns0(test.edns, false)
			}
			client := dns.Client{Net: test.network, UDPSize: 4096, Timeout: 10 * time.Second}
			got, _, err := client.Exchange(m, r.addr("127.0.0.1"))
			if err != nil {
				t.Fatal(err)
			}
			if got.Truncated != test.cut || len(got.Answer) < test.least || len(got.Answer) > test.most {
				t.Errorf("TC %t, %d records", got.Truncated, len(got.Answer))
			}
		})
	}
}

// A socket for all addresses answers from the one that was asked (RFC 1123, section 4.1.3.5), and tells it.
func TestSourceAddress(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the system chooses, and 127.0.0.2 may not exist")
	}
	where := &double{name: "where", serve: func(_ context.Context, x *plugin.Exchange) error {
		txt(x, x.Local.String()+" from "+x.Client.Addr().String())
		return nil
	}}
	r := start(t, ". {\n where\n}", Options{Shards: 1}, where.spec())
	hosts := []string{"127.0.0.1", "127.0.0.2", "127.45.6.7"}
	if probe, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
		probe.Close()
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		client := dns.Client{Timeout: 5 * time.Second} // it dials: only a reply from the same address comes in
		got, _, err := client.Exchange(new(dns.Msg).SetQuestion("a.", dns.TypeA), r.addr(host))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		local, client6, _ := strings.Cut(text(got), " from ")
		if want := netip.AddrPortFrom(netip.MustParseAddr(host), r.port).String(); local != want {
			t.Errorf("asked %s, was told %s", want, local)
		}
		if strings.Contains(client6, "::ffff:") {
			t.Errorf("the client's address is mapped: %s", client6)
		}
	}
}

// A query of more than 512 bytes is read whole.
func TestLargeQuery(t *testing.T) {
	t.Parallel()
	r := start(t, ". {\n bind 127.0.0.1\n answer x\n}", Options{})
	m := new(dns.Msg).SetQuestion("a.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_PADDING{Padding: make([]byte, 2000)})
	if got := text(r.exchange("udp", m)); got != "x" {
		t.Error(got)
	}
}

// The sockets share the load: with many flows, none is idle.
func TestShards(t *testing.T) {
	t.Parallel()
	if !sharded {
		t.Skip("one socket an address here")
	}
	var mu sync.Mutex
	seen := map[int]bool{}
	note := &double{name: "note", serve: func(ctx context.Context, x *plugin.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		seen[x.Shard] = true
		return x.Next(ctx)
	}}
	r := start(t, ". {\n bind 127.0.0.1\n note\n answer x\n}", Options{Shards: 3}, note.spec())
	eventually(t, "a query on each of three sockets", func() bool {
		r.ask("udp", "a.", dns.TypeA) // each time from another port
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 3
	})
	for shard := range seen {
		if shard < 0 || shard >= 3 {
			t.Errorf("shard %d", shard)
		}
	}
}
