package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/cluster/origin"
	"github.com/nameplane/nameplane/server/corefile"
)

// pods plays the pods of the demo, which has no containers: every endpoint that is a loopback address gets a server that says
// who it is, by HTTP for TCP and in a datagram for UDP. What the manifests add or take away comes and goes.
type pods struct {
	lease   *cluster.Lease
	log     *slog.Logger
	changed chan struct{} // holds one when something did
	stages  map[place]io.Closer
	failed  map[place]bool
}

// place is where a pod is to be found.
type place struct {
	at       netip.AddrPort
	protocol cluster.Protocol
}

// newPods plays the pods of the cluster that the directive kubernetes of a Corefile names.
func newPods(file *corefile.File, pool *cluster.Pool, log *slog.Logger) (*pods, error) {
	lines := file.Lines("kubernetes")
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: nameplane demo plays the pods of the directive kubernetes, which does not stand there", file.Name)
	}
	from, err := origin.Of(lines[0], filepath.Dir(file.Name))
	if err != nil {
		return nil, err
	}
	if len(from.Manifests) == 0 {
		return nil, lines[0].Errorf("nameplane demo plays the pods of manifests; a cluster has its own")
	}
	lease, err := pool.Lease(from, cluster.Needs{Endpoints: true, PodNames: true}, cluster.Telemetry{})
	if err != nil {
		return nil, lines[0].Errorf("%v", err)
	}
	return &pods{
		lease: lease, log: log.WithGroup("demo"), changed: make(chan struct{}, 1),
		stages: map[place]io.Closer{}, failed: map[place]bool{},
	}, nil
}

// run plays until ctx ends.
func (p *pods) run(ctx context.Context) error {
	defer p.lease.Release()
	defer p.close()
	defer p.lease.Writer.Watch(func(cluster.Change) {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	})()
	if err := p.lease.Start(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
			p.cast()
		}
	}
}

// cast opens and closes servers, so that there is one for each endpoint.
func (p *pods) cast() {
	wanted := p.roles()
	for at, stage := range p.stages {
		if _, ok := wanted[at]; !ok {
			stage.Close()
			delete(p.stages, at)
		}
	}
	var problems []error
	for at, name := range wanted {
		if p.stages[at] != nil || p.failed[at] {
			continue
		}
		stage, err := play(name, at)
		if err != nil {
			p.failed[at] = true
			problems = append(problems, err)
			continue
		}
		p.stages[at] = stage
	}
	if len(problems) > 0 {
		p.log.Info("not all pods are played; below port 1024 that takes privileges", "not", len(problems), "first", problems[0])
	}
}

// roles are the pods by their places.
func (p *pods) roles() map[place]string {
	wanted := map[place]string{}
	p.lease.Store.Services(func(svc *cluster.Service) {
		for i := range svc.Endpoints.List {
			e := &svc.Endpoints.List[i]
			if !e.Addr.Netip().IsLoopback() {
				continue
			}
			for _, port := range svc.Endpoints.Ports[e.PortsSet] {
				at := place{netip.AddrPortFrom(e.Addr.Netip(), port.Number), port.Protocol}
				wanted[at] = cmp.Or(svc.Endpoints.Name(e, true), wanted[at], svc.Name())
			}
		}
	})
	return wanted
}

func (p *pods) close() {
	for _, stage := range p.stages {
		stage.Close()
	}
}

// play opens the server of one pod.
func play(name string, at place) (io.Closer, error) {
	says := fmt.Sprintf("%s at %s", name, at.at)
	switch at.protocol {
	case cluster.TCP:
		socket, err := net.Listen("tcp", at.at.String())
		if err != nil {
			return nil, err
		}
		web := &http.Server{ReadTimeout: 5 * time.Second, MaxHeaderBytes: 1 << 14, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, says)
		})}
		go func() { _ = web.Serve(socket) }() // it ends by Close alone
		return web, nil
	case cluster.UDP:
		socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at.at))
		if err != nil {
			return nil, err
		}
		go echo(socket, says)
		return socket, nil
	}
	return nil, fmt.Errorf("%s over %s is not played", says, at.protocol)
}

// echo answers datagrams by what they hold, behind the name of the pod.
func echo(socket *net.UDPConn, says string) {
	buffer := make([]byte, 2048)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = socket.WriteToUDPAddrPort(fmt.Appendf(nil, "%s: %s", says, buffer[:n]), from) // the next one may get through
		}
	}
}
