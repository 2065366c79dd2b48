package cluster

import (
	"context"
	"net/netip"
	"time"
)

// Source fills a Store and keeps it current.
type Source interface {
	// Run lists and follows the cluster's objects into w until ctx ends; then it returns nil. Trouble on the way is
	// not an end: the source reports it with Writer.Fail and tries again.
	Run(ctx context.Context, w *Writer) error
	// String names the source for a log: a server's address, a folder.
	String() string
}

// Origin says where a cluster's objects come from. Exactly one of these counts, the first that is set: Manifests,
// Kubeconfig, Endpoint; with none of them it is the cluster that the process runs in.
type Origin struct {
	Manifests    []string       // files and folders
	ServiceCIDRs []netip.Prefix // cluster IPs for manifests that name none
	Kubeconfig   string         // file
	Context      string         // of the kubeconfig; empty for its current one
	Endpoint     string         // URL of an API server
	CertFile     string         // with Endpoint: client certificate, its key, and the server's authority
	KeyFile      string
	CAFile       string

	Labels          string // selector of services, endpoint slices and pods
	NamespaceLabels string // selector of namespaces

	QPS         float32 // requests a second to the API server; 0 for the client's default
	Burst       int
	MaxInflight int // requests at a time; 0 for no limit
}

// Telemetry is told what a Source asks of an API server. Nil functions are not called.
type Telemetry struct {
	// Request: a request ended after d; code is the HTTP status, or "<error>".
	Request func(verb, host, code string, d time.Duration)
	// Limited: a request waited d for the client's own rate limit.
	Limited func(verb, host string, d time.Duration)
}

// Opener makes the Source of an Origin. It opens and starts nothing; an error says what is wrong with the origin.
type Opener func(origin Origin, needs Needs, telemetry Telemetry) (Source, error)
