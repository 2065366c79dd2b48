package nftables

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// element is one of a set, or of a map when it has a value.
type element struct{ set, key, value string }

// dynamic is a set that rules fill, of addresses that are forgotten after a time.
type dynamic struct {
	name    string
	timeout time.Duration
}

// change is what happens to a table at one instant: all of it or nothing.
type change struct {
	fresh  bool     // begin with an empty table of our layout, whatever there was
	hooks  hooking  // whether the chains through which packets come are made
	unhook []string // chains through which packets come that are to go
	remove []element
	forget []string // sets that lose their elements
	sets   []dynamic
	chains []chain
	add    []element
	retire []string // chains that nothing refers to any more, and the sets that are those of endpoints among them
}

func (c *change) empty() bool {
	return !c.fresh && c.hooks != hooksOnly && len(c.unhook)+len(c.remove)+len(c.forget)+len(c.sets)+len(c.chains)+len(c.add)+len(c.retire) == 0
}

// hooking is what a change does about the chains through which packets come.
type hooking uint8

const (
	withHooks hooking = iota // they are made with a fresh table
	noHooks                  // they are left out of it
	hooksOnly                // they are added to what is there
)

// contents are the names of what a table has.
type contents struct{ chains, sets map[string]bool }

// ruleset is one table in the kernel. Its only implementation runs nft; one that speaks netlink would fit as well.
type ruleset interface {
	fmt.Stringer // "table ip nameplane"
	// Contents are the names of the table's parts; none where there is no table.
	Contents(ctx context.Context) (contents, error)
	// Rules are how many rules each chain has.
	Rules(ctx context.Context) (map[string]int, error)
	// Elements are those of a set or map: values by keys, in the spelling that change has.
	Elements(ctx context.Context, o object) (map[string]string, error)
	// Run makes a change.
	Run(ctx context.Context, c *change) error
	// Check tells whether a change would succeed, and makes none.
	Check(ctx context.Context, c *change) error
	// Delete takes the table away, where there is one.
	Delete(ctx context.Context) error
	// Twin is a table of the same family, by another name.
	Twin() (ruleset, error)
}

// String is the element as in a transaction.
func (e element) String() string { return fmt.Sprintf("%s { %s }", e.set, e.inner()) }

// inner is the element without its set.
func (e element) inner() string {
	if e.value == "" {
		return e.key
	}
	return e.key + " : " + e.value
}

// concat joins the parts of a key or value.
func concat(parts ...string) string { return strings.Join(parts, " . ") }
