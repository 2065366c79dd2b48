// Package plugin is the contract between the server and the directives of a Corefile.
//
// There is one chain a server block, a slice of Handlers in the order of package standard, and one representation of a
// query, the Exchange, which travels along it. A handler is a value made at start-up; it holds no reference to its
// successor, since Exchange.Next knows the place in the chain. What a directive wants of the server beyond answering
// (a readiness, a task, an HTTP path) it says by an optional interface or through its Env, so that the server knows no
// plugin by name.
package plugin
