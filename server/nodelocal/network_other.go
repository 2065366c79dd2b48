//go:build !linux

package nodelocal

import (
	"context"
	"errors"
	"runtime"
)

// Ensure is for Linux.
func (n *Network) Ensure(context.Context) error {
	if n.Interface == "" && !n.Untracked {
		return nil
	}
	return errors.Join(&SetupError{"interface_add", errors.New("interfaces and rules are made on Linux only, not on " + runtime.GOOS)})
}

// Remove has nothing to take back.
func (n *Network) Remove(context.Context) error { return nil }
