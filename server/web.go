package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// page is an HTTP path of an instance.
type page struct {
	addr, path, directive string
	handler               http.Handler
	at                    corefile.Position
}

// pager is the plugin.Web of one directive.
type pager struct {
	made      *instance
	directive string
}

// Handle implements plugin.Web.
func (p pager) Handle(at corefile.Position, addr, path string, h http.Handler) error {
	for _, have := range p.made.pages {
		if have.addr != addr || have.path != path {
			continue
		}
		if same, ok := have.handler.(plugin.Page); ok && same.Same(h) {
			return nil
		}
		return &corefile.Error{Pos: at, Problem: fmt.Sprintf("%s: %s on %s is already served by %s at %s",
			p.directive, path, addr, have.directive, have.at)}
	}
	fresh := &page{addr, path, p.directive, h, at}
	for _, have := range p.made.pages {
		if have.addr == addr && have.tls().Identity() != fresh.tls().Identity() {
			return &corefile.Error{Pos: at, Problem: fmt.Sprintf("%s: %s is served by %s at %s, with another tls option or without one",
				p.directive, addr, have.directive, have.at)}
		}
	}
	p.made.pages = append(p.made.pages, fresh)
	return nil
}

// tls is that of the page's address; nil for one in the clear.
func (p *page) tls() *plugin.TLS {
	if secure, ok := p.handler.(plugin.SecurePage); ok {
		return secure.TLS()
	}
	return nil
}

// web is the process's HTTP listeners.
type web struct {
	log     *slog.Logger
	sockets map[string]*httpSocket // by address
}

// httpSocket is an HTTP listener whose paths and certificate change with the instance.
type httpSocket struct {
	paths  atomic.Pointer[http.ServeMux]
	tls    atomic.Pointer[plugin.TLS] // nil for connections in the clear
	server *http.Server
	socket net.Listener
	done   chan struct{}
}

// ServeHTTP implements http.Handler.
func (s *httpSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.paths.Load().ServeHTTP(w, r)
}

// httpListener is what the HTTP server of s accepts connections from.
type httpListener struct {
	net.Listener
	of *httpSocket
}

// Accept implements net.Listener. The handshake is left to the goroutine that serves the connection.
func (l httpListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if secure := l.of.tls.Load(); secure != nil {
		return tls.Server(conn, secure.Config()), nil
	}
	return conn, nil
}

// open opens and serves the addresses of an instance that are not open yet: an instance that waits for its data can be
// asked whether it is ready. After an error none of them is open.
func (w *web) open(i *instance) (map[string]*httpSocket, error) {
	opened := map[string]*httpSocket{}
	var problems corefile.Errors
	for addr, show := range i.screens() {
		if w.sockets[addr] != nil {
			continue
		}
		socket, err := net.Listen("tcp", addr)
		if err != nil {
			problems.Add(show.first.at, "%s: %v", show.first.directive, err)
			continue
		}
		s := &httpSocket{socket: socket, done: make(chan struct{})}
		s.show(show)
		w.serve(s)
		opened[addr] = s
	}
	if err := problems.Err(); err != nil {
		w.closeAll(opened)
		return nil, err
	}
	return opened, nil
}

// screen is all that an instance shows at one address.
type screen struct {
	first *page
	paths *http.ServeMux
}

// screens are those of an instance, by address.
func (i *instance) screens() map[string]screen {
	byAddr := map[string]screen{}
	for _, p := range i.pages {
		s, ok := byAddr[p.addr]
		if !ok {
			s = screen{first: p, paths: http.NewServeMux()}
			byAddr[p.addr] = s
		}
		s.paths.Handle(p.path, p.handler)
	}
	return byAddr
}

func (s *httpSocket) show(what screen) {
	s.tls.Store(what.first.tls())
	s.paths.Store(what.paths)
}

func (w *web) serve(s *httpSocket) {
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a profile of a minute must get through
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    1 << 14,
		ErrorLog:          slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(httpListener{s.socket, s}); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("an HTTP listener ended", "address", s.socket.Addr().String(), "error", err)
		}
	}()
}

// swap makes the paths of an instance those that are served; opened is what open returned for it. Addresses that it
// does not name are closed.
func (w *web) swap(i *instance, opened map[string]*httpSocket) {
	screens := i.screens()
	unused := map[string]*httpSocket{}
	for addr, s := range w.sockets {
		show, ok := screens[addr]
		if !ok {
			unused[addr] = s
			delete(w.sockets, addr)
			continue
		}
		s.show(show)
	}
	maps.Copy(w.sockets, opened)
	w.closeAll(unused)
}

// closeAll ends listeners; requests under way get a moment.
func (w *web) closeAll(sockets map[string]*httpSocket) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for addr, s := range sockets {
		if err := s.server.Shutdown(ctx); err != nil {
			w.log.Debug("HTTP requests were cut off", "address", addr, "error", err)
			s.server.Close()
		}
		<-s.done
	}
}
