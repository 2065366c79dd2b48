// Package reload holds the exam of a Corefile that changes while the real program is asked: not one query may be lost or
// answered wrongly, be the new Corefile good or bad, and nothing may grow. It needs nothing but Go; with NAMEPLANE_E2E=1 it
// reloads a thousand times.
package reload
