//go:build linux

package nftables

import (
	"testing"

	"github.com/vishvananda/netlink/nl"
)

// Whatever the kernel's messages hold, they are read or refused.
func FuzzMessages(f *testing.F) {
	tuple := nl.NewRtAttr(nl.CTA_TUPLE_ORIG, nil)
	ip := tuple.AddRtAttr(nl.CTA_TUPLE_IP, nil)
	ip.AddRtAttr(nl.CTA_IP_V4_SRC, []byte{10, 1, 0, 1})
	ip.AddRtAttr(nl.CTA_IP_V4_DST, []byte{10, 96, 0, 1})
	f.Add(append([]byte{2, 0, 0, 0}, tuple.Serialize()...))
	element := nl.NewRtAttr(1, nil)
	element.AddRtAttr(1, []byte{10, 96, 0, 1})
	f.Add(element.Serialize())
	layouts := map[family]layout{}
	for _, fam := range families() {
		layouts[fam] = newLayout(fam)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if x, ok := parseFlow(message); ok && (!x.to.IsValid() || !x.from.IsValid() || len(x.tuple) == 0) {
			t.Errorf("%x: a flow of %v, %v, %x", message, x.to, x.from, x.tuple)
		}
		for fam, layout := range layouts {
			r := reader{family: fam}
			for _, o := range layout.objects {
				key, value := o.kinds()
				if k, _, ok := r.element(key, value, message); ok && k == "" {
					t.Errorf("%x: an element of %s without a key", message, o.name)
				}
			}
		}
	})
}
