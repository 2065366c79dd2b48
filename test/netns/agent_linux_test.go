package netns

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nameplane/nameplane/test/peer"
)

// Agent is what tests command inside one machine: it serves, asks and runs programs there. Its exported methods are
// called by net/rpc over standard input and output; it ends when those do, that is with the test.
type Agent struct {
	name string

	mu    sync.Mutex
	held  map[int]*held
	procs map[string]*peer.Process
}

// held is a connection that stays open from call to call.
type held struct {
	net.Conn
	reader *bufio.Reader
}

// Nothing stands for arguments and results that there are none of.
type Nothing struct{}

func runAgent() int {
	agent := &Agent{name: os.Args[1], held: map[int]*held{}, procs: map[string]*peer.Process{}}
	server := rpc.NewServer()
	if err := server.RegisterName("Agent", agent); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
	for _, p := range agent.procs {
		_ = p.Kill()
	}
	return 0
}

type stdio struct {
	io.Reader
	io.WriteCloser
}

// Ports are those to serve on, by protocol; Web is served by HTTP.
type Ports struct{ TCP, UDP, Web []int }

// Serve answers on ports of all addresses, who it is and whom it sees.
func (a *Agent) Serve(ports Ports, _ *Nothing) error {
	for _, port := range append(ports.TCP, ports.Web...) {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		if slices.Contains(ports.Web, port) {
			go func() { _ = http.Serve(l, http.HandlerFunc(a.page)) }()
		} else {
			go a.serveTCP(l)
		}
	}
	for _, port := range ports.UDP {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			return err
		}
		go a.serveUDP(conn)
	}
	return nil
}

func (a *Agent) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if _, err := fmt.Fprintln(conn, a.greeting(conn.LocalAddr(), conn.RemoteAddr())); err == nil {
				_, _ = io.Copy(conn, conn)
			}
		}()
	}
}

func (a *Agent) serveUDP(conn *net.UDPConn) {
	buffer := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		_, _ = conn.WriteToUDPAddrPort(append([]byte(a.greeting(conn.LocalAddr(), net.UDPAddrFromAddrPort(from))+"\n"), buffer[:n]...), from)
	}
}

func (a *Agent) page(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "<h1>Welcome to nginx!</h1>\n<p>%s</p>\n", a.name)
}

// greeting is the server's name, with the port unless it is the usual one, and the address under which it sees its client.
func (a *Agent) greeting(local, from net.Addr) string {
	name := a.name
	if at := netip.MustParseAddrPort(local.String()); at.Port() != 8080 {
		name += fmt.Sprintf(":%d", at.Port())
	}
	return name + " " + netip.MustParseAddrPort(from.String()).Addr().Unmap().String()
}

// Probe is a number of questions to one address, each over a connection of its own.
type Probe struct {
	Network string // tcp or udp
	Target  string // address:port
	Source  int    // local port; 0 for any free one
	Count   int    // 0 for 1
	Workers int    // at once; 0 for 1
	Timeout time.Duration
	Pace    time.Duration // each of the workers waits so long between two questions
}

// Tally is what became of the questions of a Probe.
type Tally struct {
	Names    map[string]int // answers, by who gave them
	Peers    map[string]int // answers, by the client's address that the server saw
	Failures map[string]int // refused, timeout, ...
	Slowest  time.Duration  // of the answers
}

// Ask asks.
func (a *Agent) Ask(p Probe, out *Tally) error {
	*out = Tally{Names: map[string]int{}, Peers: map[string]int{}, Failures: map[string]int{}}
	jobs := make(chan Nothing)
	var workers sync.WaitGroup
	var mu sync.Mutex
	for range max(1, p.Workers) {
		workers.Go(func() {
			for range jobs {
				begin := time.Now()
				greeting, err := p.ask()
				took := time.Since(begin)
				mu.Lock()
				out.add(greeting, err, took)
				mu.Unlock()
				<-time.After(p.Pace)
			}
		})
	}
	for range max(1, p.Count) {
		jobs <- Nothing{}
	}
	close(jobs)
	workers.Wait()
	return nil
}

func (t *Tally) add(greeting string, err error, took time.Duration) {
	if err != nil {
		t.Failures[failure(err)]++
		return
	}
	name, seen, _ := strings.Cut(greeting, " ")
	t.Names[name]++
	t.Peers[seen]++
	t.Slowest = max(t.Slowest, took)
}

