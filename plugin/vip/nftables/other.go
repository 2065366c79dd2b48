//go:build !linux

package nftables

import "errors"

func openRules(family) (ruleset, error) { return nil, errors.ErrUnsupported }

func flows(family, func(flow) bool) error { return errors.ErrUnsupported }

func forget(family, flow) error { return errors.ErrUnsupported }
