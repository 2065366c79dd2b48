package loadbalance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// table is the weights of addresses by name, in lower case with a final dot. An address that is not there weighs 1.
type table map[string]map[netip.Addr]uint8

// weights puts an address first, by chance and its weight. They are read from a file.
type weights struct {
	file   string
	reload time.Duration // 0 for never
	log    *slog.Logger
	text   []byte // of the file, when it was read last
	table  atomic.Pointer[table]
}

// start reads the file. One that is not there yet may come, unless it is never looked at again.
func (w *weights) start() error {
	err := w.read()
	if w.reload > 0 && errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("no weights yet", "error", err, "again in", w.reload)
		return nil
	}
	return err
}

// follow reads the file whenever it changed. A bad one leaves the weights as they are.
func (w *weights) follow(ctx context.Context) {
	if w.reload <= 0 {
		return
	}
	tick := time.NewTicker(w.reload)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := w.read(); err != nil {
				w.log.Error("weights stay as they were", "error", err)
			}
		}
	}
}

func (w *weights) read() error {
	text, err := os.ReadFile(w.file)
	if err != nil {
		return err
	}
	if w.table.Load() != nil && bytes.Equal(text, w.text) {
		return nil
	}
	parsed, err := parse(w.file, text)
	if err != nil {
		return err
	}
	w.text = text
	w.table.Store(&parsed)
	return nil
}

// parse reads lines of a name, each followed by lines of an address and its weight. Lines may be empty or comments.
func parse(file string, text []byte) (table, error) {
	var (
		parsed = make(table)
		lines  = bufio.NewScanner(bytes.NewReader(text))
		at     map[netip.Addr]uint8
	)
	for number := 1; lines.Scan(); number++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		switch {
		case err == nil && len(fields) == 2 && at != nil:
			weight, err := strconv.ParseUint(fields[1], 10, 8)
			if err != nil || weight == 0 {
				return nil, fmt.Errorf("%s:%d: %q is not a weight from 1 to 255", file, number, fields[1])
			}
			at[addr.Unmap()] = uint8(weight)
		case err != nil && len(fields) == 1:
			name := strings.ToLower(dns.Fqdn(fields[0]))
			if _, ok := dns.IsDomainName(name); !ok {
				return nil, fmt.Errorf("%s:%d: %q is not a domain name", file, number, fields[0])
			}
			if parsed[name] == nil {
				parsed[name] = make(map[netip.Addr]uint8)
			}
			at = parsed[name]
		default:
			return nil, fmt.Errorf("%s:%d: %q is neither a name nor, below one, an address and its weight", file, number, strings.Join(fields, " "))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return parsed, nil
}

// order puts an address first in the sections that have any, if addresses are what was asked for.
func (w *weights) order(qtype uint16, m *dns.Msg) {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeSRV:
		var known table
		if loaded := w.table.Load(); loaded != nil {
			known = *loaded
		}
		m.Answer, m.Extra = known.ordered(m.Answer), known.ordered(m.Extra)
	}
}

func (t table) ordered(records []dns.RR) []dns.RR {
	s := sortOut(records)
	if len(s.address) == 0 {
		return records
	}
	top := t.draw(s.address)
	s.address[0], s.address[top] = s.address[top], s.address[0]
	return slices.Concat(s.cname, s.rest, s.address, s.mx)
}

// draw is the number of a record, by chance and its weight.
func (t table) draw(records []dns.RR) int {
	total := 0
	for _, rr := range records {
		total += t.weight(rr)
	}
	left := rand.IntN(total)
	return slices.IndexFunc(records, func(rr dns.RR) bool {
		left -= t.weight(rr)
		return left < 0
	})
}

func (t table) weight(rr dns.RR) int {
	if weight, ok := t[strings.ToLower(rr.Header().Name)][addressOf(rr)]; ok {
		return int(weight)
	}
	return 1
}
