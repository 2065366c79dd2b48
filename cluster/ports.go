package cluster

import "strings"

// PortQuery is which of a service's ports a name asks for: labels in lower case without underscores, as _port._protocol in
// front of a service has them (RFC 2782); empty ones for any.
type PortQuery struct{ Name, Protocol []byte }

// Bare is a label without the underscore that begins those of ports and protocols, and may be missing.
func Bare(label []byte) []byte {
	if len(label) > 0 && label[0] == '_' {
		return label[1:]
	}
	return label
}

// Any tells whether all ports are asked for.
func (q *PortQuery) Any() bool { return len(q.Name)+len(q.Protocol) == 0 }

// Matches tells whether port i is asked for. No ports at all count as one without name and protocol.
func (q *PortQuery) Matches(ports []Port, i int) bool {
	if len(ports) == 0 {
		return q.Any()
	}
	p := &ports[i]
	return (len(q.Name) == 0 || equalFold(p.Name, q.Name)) &&
		(len(q.Protocol) == 0 || p.Protocol.String() == string(q.Protocol))
}

// equalFold compares an object's name with a label, which is in lower case.
func equalFold(name string, label []byte) bool {
	return name == string(label) || len(name) == len(label) && strings.EqualFold(name, string(label))
}

// Count is the number of ports that are asked for.
func (q *PortQuery) Count(ports []Port) int {
	if q.Any() {
		return max(1, len(ports))
	}
	count := 0
	for i := range ports {
		if q.Matches(ports, i) {
			count++
		}
	}
	return count
}

// Numbered tells whether one of the ports that are asked for has this number.
func (q *PortQuery) Numbered(ports []Port, number uint16) bool {
	for i := range ports {
		if ports[i].Number == number && q.Matches(ports, i) {
			return true
		}
	}
	return false
}

// Labels are _name._protocol in wire form; empty for a port without a name, or whose name is too long for a label.
func (p *Port) Labels() string {
	if p.Name == "" || len(p.Name) >= maxLabel { // an underscore comes first
		return ""
	}
	protocol := p.Protocol.String()
	return string(rune(1+len(p.Name))) + "_" + strings.ToLower(p.Name) + string(rune(1+len(protocol))) + "_" + protocol
}
