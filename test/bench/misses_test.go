package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// uniqueNames is more than either server answers in all its rounds between two sights of a name, so that nothing is
// answered from what another query brought.
const uniqueNames = 400_000

// BenchmarkForwardedMisses prints CPU time per query that had to be asked upstream, of both servers, and their ratio.
// The upstream answers at once and shares the generator's processor.
func BenchmarkForwardedMisses(b *testing.B) {
	peer.E2E(b)
	upstream := echo(b)
	both := contenders(b)
	for _, c := range both {
		c.start(b, func(ready int) string { return forwarding(upstream, ready) })
	}
	file := filepath.Join(b.TempDir(), "questions")
	if err := writeUnique(file); err != nil {
		b.Fatal(err)
	}
	figures := alternate(b, both, file)
	ratio := figures[0].median / figures[1].median
	b.ReportMetric(ratio, "ratio")
	b.Logf("CPU-µs per forwarded query: median (least to greatest)\n%-12s %s\n%-12s %s\nratio        %.1f",
		both[0].name, figures[0], both[1].name, figures[1], ratio)
}

func writeUnique(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range uniqueNames {
		fmt.Fprintf(w, "host-%d.example.com A\n", i)
	}
	return w.Flush()
}

// forwarding is what every forwarding Corefile has, without a cache.
func forwarding(upstream string, ready int) string {
	return fmt.Sprintf(`. {
    bind 127.0.0.1
    errors
    ready 127.0.0.1:%d
    prometheus 127.0.0.1:0
    forward . %s {
        max_concurrent 1000
    }
    loadbalance
}
`, ready, upstream)
}
