package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// uniqueNames is more than either server answers in all its rounds between two sights of a name, so that nothing is
// answered from what another query brought.
const uniqueNames = 400_000

// kubeadmBefore is what kubeadm puts before forward, as far as it has a part in names that are forwarded.
const kubeadmBefore = "prometheus 127.0.0.1:0\n    cache 30\n    loadbalance"

// BenchmarkForwardedMisses prints CPU time per query that had to be asked upstream, of both servers, and their ratio, with
// forward alone and with what kubeadm puts before it. The upstream answers at once and shares the generator's processor.
func BenchmarkForwardedMisses(b *testing.B) {
	peer.E2E(b)
	upstream := echo(b)
	file := filepath.Join(b.TempDir(), "questions")
	if err := writeUnique(file); err != nil {
		b.Fatal(err)
	}
	table := []string{"CPU-µs per forwarded query: median (least to greatest)"}
	for _, set := range []struct{ name, before string }{
		{name: "forward"},
		{name: "kubeadm's", before: kubeadmBefore},
	} {
		both := contenders(b)
		for _, c := range both {
			c.start(b, func(ready int) string { return forwarding(set.before, upstream, ready) })
		}
		figures := alternate(b, both, file)
		for _, c := range both {
			if err := c.process.Kill(); err != nil {
				b.Fatal(err)
			}
		}
		ratio := figures[0].median / figures[1].median
		b.ReportMetric(ratio, set.name+"-ratio")
		table = append(table, fmt.Sprintf("%-10s %s %-24s %s %-24s ratio %.1f", set.name, both[0].name, figures[0], both[1].name, figures[1], ratio))
	}
	b.Log("\n" + strings.Join(table, "\n"))
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

// forwarding is a Corefile that forwards everything, behind other directives.
func forwarding(before, upstream string, ready int) string {
	return fmt.Sprintf(`. {
    bind 127.0.0.1
    errors
    ready 127.0.0.1:%d
    %s
    forward . %s {
        max_concurrent 1000
    }
}
`, ready, before, upstream)
}
