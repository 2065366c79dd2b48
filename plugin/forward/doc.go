// Package forward is the directive that asks other name servers.
//
// An upstream's reply stays the bytes that it is: they are checked, the client's ID and spelling are put in, and they go out
// again (wire.Reply.SetPacket), so that a miss costs little more than its system calls. A socket or connection serves one
// query at a time and is used again after it, which makes every reply's place known: what has another ID, question or
// source than the query is somebody else's or forged, and is not let in, nor does it end the wait (RFC 5452, section 9).
// A socket whose query went unanswered is closed, so that a late reply cannot meet another query.
//
// The goroutine that serves the query waits, after Exchange.Block, and nothing else does: there is no queue, and what a
// dead upstream costs is bounded by the server's limit on waiting queries and by max_concurrent. Only the health checks,
// which begin after an error, have goroutines of their own; Run owns them.
package forward
