package deploy

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// running is the program with the overlay's Corefile.
type running struct {
	process               *peer.Process
	corefile              string
	ready, livez, metrics string // URLs
}

// startForwarder runs it in another mode, which needs no privileges, and with the variables that its pod would have.
func startForwarder(t *testing.T, mode, serviceCIDR string) running {
	t.Helper()
	ports, err := peer.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	text := corefileOf(t, forwarderMap)
	for _, edit := range []struct{ old, new string }{
		{"mode nftables", mode}, {"{$NODE_NAME}", vipNode}, {"{$SERVICE_CIDR}", serviceCIDR}, {"{$POD_CIDR}", "10.244.0.0/16"},
		{"prometheus :9254", fmt.Sprintf("prometheus 127.0.0.1:%d", ports[0])},
		{"127.0.0.1:10267", fmt.Sprintf("127.0.0.1:%d", ports[1])}, {"127.0.0.1:10266", fmt.Sprintf("127.0.0.1:%d", ports[2])},
	} {
		if strings.Count(text, edit.old) != 1 {
			t.Fatalf("%q is not once in %s", edit.old, text)
		}
		text = strings.Replace(text, edit.old, edit.new, 1)
	}
	path := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, process := peer.StartServer(t, peer.Nameplane(t), text)
	url := func(port int, path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", port, path) }
	return running{
		process: process, corefile: path,
		metrics: url(ports[0], "/metrics"), ready: url(ports[1], "/ready"), livez: url(ports[2], "/livez"),
	}
}

func (p running) wantFrontends(t *testing.T, n int) {
	t.Helper()
	line := fmt.Sprintf("\nnameplane_vip_frontends{kind=\"ClusterIP\"} %d\n", n)
	eventually(t, line, func() bool { _, body := get(p.metrics); return strings.Contains(body, line) })
}

// wantExplained asks the subcommands that README.md has operators run in the pod.
func (p running) wantExplained(t *testing.T) {
	t.Helper()
	for _, ask := range []struct {
		args  []string
		tells string
	}{
		{args: []string{"plan", "-conf", p.corefile}, tells: vipAddr + ":80/tcp"},
		{args: []string{"explain", "-conf", p.corefile, "-from", "10.244.1.7", vipAddr + ":80/tcp"}, tells: "10.244.1.7:8080"},
	} {
		out, err := exec.CommandContext(t.Context(), peer.Nameplane(t), append([]string{"vip"}, ask.args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), ask.tells) {
			t.Errorf("nameplane vip %s: %v\n%s", strings.Join(ask.args, " "), err, out)
		}
	}
}

// get is the answer of a page; 0 for none.
func get(url string) (code int, body string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}