// failure is what a client's program would be told, in one word.
func failure(err error) string {
	for _, known := range []struct {
		cause error
		name  string
	}{
		{syscall.ECONNREFUSED, "refused"}, {syscall.ECONNRESET, "reset"}, {syscall.EHOSTUNREACH, "unreachable"},
		{syscall.ENETUNREACH, "unreachable"}, {syscall.EACCES, "prohibited"}, {syscall.EPERM, "prohibited"},
		{io.EOF, "closed"},
	} {
		if errors.Is(err, known.cause) {
			return known.name
		}
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	return err.Error()
}

func (p *Probe) ask() (string, error) {
	timeout := cmp.Or(p.Timeout, 2*time.Second)
	dialer := net.Dialer{Deadline: time.Now().Add(timeout)}
	switch {
	case p.Source != 0 && p.Network == "udp":
		dialer.LocalAddr = &net.UDPAddr{Port: p.Source}
	case p.Source != 0:
		dialer.LocalAddr = &net.TCPAddr{Port: p.Source}
	}
	conn, err := dialer.Dial(p.Network, p.Target)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(dialer.Deadline); err != nil {
		return "", err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // thousands of connections must not leave thousands of ports waiting
	} else if _, err := conn.Write([]byte("?")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

// Line is something said over a held connection.
type Line struct {
	ID   int
	Text string
}

// Open opens a connection that stays, and tells who is at its other end.
func (a *Agent) Open(p Probe, out *Line) error {
	conn, err := net.DialTimeout(p.Network, p.Target, cmp.Or(p.Timeout, 2*time.Second))
	if err != nil {
		return err
	}
	h := &held{conn, bufio.NewReader(conn)}
	_ = h.SetDeadline(time.Now().Add(2 * time.Second))
	greeting, err := h.reader.ReadString('\n')
	if err != nil {
		h.Close()
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out.ID = len(a.held) + 1
	out.Text, _, _ = strings.Cut(greeting, " ")
	a.held[out.ID] = h
	return nil
}

// Say sends a line over a held connection and returns what comes back.
func (a *Agent) Say(in Line, out *Line) error {
	a.mu.Lock()
	h := a.held[in.ID]
	a.mu.Unlock()
	_ = h.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(h, in.Text); err != nil {
		return err
	}
	text, err := h.reader.ReadString('\n')
	out.Text = strings.TrimSuffix(text, "\n")
	return err
}

// Command is a program to run, and its standard input.
type Command struct {
	Args  []string
	Input string
}

// Run runs a program to its end and returns what it printed, also when it failed.
func (a *Agent) Run(c Command, out *string) error {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Stdin = strings.NewReader(c.Input)
	text, err := cmd.CombinedOutput()
	*out = string(text)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, text)
	}
	return nil
}

// Program is one that runs on, its log in Dir.
type Program struct {
	Dir  string
	Args []string
}

// Start starts a program, which ends with the agent.
func (a *Agent) Start(p Program, log *string) error {
	process, err := peer.Start(p.Dir, p.Args[0], p.Args[1:]...)
	if err != nil {
		return err
	}
	*log = process.Log()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.procs[p.Dir] = process
	return nil
}

// Stop kills the program that was started with this folder.
func (a *Agent) Stop(dir string, _ *Nothing) error {
	a.mu.Lock()
	process := a.procs[dir]
	delete(a.procs, dir)
	a.mu.Unlock()
	return process.Kill()
}

// Mount puts a file over another one, for this machine alone.
func (a *Agent) Mount(over [2]string, _ *Nothing) error {
	return os.NewSyscallError("mount", syscall.Mount(over[0], over[1], "", syscall.MS_BIND, ""))
}

// Sysctl sets kernel parameters, path by path below /proc/sys.
func (a *Agent) Sysctl(values map[string]string, _ *Nothing) error {
	for path, value := range values {
		if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Isolate makes what is mounted here this machine's own.
func (a *Agent) Isolate(Nothing, *Nothing) error {
	return os.NewSyscallError("mount", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
}

// Fetch gets a page by HTTP: the status code, and the body from the second line on.
func (a *Agent) Fetch(url string, page *string) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	*page = fmt.Sprintf("%d\n%s", response.StatusCode, body)
	return err
}

// Resolve looks a name up as nslookup does, with Go's resolver, and says so in nslookup's words.
func (a *Agent) Resolve(name string, printed *string) error {
	resolver := net.Resolver{PreferGo: true}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	canonical, err := resolver.LookupCNAME(ctx, name)
	if err != nil {
		return err
	}
	addrs, err := resolver.LookupHost(ctx, name)
	for _, addr := range addrs {
		*printed += fmt.Sprintf("Name: %s Address: %s\n", strings.TrimSuffix(canonical, "."), addr)
	}
	return err
}
