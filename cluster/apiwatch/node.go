package apiwatch

import "github.com/nameplane/nameplane/cluster"

// readNode is what matters of a Node.
func readNode(object []byte) (n *cluster.Node, meta metadata, flaws []flaw, err error) {
	n = &cluster.Node{}
	byType := map[string][]cluster.Addr{"InternalIP": nil, "ExternalIP": nil}
	m := message{rest: object}
	for m.next() {
		in := m.inner()
		switch m.number {
		case 1:
			m.metadata(&meta)
		case 2:
			for in.next() {
				if in.number == 5 && in.taint() == cluster.TaintLeaving {
					n.Leaving = true
				}
			}
			m.adopt(in.err)
		case 3:
			for in.next() {
				if in.number == 5 {
					flaws = append(flaws, in.nodeAddress(byType)...)
				}
			}
			m.adopt(in.err)
		}
	}
	n.Name, n.Zone, n.Leaving = meta.name, meta.zone, n.Leaving || meta.deleting
	n.Addrs = cluster.PickNodeAddrs(byType["InternalIP"], byType["ExternalIP"])
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

// nodeAddress reads the current field as a NodeAddress, and adds it to those of its type, if that is one that counts.
func (m *message) nodeAddress(byType map[string][]cluster.Addr) []flaw {
	var kind, text string
	in := m.inner()
	for in.next() {
		switch in.number {
		case 1:
			kind = string(in.bytes)
		case 2:
			text = string(in.bytes)
		}
	}
	m.adopt(in.err)
	if _, counts := byType[kind]; !counts {
		return nil
	}
	addr, err := cluster.ParseAddr(text)
	if err != nil {
		return []flaw{{kind, text}}
	}
	byType[kind] = append(byType[kind], addr)
	return nil
}
