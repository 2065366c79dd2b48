package deploy

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// ruleFile is Prometheus's file of rules.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []struct {
			Alert       string            `json:"alert"`
			Expr        string            `json:"expr"`
			For         string            `json:"for"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

// dashboard is what is looked at of Grafana's.
type dashboard struct {
	Panels []panel `json:"panels"`
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	GridPos struct{ H, W, X, Y int }
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
	Panels []panel `json:"panels"` // of a row
}

// all are the panels of the dashboard, those of rows among them.
func (d dashboard) all() (list []panel) {
	for _, p := range d.Panels {
		list = append(append(list, p), p.Panels...)
	}
	return list
}

// expressions are those of rules and panels, by their names.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, group := range load[ruleFile](t, "monitoring/alerts.yaml").Groups {
		for _, rule := range group.Rules {
			if rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("%s: no summary, or no severity", rule.Alert)
			}
			found[rule.Alert] = rule.Expr
		}
	}
	for _, p := range loadDashboard(t).all() {
		for _, target := range p.Targets {
			found[p.Title] += target.Expr + "\n"
		}
	}
	return found
}

func loadDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "monitoring/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Panels have numbers of their own and do not overlap; those of a row that is closed lie where they will when it is open.
func TestDashboardLayout(t *testing.T) {
	t.Parallel()
	d := loadDashboard(t)
	numbers := map[int]string{}
	for _, p := range d.all() {
		if other, taken := numbers[p.ID]; taken {
			t.Errorf("%s and %s have the number %d", p.Title, other, p.ID)
		}
		numbers[p.ID] = p.Title
	}
	groups := [][]panel{d.Panels}
	for _, p := range d.Panels {
		groups = append(groups, p.Panels)
	}
	for _, group := range groups {
		for i, p := range group {
			if p.GridPos.W == 0 || p.GridPos.H == 0 || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s is at %+v", p.Title, p.GridPos)
			}
			for _, other := range group[:i] {
				if p.covers(other) {
					t.Errorf("%s covers %s", p.Title, other.Title)
				}
			}
		}
	}
}

func (p panel) covers(q panel) bool {
	a, b := p.GridPos, q.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// What rules and panels ask for is what the program shows: an alert on a series that nobody exports never fires.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	shown := scrape(t) + scrapeForwarder(t)
	name := regexp.MustCompile(`\b(?:coredns|kubeproxy|nameplane|process)_[a-z0-9_]+`)
	all := expressions(t)
	if len(all) < 50 {
		t.Errorf("%d expressions, want those of the rules and of the dashboard", len(all))
	}
	for where, expression := range all {
		names := name.FindAllString(expression, -1)
		if len(names) == 0 && !strings.Contains(expression, "up{") {
			t.Errorf("%s asks for nothing: %s", where, expression)
		}
		for _, n := range names {
			if !regexp.MustCompile(`(?m)^` + n + `(\{| )`).MatchString(shown) {
				t.Errorf("%s: no series %s", where, n)
			}
		}
	}
}

// deadBlock has an upstream that nobody is at, since failures have series only once there was one.
const deadBlock = `
dead.example {
    bind 127.0.0.1
    forward . 127.0.0.1:9
}
`

// scrape is the metrics of the program, running with the shipped Corefile on the demo's manifests, after a name of the
// cluster, one that an upstream knows, and one whose upstream is dead.
func scrape(t *testing.T) string {
	t.Helper()
	upstream := answering(t)
	demo, err := filepath.Abs("../../cmd/nameplane/demo")
	if err != nil {
		t.Fatal(err)
	}
	text := onLoopback(t, corefileOf(t, corefileMap), "")
	text = regexp.MustCompile(`(?m)^( +)kubeconfig $`).ReplaceAllString(text, "${1}manifests "+demo)
	text = strings.Replace(text, "127.0.0.1:9 ", upstream+" ", 1)
	ports, err := peer.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	text += deadBlock
	page := "127.0.0.1:" + strconv.Itoa(ports[0])
	text = strings.Replace(text, "prometheus 127.0.0.1:0", "prometheus "+page, 1)
	address, _ := peer.StartServer(t, peer.Nameplane(t), text)
	var shown string
	eventually(t, "answers and metrics", func() bool {
		for _, name := range []string{"my-nginx.default.svc.cluster.local.", "example.com."} {
			reply, err := dns.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), address)
			if err != nil || len(reply.Answer) == 0 {
				return false
			}
		}
		// Its SERVFAIL takes a while: the failed health check behind it shows on the page.
		_, _ = dns.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("dead.example.", dns.TypeA), address)
		response, err := http.Get("http://" + page + "/metrics")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		shown = string(body)
		return err == nil && response.StatusCode == http.StatusOK && strings.Contains(shown, "\ncoredns_proxy_healthcheck_failures_total{")
	})
	return shown
}

// scrapeForwarder is the metrics of the forwarder, running with the shipped Corefile on the demo's manifests, but in the mode
// that has the most of them.
func scrapeForwarder(t *testing.T) string {
	t.Helper()
	demo, err := filepath.Abs("../../cmd/nameplane/demo")
	if err != nil {
		t.Fatal(err)
	}
	p := startForwarder(t, "mode relay\n        manifests "+demo, "127.96.0.0/16")
	var shown string
	eventually(t, "metrics of the relay", func() bool {
		get(p.livez)
		_, shown = get(p.metrics)
		return strings.Contains(shown, "\nnameplane_vip_relay_connections ")
	})
	return shown
}

// answering is an upstream that has an address for every name, and none for the question of loop.
func answering(t *testing.T) string {
	t.Helper()
	started := make(chan struct{})
	s := &dns.Server{Addr: "127.0.0.1:0", Net: "udp", NotifyStartedFunc: func() { close(started) }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		if q := query.Question[0]; q.Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: 60}, A: []byte{192, 0, 2, 1}}}
		}
		_ = w.WriteMsg(reply)
	})
	ended := make(chan error, 1)
	go func() { ended <- s.ListenAndServe() }()
	select {
	case <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return s.PacketConn.LocalAddr().String()
}
