package nftables

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
)

// Without nft, Open says so, and what would do.
func TestOpenWithoutNFT(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p, err := Open(t.Context(), slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatalf("opened %v", p)
	}
	for _, want := range []string{"mode nftables does not work here", `"mode relay"`, `"mode plan"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if removed, err := Cleanup(t.Context()); err != nil || len(removed) > 0 {
		t.Errorf("cleaned up: %v, %v", removed, err)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("could not find nftables binary: %w", exec.ErrNotFound), "install the package nftables"},
		{errors.New("Operation not permitted (you must be root)"), "capability NET_ADMIN"},
		{errors.New("Error: Could not process rule: No such file or directory"), "too old"},
		{errors.ErrUnsupported, "Linux"},
	} {
		if got := preflight(families()[1], test.err).Error(); !strings.Contains(got, test.want) || !strings.Contains(got, "family ip6") {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
