// Package peer builds and runs the programs that tests put beside Nameplane or compare it with: a real Kubernetes control
// plane (which package kube drives), CoreDNS and Helm. They are built from their modules' source by the go command, because
// that is the one tool which every developer of this project has, and kept in a cache outside the checkout, because a cold
// build takes minutes and its result changes only with the versions.
//
// A prerequisite that is missing skips the test with the reason; where the environment says CI=true it fails it, so
// that a green run there means that everything ran.
package peer

import (
	"os"
	"testing"
)

// Switch is the environment variable that turns end-to-end tests on when it is "1".
const Switch = "NAMEPLANE_E2E"

// E2E skips t unless end-to-end tests are switched on. They take seconds each and need minutes once to build their
// peers, so that a plain `go test ./...` leaves them out.
func E2E(t testing.TB) {
	t.Helper()
	if os.Getenv(Switch) != "1" {
		t.Skipf("end-to-end test: set %s=1 (make e2e does) to run it", Switch)
	}
}

// ControlPlane returns the folder that holds etcd, kube-apiserver and kube-controller-manager, building them first when
// the cache has none of this version.
func ControlPlane(t testing.TB) string {
	t.Helper()
	return need(t, BuildControlPlane)
}

// CoreDNS returns the path of a coredns binary of version CoreDNSVersion, building it first when the cache has none.
func CoreDNS(t testing.TB) string {
	t.Helper()
	return need(t, BuildCoreDNS)
}

func need(t testing.TB, build builder) string {
	t.Helper()
	path, err := build(t.Context())
	if err != nil {
		Missing(t, err.Error())
	}
	return path
}

// Missing ends t for want of a prerequisite: it skips, or fails when the environment says CI=true.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("prerequisite is missing and CI=true: %s", reason)
	}
	t.Skipf("prerequisite is missing: %s", reason)
}
