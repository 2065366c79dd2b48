//go:build !linux

package forward

import "syscall"

// reportUnreachable has nothing to do: other systems tell a connected socket all that they hear.
func reportUnreachable(_, _ string, _ syscall.RawConn) error { return nil }
