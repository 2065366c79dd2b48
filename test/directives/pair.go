package directives

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
)

// Case is one server block of both servers, and what they are asked. In Body and Ask "@" stands for the block's zone.
type Case struct {
	Name string
	Body string   // without "bind"
	Ask  []string // "NAME TYPE", in turn
	// Different says why replies are not those of CoreDNS, by "PART/WAY". Each has to differ somewhere.
	Different map[string]string
}

// ways are how each question is asked.
func ways() []way {
	return []way{
		{name: "plain", net: "udp"},
		{name: "EDNS", net: "udp", size: 1232},
		{name: "TCP", net: "tcp", size: 4096, do: true},
	}
}

type way struct {
	name, net string
	size      uint16
	do        bool
	options   []dns.EDNS0
}

// LocalOption is the EDNS option, with the data "client", that questions by the way "option" have.
const LocalOption = 0xffee

// Compare starts both servers with all cases in one Corefile and asks them everything in every way.
func Compare(t *testing.T, cases []Case, global string) {
	t.Helper()
	peer.E2E(t)
	var corefile strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&corefile, "%s {\nbind 127.0.0.1\n%s\n}\n", zone(i), strings.ReplaceAll(c.Body, "@", zone(i)))
	}
	corefile.WriteString(global)
	theirs, ours := peer.StartCoreDNS(t, corefile.String()), peer.StartNameplane(t, corefile.String())
	all := append(ways(), way{name: "option", net: "udp", size: 1232, options: []dns.EDNS0{
		&dns.EDNS0_LOCAL{Code: LocalOption, Data: []byte("client")}, &dns.EDNS0_LOCAL{Code: LocalOption - 1, Data: []byte("other")}}})
	asked, agreed, declared := 0, 0, 0
	for i, c := range cases {
		differed := map[string]bool{}
		for _, question := range c.Ask {
			question = strings.ReplaceAll(question, "@", zone(i))
			for _, w := range all {
				asked++
				parts := Differences(w.ask(t, theirs, question), w.ask(t, ours, question))
				if len(parts) == 0 {
					agreed++
					continue
				}
				known := true
				for _, part := range parts {
					name, _, _ := strings.Cut(part, ":")
					name += "/" + w.name
					if _, said := c.Different[name]; said {
						differed[name] = true
						continue
					}
					known = false
					t.Errorf("%s: %s, %s: %s", c.Name, question, w.name, part)
				}
				if known {
					declared++
				}
			}
		}
		for part, why := range c.Different {
			if !differed[part] {
				t.Errorf("%s: %s is said to differ (%s), but does not", c.Name, part, why)
			}
		}
	}
	t.Logf("%d cases, %d questions: %d replies agree, %d differ as declared", len(cases), asked, agreed, declared)
}

func zone(i int) string { return "c" + strconv.Itoa(i) + ".test" }

// ask is the reply to a question; nil for none.
func (w way) ask(t *testing.T, server, question string) *dns.Msg {
	t.Helper()
	name, qtype, _ := strings.Cut(question, " ")
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[qtype])
	m.Id = 4711 // the same for both
	if w.size > 0 {
		m.SetEdns0(w.size, w.do)
		m.IsEdns0().Option = w.options
	}
	client := dns.Client{Net: w.net, Timeout: 3 * time.Second, UDPSize: dns.MaxMsgSize}
	for range 3 { // loopback loses packets when a buffer is full
		if reply, _, err := client.Exchange(m, server); err == nil {
			return reply
		}
	}
	return nil
}

// Verdict is what a server is to say of the body of a server block.
type Verdict struct {
	Name     string
	Body     string
	Accepted bool
}

// CompareVerdicts asks both servers whether they take each body, one Corefile for each that is to be refused, and one for all
// others.
func CompareVerdicts(t *testing.T, verdicts []Verdict) {
	t.Helper()
	peer.E2E(t)
	coredns, nameplane := peer.CoreDNS(t), peer.Nameplane(t)
	var taken strings.Builder
	var refused []Verdict
	for i, v := range verdicts {
		if v.Accepted {
			fmt.Fprintf(&taken, "%s {\nbind 127.0.0.1\n%s\n}\n", zone(i), v.Body)
		} else {
			refused = append(refused, v)
		}
	}
	if theirs, log := accepts(t, coredns, taken.String()); !theirs {
		t.Errorf("CoreDNS does not accept all that is to be accepted: %s", log)
	}
	if ours, log := accepts(t, nameplane, taken.String()); !ours {
		t.Errorf("Nameplane does not accept all that is to be accepted: %s", log)
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, v := range refused {
		for _, server := range []struct{ name, bin string }{{"CoreDNS", coredns}, {"Nameplane", nameplane}} {
			running.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if taken, _ := accepts(t, server.bin, ".:0 {\nbind 127.0.0.1\n"+v.Body+"\n}\n"); taken {
					t.Errorf("%s: %s accepts %q", v.Name, server.name, v.Body)
				}
			})
		}
	}
	running.Wait()
	t.Logf("%d verdicts, %d of them to refuse", len(verdicts), len(refused))
}

// accepts starts a server with a Corefile; it ends before the function returns.
func accepts(t *testing.T, bin, corefile string) (ok bool, log string) {
	dir := t.TempDir()
	path := filepath.Join(dir, "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o644); err != nil {
		t.Error(err)
		return false, ""
	}
	err := peer.RetryPorts(func() error {
		ports, err := peer.FreePorts(1)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(corefile, ".:0 {", fmt.Sprintf(".:%d {", ports[0]))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		p, err := peer.Start(dir, bin, "-conf", path, "-dns.port", strconv.Itoa(ports[0]))
		if err != nil {
			return err
		}
		err = p.Await(t.Context(), 30*time.Second, func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])))
			if err != nil {
				return err
			}
			return conn.Close()
		})
		log = p.Tail(5)
		if killed := p.Kill(); err == nil {
			return killed
		}
		return err
	})
	return err == nil, log
}
