package apiwatch

import "github.com/nameplane/nameplane/cluster"

// readNode is what matters of a Node.
func readNode(object []byte) (n *cluster.Node, meta metadata, flaws []flaw, err error) {
	n = &cluster.Node{}
	var internal, external []cluster.Addr
	m := message{rest: object}
	for m.next() {
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			in := m.inner()
			for in.next() {
				if in.number == 5 && in.taint() == cluster.TaintLeaving {
					n.Leaving = true
				}
			}
			m.adopt(in.err)
		case 3:
			in := m.inner()
			for in.next() {
				if in.number != 5 {
					continue
				}
				kind, text := in.nodeAddress()
				if kind != "InternalIP" && kind != "ExternalIP" {
					continue
				}
				addr, err := cluster.ParseAddr(text)
				switch {
				case err != nil:
					flaws = append(flaws, flaw{kind, text})
				case kind == "InternalIP":
					internal = append(internal, addr)
				default:
					external = append(external, addr)
				}
			}
			m.adopt(in.err)
		}
	}
	n.Name, n.Zone, n.Leaving = meta.name, meta.zone, n.Leaving || meta.deleting
	n.Addrs = cluster.PickNodeAddrs(internal, external)
	return n, meta, flaws, m.err
}

// taint reads the current field as a Taint, of which only the key counts.
func (m *message) taint() (key string) {
	in := m.inner()
	for in.next() {
		if in.number == 1 {
			key = string(in.bytes)
		}
	}
	m.adopt(in.err)
	return key
}

// nodeAddress reads the current field as a NodeAddress.
func (m *message) nodeAddress() (kind, address string) {
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			kind = string(in.bytes)
		case 2:
			address = string(in.bytes)
		}
	}
	m.adopt(in.err)
	return kind, address
}
