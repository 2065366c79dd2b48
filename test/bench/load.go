package bench

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// round is what one run of the generator against one server gave.
type round struct {
	answered int
	lost     int
	perQuery time.Duration // CPU time of the server
	user     time.Duration // of it in the program itself, not in the kernel
	rate     float64       // answered queries a second
}

var (
	completed = regexp.MustCompile(`Queries completed:\s+(\d+)`)
	lostCount = regexp.MustCompile(`Queries lost:\s+(\d+)`)
	rateText  = regexp.MustCompile(`Queries per second:\s+([\d.]+)`)
)

// drive asks the questions of a file for some seconds, from the second processor.
func (c *contender) drive(b *testing.B, questions string, seconds int) round {
	b.Helper()
	before, _, err := c.process.CPU()
	if err != nil {
		b.Fatal(err)
	}
	generator := exec.CommandContext(b.Context(), "taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", strconv.Itoa(c.port),
		"-d", questions, "-l", strconv.Itoa(seconds), "-c", "128", "-T", "1", "-q", "200")
	out, err := generator.CombinedOutput()
	if err != nil {
		b.Fatalf("dnsperf: %v\n%s", err, out)
	}
	after, _, err := c.process.CPU()
	if err != nil {
		b.Fatal(err)
	}
	r := round{answered: number(b, completed, out), lost: number(b, lostCount, out)}
	if r.answered == 0 {
		b.Fatalf("%s answered nothing\n%s", c.name, out)
	}
	r.user = (after.User - before.User) / time.Duration(r.answered)
	r.perQuery = r.user + (after.System-before.System)/time.Duration(r.answered)
	if m := rateText.FindSubmatch(out); m != nil {
		r.rate, _ = strconv.ParseFloat(string(m[1]), 64)
	}
	return r
}

func number(b *testing.B, pattern *regexp.Regexp, out []byte) int {
	b.Helper()
	m := pattern.FindSubmatch(out)
	if m == nil {
		b.Fatalf("dnsperf printed no %q:\n%s", pattern, out)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// spread is the least, the middle and the greatest of some rounds' CPU-µs per query, and the middle of what of it is
// spent in the program itself.
type spread struct{ least, median, greatest, user float64 }

func spreadOf(rounds []round) spread {
	micros := func(pick func(round) time.Duration) []float64 {
		figures := make([]float64, len(rounds))
		for i, r := range rounds {
			figures[i] = float64(pick(r).Nanoseconds()) / 1000
		}
		slices.Sort(figures)
		return figures
	}
	all := micros(func(r round) time.Duration { return r.perQuery })
	user := micros(func(r round) time.Duration { return r.user })
	return spread{least: all[0], median: all[len(all)/2], greatest: all[len(all)-1], user: user[len(user)/2]}
}

func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f), %.2f", s.median, s.least, s.greatest, s.user)
}
