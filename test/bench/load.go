package bench

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// round is what one run of the generator against one server gave.
type round struct {
	answered int
	lost     int
	perQuery time.Duration // CPU time of the server
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
	before, err := cpuTime(c.process.PID())
	if err != nil {
		b.Fatal(err)
	}
	generator := exec.CommandContext(b.Context(), "taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", strconv.Itoa(c.port),
		"-d", questions, "-l", strconv.Itoa(seconds), "-c", "128", "-T", "1", "-q", "200")
	out, err := generator.CombinedOutput()
	if err != nil {
		b.Fatalf("dnsperf: %v\n%s", err, out)
	}
	after, err := cpuTime(c.process.PID())
	if err != nil {
		b.Fatal(err)
	}
	r := round{answered: number(b, completed, out), lost: number(b, lostCount, out)}
	if r.answered == 0 {
		b.Fatalf("%s answered nothing\n%s", c.name, out)
	}
	r.perQuery = (after - before) / time.Duration(r.answered)
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

// spread is the least, the middle and the greatest of some figures.
type spread struct{ least, median, greatest float64 }

func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.greatest)
}
