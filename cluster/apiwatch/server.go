package apiwatch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/nameplane/nameplane/cluster"
)

// server is the API server as we ask it. It goes by net/http and not by client-go's REST client, because that one
// decodes whole objects; configuration, credentials and their renewal are client-go's.
type server struct {
	origin    cluster.Origin
	version   string // our own, for the user agent
	telemetry cluster.Telemetry
	limiter   flowcontrol.RateLimiter
	calm      time.Duration // between renewals of the link
	conns     *connrotation.ConnectionTracker

	mu      sync.Mutex
	link    *link     // guarded by mu
	renewed time.Time // guarded by mu
}

// link is a set of connections with one set of credentials.
type link struct {
	base   *url.URL
	client *http.Client
	pool   *http.Transport
}

func newServer(origin cluster.Origin, telemetry cluster.Telemetry, version string) (*server, error) {
	s := &server{origin: origin, version: version, telemetry: telemetry, calm: 10 * time.Second, conns: connrotation.NewConnectionTracker()}
	qps, burst := rest.DefaultQPS, rest.DefaultBurst
	if origin.QPS > 0 {
		qps = origin.QPS
	}
	if origin.Burst > 0 {
		burst = origin.Burst
	}
	s.limiter = flowcontrol.NewTokenBucketRateLimiter(qps, burst)
	var err error
	s.link, err = s.connect()
	return s, err
}

// connect makes a link from the configuration as it is now. The pool is our own rather than the one that client-go
// shares by configuration: that one is never closed, and leaves a goroutine for every client certificate.
func (s *server) connect() (*link, error) {
	config, err := load(s.origin)
	if err != nil {
		return nil, err
	}
	config.UserAgent = fmt.Sprintf("nameplane/%s (%s/%s)", s.version, runtime.GOOS, runtime.GOARCH)
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Host, err)
	}
	shape, err := config.TransportConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Host, err)
	}
	pool, err := s.newPool(shape)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Host, err)
	}
	wrapped, err := transport.HTTPWrappersForConfig(shape, pool)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Host, err)
	}
	return &link{base: base, client: &http.Client{Transport: wrapped}, pool: pool}, nil
}

// newPool finds a dead connection within 45 seconds, by pings of HTTP/2 and, where a server has only HTTP/1.1, by those
// of TCP; else a watch on it would be silent for a quarter of an hour. The receive buffer bounds what waits in memory
// while the store is being filled.
func (s *server) newPool(shape *transport.Config) (*http.Transport, error) {
	secure, err := transport.TLSConfigFor(shape)
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 3},
	}).DialContext
	if shape.DialHolder != nil { // an exec plugin's, which ends connections when it has new credentials
		dial = shape.DialHolder.Dial
	}
	pool := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         connrotation.NewDialerWithTracker(dial, s.conns).DialContext,
		TLSClientConfig:     secure,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  shape.DisableCompression,
		ForceAttemptHTTP2:   true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:           30 * time.Second,
			PingTimeout:               15 * time.Second,
			MaxReceiveBufferPerStream: 256 << 10,
		},
	}
	if shape.Proxy != nil {
		pool.Proxy = shape.Proxy
	}
	return pool, nil
}

// get asks for a path. A result without an error has status 200 and a body of the media type.
func (s *server) get(ctx context.Context, path string, query url.Values, media string) (*http.Response, error) {
	l := s.current()
	target := *l.base
	target.Path, target.RawQuery = l.base.JoinPath(path).Path, query.Encode()
	if err := s.throttle(ctx, target.Host); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	accept := media
	if media != inJSON { // JSON is for refusals by something on the way that speaks nothing else
		accept += "," + inJSON
	}
	request.Header.Set("Accept", accept)
	began := time.Now()
	response, err := l.client.Do(request)
	s.observe(target.Host, response, time.Since(began))
	if err != nil {
		return nil, unwrapURL(err)
	}
	if err := checkResponse(response, media); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

func (s *server) throttle(ctx context.Context, host string) error {
	began := time.Now()
	err := s.limiter.Wait(ctx)
	if s.telemetry.Limited != nil {
		s.telemetry.Limited(http.MethodGet, host, time.Since(began))
	}
	return err
}

// observe tells the telemetry of a request whose answer began, or failed to: a watch ends by the clock.
func (s *server) observe(host string, response *http.Response, d time.Duration) {
	if s.telemetry.Request == nil {
		return
	}
	code := "<error>"
	if response != nil {
		code = strconv.Itoa(response.StatusCode)
	}
	s.telemetry.Request(http.MethodGet, host, code, d)
}

func (s *server) current() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// renew makes the link anew from its files, after the server, or we, found that the credentials are not good: they may
// have been replaced. A broken file leaves the old link.
func (s *server) renew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.renewed) < s.calm { // several followers find it at the same time
		return nil
	}
	s.renewed = time.Now()
	fresh, err := s.connect()
	if err != nil {
		return err
	}
	s.link.pool.CloseIdleConnections()
	s.link = fresh
	return nil
}

// close ends all connections, once nobody follows. Those of HTTP/2 may be a moment from idle, which is why it does not
// leave it at the idle ones.
func (s *server) close() {
	s.current().pool.CloseIdleConnections()
	s.conns.CloseAll()
}

// String is the server's URL.
func (s *server) String() string { return s.current().base.Redacted() }
