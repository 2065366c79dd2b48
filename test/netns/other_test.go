//go:build !linux

package netns

import "testing"

func TestHarness(t *testing.T) {
	t.Skip("SKIP vip-netns: network namespaces are Linux's")
}
