// Package wire reads and writes DNS messages as bytes (RFC 1035, section 4), without I/O.
//
// A query is answered on the bytes that arrived: Query is a view of them, Reply appends to a buffer that begins with a
// copy of the query's header and question. Owner names are compression pointers into that question, so a client's
// spelling (0x20) comes back by construction, and neither side of an ordinary answer allocates. There is no second
// representation to keep equal with this one: whoever wants a message unpacks it with Msg and packs it with SetMsg, and
// every query that is out of the ordinary (records beside a plain OPT, names with pointers) is read by miekg/dns itself,
// so that what is accepted and what is a format error is exactly what that library says.
package wire
