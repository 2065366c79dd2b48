package demo

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// transcript is one command of README.md and what it says that is printed.
type transcript struct {
	command string
	printed []string
}

// TestReadmeTranscripts does what README.md shows: each dig and each curl must print what stands below it.
func TestReadmeTranscripts(t *testing.T) {
	server := startDemo(t, copyDemo(t))
	found := transcripts(t)
	if len(found) < 6 {
		t.Fatalf("README.md has %d dig transcripts, want the demo's services", len(found))
	}
	for _, shown := range found {
		t.Run(shown.command, func(t *testing.T) {
			if strings.HasPrefix(shown.command, "curl ") {
				server.curl(t, shown)
				return
			}
			got := server.dig(t, shown.command)
			if want := shown.printed; !slices.Equal(sorted(got), sorted(want)) {
				t.Errorf("it prints\n%s\nREADME.md says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// transcripts are README.md's console blocks, cut at their prompts.
func transcripts(t *testing.T) (found []transcript) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside || line == "":
		case strings.HasPrefix(line, "$ "):
			found = append(found, transcript{command: line[2:]})
		default:
			last := &found[len(found)-1]
			last.printed = append(last.printed, fields(line))
		}
	}
	return slices.DeleteFunc(found, func(s transcript) bool {
		return !strings.HasPrefix(s.command, "dig ") && !strings.HasPrefix(s.command, "curl ")
	})
}

// fields folds white space, and what differs from query to query: the ID.
func fields(line string) string {
	words := strings.Fields(line)
	for i := 1; i < len(words); i++ {
		if words[i-1] == "id:" {
			words[i] = "ID"
		}
	}
	return strings.Join(words, " ")
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

// dig does what the command does: a machine with nothing but Go has no dig.
func (s *demo) dig(t *testing.T, command string) []string {
	t.Helper()
	question, grep, found := strings.Cut(command, " | grep ")
	name, qtype := "", dns.TypeA
	words := strings.Fields(question)[1:]
	for i, word := range words {
		switch {
		case strings.HasPrefix(word, "@"), strings.HasPrefix(word, "+"), word == "-p", i > 0 && words[i-1] == "-p":
		case word == "-x":
			qtype = dns.TypePTR
		case dns.StringToType[word] != 0:
			qtype = dns.StringToType[word]
		case qtype == dns.TypePTR:
			reverse, err := dns.ReverseAddr(word)
			if err != nil {
				t.Fatal(err)
			}
			name = reverse
		default:
			name = dns.Fqdn(word)
		}
	}
	reply := s.ask(t, name, qtype)
	if found {
		header := fmt.Sprintf(";; ->>HEADER<<- opcode: QUERY, status: %s, id: ID", dns.RcodeToString[reply.Rcode])
		if !strings.Contains(header, grep) {
			t.Fatalf("%q does not stand in %q", grep, header)
		}
		return []string{header}
	}
	var lines []string
	for _, rr := range reply.Answer {
		lines = append(lines, fields(rr.String()))
	}
	return lines
}

// curl does what "curl http://$(dig ... +short NAME):PORT/" does, again and again: who answers is left to chance, and each of
// the lines printed must come.
func (s *demo) curl(t *testing.T, shown transcript) {
	t.Helper()
	onlyLinux(t)
	m := regexp.MustCompile(`^curl http://\$\((dig .* \+short) (\S+)\)(:\d+/)$`).FindStringSubmatch(shown.command)
	if m == nil {
		t.Fatal("this is no command that the test knows")
	}
	reply := s.ask(t, dns.Fqdn(m[2]), dns.TypeA)
	if len(reply.Answer) != 1 {
		t.Fatalf("got %v, want one address", reply.Answer)
	}
	url := "http://" + reply.Answer[0].(*dns.A).A.String() + m[3]
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	missing := map[string]bool{}
	for _, line := range shown.printed {
		missing[line] = true
	}
	for tries := 0; len(missing) > 0; tries++ {
		if tries == 100 {
			t.Fatalf("%s never answered %v", url, missing)
		}
		delete(missing, get(t, client, url))
	}
}

// onlyLinux skips where the demo's addresses are not the machine's.
func onlyLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	reply, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fields(string(text))
}
