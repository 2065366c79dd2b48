package plugin

import "github.com/nameplane/nameplane/server/wire"

// Provider is a Handler that knows something of queries: under labels such as "kubernetes/namespace", the name of the
// directive in front of the slash.
type Provider interface {
	// Metadata is the value of a label; ok is false for a label that is not the handler's, or that the query has not.
	Metadata(q *Asked, label string) (value string, ok bool)
}

// Asked is what a client asked, whatever the query's Exchange asks by now.
type Asked struct {
	*Exchange
	Query wire.Query
}

// Metadata is what directives know of one query. Providers are asked when somebody wants to know, and only then: a query of
// whose metadata nothing is read costs the copy of its question. A nil *Metadata knows nothing.
type Metadata struct {
	asked     Asked
	providers []Provider
	set       []labelled
}

type labelled struct{ label, value string }

// Begin forgets what m knew, and makes it that of x.
func (m *Metadata) Begin(x *Exchange, providers []Provider) {
	m.asked = Asked{Exchange: x, Query: x.Query}
	m.providers = providers
	clear(m.set)
	m.set = m.set[:0]
}

// End forgets the query, so that whoever pools m keeps nothing of it.
func (m *Metadata) End() {
	m.asked.Exchange = nil
	clear(m.set)
	m.set = m.set[:0]
}

// Value is the value of a label; ok is false if nobody knows it.
func (m *Metadata) Value(label string) (value string, ok bool) {
	if m == nil {
		return "", false
	}
	for i := len(m.set) - 1; i >= 0; i-- {
		if m.set[i].label == label {
			return m.set[i].value, true
		}
	}
	for _, p := range m.providers {
		if value, ok := p.Metadata(&m.asked, label); ok {
			return value, true
		}
	}
	return "", false
}

// Set notes something that a handler found out on the way, such as "forward/upstream". The last value counts.
func (m *Metadata) Set(label, value string) {
	if m != nil {
		m.set = append(m.set, labelled{label, value})
	}
}
