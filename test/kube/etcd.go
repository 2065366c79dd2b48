package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

func (c *Cluster) startEtcd(ctx context.Context) (err error) {
	url := fmt.Sprintf("http://127.0.0.1:%d", c.etcdPort)
	c.etcd, err = peer.Start(c.dir, filepath.Join(c.bin, "etcd"),
		"--data-dir="+filepath.Join(c.dir, "etcd"),
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls=http://127.0.0.1:0",
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
	if err != nil {
		return err
	}
	return c.etcd.Await(ctx, 30*time.Second, func(ctx context.Context) error {
		_, err := c.revision(ctx)
		return err
	})
}

// CompactEtcd makes every resource version that a client has seen so far too old. A watch that is opened on one
// afterwards, once the API server was restarted and lost what it remembers itself, ends in 410 Gone.
func (c *Cluster) CompactEtcd(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The newest revision survives a compaction, so that one nobody has seen is needed.
	if _, err := c.callEtcd(ctx, "put", map[string]any{"key": []byte("/nameplane-test/compaction")}); err != nil {
		t.Fatal(err)
	}
	newest, err := c.revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.callEtcd(ctx, "compaction", map[string]any{"revision": newest, "physical": true}); err != nil {
		t.Fatal(err)
	}
}

// revision asks for etcd's newest revision, which is also the newest resource version of the API server.
func (c *Cluster) revision(ctx context.Context) (int64, error) {
	return c.callEtcd(ctx, "range", map[string]any{"key": []byte{0}, "count_only": true})
}

// callEtcd calls a method of etcd's KV service through its JSON gateway, which spares the tests etcd's client library.
// It returns the revision in the reply's header.
func (c *Cluster) callEtcd(ctx context.Context, method string, request any) (int64, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/v3/kv/%s", c.etcdPort, method)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	reply, err := http.DefaultClient.Do(post)
	if err != nil {
		return 0, fmt.Errorf("etcd %s: %w", method, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("etcd %s: %s %s %w", method, reply.Status, text, err)
	}
	var answer struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, fmt.Errorf("etcd %s: %w", method, err)
	}
	return strconv.ParseInt(answer.Header.Revision, 10, 64)
}
