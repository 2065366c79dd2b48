// Package hotpath holds the budget of a cluster name's answer: through the chain that every cluster has, not one heap
// allocation (design: bytes in, bytes out). It is a gate, not a benchmark: test/bench has the figures.
package hotpath
