// Package demo holds what a newcomer does first against the real program: the transcripts of README.md are asked of the
// demo, and its files are edited while it runs. It needs nothing but Go.
package demo
