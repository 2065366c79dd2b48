// Package arch holds the rules of the tree as tests: who may import whom, what no file may do, how long it may get. Each
// broken rule fails with its reason, so that whoever breaks one knows what to weigh. Sources are parsed, not compiled:
// files for other systems count too.
package arch
