package vip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// balancers answers load balancers that ask whether this node has an endpoint of a service (spec.healthCheckNodePort). The
// port is the node's own, so there is a listener for each service.
type balancers struct {
	healthy func() bool // of the forwarder
	servers map[netip.AddrPort]*nodeServer
	said    string // the last error
}

// nodeServer is the listener of one service on one address.
type nodeServer struct {
	service atomic.Pointer[plan.Service]
	healthy func() bool
	http    *http.Server
	done    chan struct{}
}

func newBalancers(healthy func() bool) *balancers {
	return &balancers{healthy: healthy, servers: map[netip.AddrPort]*nodeServer{}}
}

// answer makes these services, by port, the ones that are answered for. After an error the others are all the same; the
// same error is told once.
func (b *balancers) answer(hosts []netip.Addr, asked map[uint16]*plan.Service) error {
	wanted := map[netip.AddrPort]*plan.Service{}
	for port, s := range asked {
		for _, host := range hosts {
			wanted[netip.AddrPortFrom(host, port)] = s
		}
	}
	for at, server := range b.servers {
		if wanted[at] == nil {
			server.close()
			delete(b.servers, at)
		}
	}
	var problems []string
	for at, s := range wanted {
		if server := b.servers[at]; server != nil {
			server.service.Store(s)
			continue
		}
		server, err := listen(at, s, b.healthy)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", fullName(s), err))
			continue
		}
		b.servers[at] = server
	}
	slices.Sort(problems)
	text := strings.Join(problems, "; ")
	news := text != b.said
	b.said = text
	if !news || text == "" {
		return nil
	}
	return errors.New(text)
}

func (b *balancers) close() {
	for _, server := range b.servers {
		server.close()
	}
	clear(b.servers)
}

func listen(at netip.AddrPort, s *plan.Service, healthy func() bool) (*nodeServer, error) {
	socket, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, err
	}
	n := &nodeServer{healthy: healthy, done: make(chan struct{})}
	n.service.Store(s)
	n.http = &http.Server{Handler: n, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14}
	go func() {
		defer close(n.done)
		_ = n.http.Serve(socket) // it ends by close alone
	}()
	return n, nil
}

func (n *nodeServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if n.http.Shutdown(ctx) != nil {
		n.http.Close()
	}
	<-n.done
}

// ServeHTTP answers by 200 when this node has a ready endpoint, else by 503; the weight is for balancers that spread by it.
func (n *nodeServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s, healthy := n.service.Load(), n.healthy()
	code := http.StatusServiceUnavailable
	if s.Health.Local > 0 && healthy {
		code = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(s.Health.Local))
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"service":{"namespace":%q,"name":%q},"localEndpoints":%d,"serviceProxyHealthy":%t}`,
		s.Namespace, s.Name, s.Health.Local, healthy)
}

// hosts are the addresses of this node on which load balancers ask: those that NodePorts answer on. While none is known it is
// the unspecified one, which stands for all.
func hosts(policy *plan.Policy) (list []netip.Addr) {
	if len(policy.NodePortAddrs) == 0 {
		return []netip.Addr{netip.IPv6Unspecified()}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		own, err := netip.ParsePrefix(a.String())
		if err == nil && slices.ContainsFunc(policy.NodePortAddrs, func(p netip.Prefix) bool { return p.Contains(own.Addr()) }) {
			list = append(list, own.Addr())
		}
	}
	return list
}
