package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// BenchmarkCached prints CPU time per query for an external name that is in the cache, of both servers and of an echo, and
// their ratio: with cache alone, and with what kubeadm puts beside it. Some seventy names are asked for again and again;
// each goes upstream once in thirty seconds, so that all but one in ten thousand are hits.
func BenchmarkCached(b *testing.B) {
	peer.E2E(b)
	upstream := echo(b)
	file := filepath.Join(b.TempDir(), "questions")
	var lines strings.Builder
	for i := range names {
		fmt.Fprintf(&lines, "www%d.example.com A\n", i)
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	floor := startEcho(b)
	table := []string{"CPU-µs per cached query: median (least to greatest), of it in the program itself, without the kernel"}
	for _, set := range []struct{ name, before string }{
		{name: "cache", before: "cache 30"},
		{name: "kubeadm's", before: kubeadmBefore},
	} {
		all := contenders(b)
		for _, c := range all {
			c.start(b, func(ready int) string { return forwarding(set.before, upstream, ready) })
		}
		figures := alternate(b, append(all, floor), file)
		for _, c := range all {
			if err := c.process.Kill(); err != nil {
				b.Fatal(err)
			}
		}
		ratio := figures[0].median / figures[1].median
		b.ReportMetric(ratio, set.name+"-ratio")
		table = append(table, fmt.Sprintf("%-10s %s %-30s %s %-27s %s %-27s ratio %.1f, of the programs themselves %.0f", set.name,
			all[0].name, figures[0], all[1].name, figures[1], floor.name, figures[2], ratio, figures[0].user/figures[1].user))
	}
	b.Log("\n" + strings.Join(table, "\n"))
}
