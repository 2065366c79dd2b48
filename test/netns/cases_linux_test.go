package netns

import (
	"os"
	"slices"
	"testing"

	"github.com/nameplane/nameplane/test/peer"
)

// theCase is one thing that clients rely on. Cases share a subject and run at the same time, each with services of its own.
type theCase struct {
	name  string
	run   func(t *testing.T, e *exam)
	gaps  gaps
	files bool // it makes changes that an API server refuses
	core  bool // it is asked also where end-to-end tests are not switched on
}

// gaps say why a plane, or the peer, does not do it, by mode.
type gaps map[string]string

func cases() []theCase {
	return slices.Concat(clusterIPCases(), udpCases(), affinityCases(), outsideCases())
}

// TestNFTables and TestRelay ask the same of both planes. The core of it takes seconds, and is part of `make test`.
func TestNFTables(t *testing.T) { testMode(t, nftables) }

func TestRelay(t *testing.T) { testMode(t, relay) }

func testMode(t *testing.T, mode string) {
	w := theWorld(t)
	s := newSubject(t, w, options{mode: mode}).start(t)
	runCases(t, newExam(w, mode, s.folder), cases())
}

// runCases runs cases for both families.
func runCases(t *testing.T, e *exam, cases []theCase) {
	t.Run("group", func(t *testing.T) {
		for _, c := range cases {
			if !c.core && os.Getenv(peer.Switch) != "1" {
				continue
			}
			for _, f := range []family{v4, v6} {
				t.Run(c.name+"/"+f.String(), func(t *testing.T) {
					if reason := c.gaps[e.mode]; reason != "" {
						t.Skipf("not by %s: %s", e.mode, reason)
					}
					if _, files := e.source.(folder); c.files && !files {
						t.Skip("the API server does not allow such a change")
					}
					t.Parallel()
					c.run(t, e.in(f))
				})
			}
		}
	})
}
