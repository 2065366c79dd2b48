package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// guardTable is the nftables table that is ours alone.
const guardTable = "inet nameplane-relay"

// guard keeps everything out of the addresses that the machine was given but what goes to our sockets. Without it whatever
// listens on all addresses of the machine, as the kubelet does, would answer on virtual IPs as well, and to whoever has
// a route here. Of TCP it looks at what begins a connection: those that are open may go on when their port is not forwarded
// any more.
type guard struct {
	nft  func(ctx context.Context, script string) (output string, err error)
	made bool // the table is there, and has exactly these:

	addrs  map[netip.Addr]bool
	served map[bind]bool
}

// set makes the guard for these addresses. What changed is sent in one transaction, so that nothing is open in between.
func (g *guard) set(ctx context.Context, want map[netip.Addr][]bind) error {
	addrs, served := map[netip.Addr]bool{}, map[bind]bool{}
	for a, binds := range want {
		addrs[a] = true
		for _, b := range binds {
			served[b] = true
		}
	}
	script := g.script(addrs, served)
	if script == "" {
		return nil
	}
	if _, err := g.nft(ctx, script); err != nil {
		g.made = false
		return err
	}
	g.made, g.addrs, g.served = len(want) > 0, addrs, served
	return nil
}

// script leads from what is there to these sets; empty for nothing to do.
func (g *guard) script(addrs map[netip.Addr]bool, served map[bind]bool) string {
	var s strings.Builder
	switch {
	case len(addrs) == 0 && !g.made:
		return ""
	case len(addrs) == 0:
		return removeGuard()
	case !g.made:
		s.WriteString(removeGuard() + makeGuard())
		elements(&s, "add", addrs, nil, ofAddr)
		elements(&s, "add", served, nil, ofServed)
	default:
		elements(&s, "delete", g.served, served, ofServed)
		elements(&s, "delete", g.addrs, addrs, ofAddr)
		elements(&s, "add", addrs, g.addrs, ofAddr)
		elements(&s, "add", served, g.served, ofServed)
	}
	return s.String()
}

// removeGuard deletes the table, whether it is there or not.
func removeGuard() string {
	return "add table " + guardTable + "\ndelete table " + guardTable + "\n"
}

func makeGuard() string {
	return "table " + guardTable + ` {
	comment "nameplane: virtual IPs of the relay answer on forwarded ports only"
	set addrs4 { type ipv4_addr; }
	set addrs6 { type ipv6_addr; }
	set served4 { type ipv4_addr . inet_proto . inet_service; }
	set served6 { type ipv6_addr . inet_proto . inet_service; }
	chain input {
		type filter hook input priority filter; policy accept;
		tcp flags & (syn | ack) != syn accept
		ip daddr @addrs4 ip daddr . meta l4proto . th dport != @served4 reject
		ip6 daddr @addrs6 ip6 daddr . meta l4proto . th dport != @served6 reject
	}
}
`
}

// elements writes one line for those elements of each family that are in one set and not in another.
func elements[E comparable](s *strings.Builder, verb string, in, notIn map[E]bool, where func(E) (set, element string)) {
	lines := map[string][]string{}
	for e := range in {
		if !notIn[e] {
			set, element := where(e)
			lines[set] = append(lines[set], element)
		}
	}
	for _, set := range slices.Sorted(maps.Keys(lines)) {
		slices.Sort(lines[set])
		fmt.Fprintf(s, "%s element %s %s { %s }\n", verb, guardTable, set, strings.Join(lines[set], ", "))
	}
}

func ofAddr(a netip.Addr) (set, element string) { return "addrs" + familyDigit(a), a.String() }

func ofServed(b bind) (set, element string) {
	a := b.addr.Addr()
	return "served" + familyDigit(a), fmt.Sprintf("%v . %s . %d", a, b.protocol, b.addr.Port())
}

func familyDigit(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

// check tells whether the table is still there.
func (g *guard) check(ctx context.Context) error {
	if !g.made {
		return nil
	}
	if _, err := g.nft(ctx, "list chain "+guardTable+" input\n"); err != nil {
		return fmt.Errorf("the guard is gone: %w", err)
	}
	return nil
}

// remove deletes the table if there is one, and tells whether there was.
func (g *guard) remove(ctx context.Context) (removed bool, err error) {
	tables, err := g.nft(ctx, "list tables\n")
	if errors.Is(err, exec.ErrNotFound) {
		return false, nil // and so nobody made one
	}
	if err != nil || !slices.Contains(strings.Split(tables, "\n"), "table "+guardTable) {
		return false, err
	}
	_, err = g.nft(ctx, removeGuard())
	return err == nil, err
}

// runNFT gives a script to the program nft.
func runNFT(ctx context.Context, script string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	var out, complaint bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(script), &out, &complaint
	err = command.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", err
	}
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return "", fmt.Errorf("nft: %w: %s", err, first)
	}
	return out.String(), nil
}
