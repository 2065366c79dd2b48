package kubernetes

import "testing"

func fillPods(s *script) {
	s.namespaces("shop", "ops")
	s.pod("web-1.shop", "10.244.0.1 fd00:244::1")
	s.pod("web-2.shop", "10.244.0.2")
	s.pod("edge.shop", "fd00:244:1::")
	s.pod("host-a.shop", "192.168.0.1")
	s.pod("host-b.ops", "192.168.0.1")
}

func podsCorefile(mode string) string {
	return "kubernetes cluster.local {\n pods " + mode + "\n}"
}

func TestPodsDisabled(t *testing.T) {
	b := newBed(t, plainCorefile, fillPods)
	b.check(t, []row{
		{why: "a pod that runs", ask: "10-244-0-1.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "nothing lies below a namespace", ask: "shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "pod itself is there", ask: "pod.cluster.local. A", want: []string{"NODATA"}},
	})
}

func TestPodsInsecure(t *testing.T) {
	b := newBed(t, podsCorefile("insecure"), fillPods)
	b.check(t, []row{
		{why: "a pod that runs", ask: "10-244-0-1.shop.pod.cluster.local. A", want: []string{"@ 5 A 10.244.0.1"}},
		{why: "any address", ask: "192-0-2-200.shop.pod.cluster.local. A", want: []string{"@ 5 A 192.0.2.200"}},
		{why: "any spelling", ask: "2001-0DB8-0-0--1.shop.pod.cluster.local. AAAA", want: []string{"@ 5 AAAA 2001:db8::1"}},
		{why: "a dash at the end", ask: "2001-db8--.shop.pod.cluster.local. AAAA", want: []string{"@ 5 AAAA 2001:db8::"}},
		{why: "a dash at the beginning", ask: "--1.shop.pod.cluster.local. AAAA", want: []string{"@ 5 AAAA ::1"}},
		{why: "an IPv4 address written as IPv6", ask: "--ffff-c000-201.shop.pod.cluster.local. A", want: []string{"@ 5 A 192.0.2.1"}},
		{why: "of the other family", ask: "10-244-0-1.shop.pod.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "IPv6 of the other family", ask: "2001-db8--1.shop.pod.cluster.local. A", want: []string{"NODATA"}},
		{why: "another type", ask: "10-244-0-1.shop.pod.cluster.local. TXT", want: []string{"NODATA"}},
		{why: "a type without a code path", ask: "10-244-0-1.shop.pod.cluster.local. HTTPS", want: []string{"NODATA"}},
		{why: "no address", ask: "web-1.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "no address, another type", ask: "web-1.shop.pod.cluster.local. HINFO", want: []string{"NXDOMAIN"}},
		{why: "an octet too great", ask: "10-244-0-256.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "an octet with a zero in front", ask: "10-244-0-01.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "three octets", ask: "10-244-0.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "two gaps", ask: "2001--db8--1.shop.pod.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "no such namespace", ask: "10-244-0-1.nowhere.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "the namespace", ask: "shop.pod.cluster.local. A", want: []string{"NODATA"}},
		{why: "no such namespace itself", ask: "nowhere.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "one label in front does not matter", ask: "x.10-244-0-1.shop.pod.cluster.local. A", want: []string{"@ 5 A 10.244.0.1"}},
		{why: "nor do two", ask: "_x._tcp.10-244-0-1.shop.pod.cluster.local. A", want: []string{"@ 5 A 10.244.0.1"}},
		{why: "three are too many", ask: "x.y.z.10-244-0-1.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
}

func TestPodsVerified(t *testing.T) {
	b := newBed(t, podsCorefile("verified"), fillPods)
	b.check(t, []row{
		{why: "a pod that runs", ask: "10-244-0-2.shop.pod.cluster.local. A", want: []string{"@ 5 A 10.244.0.2"}},
		{why: "of the other family", ask: "10-244-0-2.shop.pod.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "of the other family, dual stack", ask: "10-244-0-1.shop.pod.cluster.local. AAAA", want: []string{"NODATA"}},
		{why: "another type", ask: "10-244-0-2.shop.pod.cluster.local. TXT", want: []string{"NODATA"}},
		{why: "no pod", ask: "10-244-0-3.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "a pod of another namespace", ask: "10-244-0-2.ops.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "two pods with the node's address", ask: "192-168-0-1.shop.pod.cluster.local. A", want: []string{"@ 5 A 192.168.0.1"}},
		{why: "two pods with the node's address, the other", ask: "192-168-0-1.ops.pod.cluster.local. A", want: []string{"@ 5 A 192.168.0.1"}},
		{why: "the address in no other spelling", ask: "fd00-0244--1.shop.pod.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "an address that ends in a dash", ask: "fd00-244-1--.shop.pod.cluster.local. AAAA", want: []string{"@ 5 AAAA fd00:244:1::"}},
		{why: "with a zero behind the dash it is an endpoint's", ask: "fd00-244-1--0.shop.pod.cluster.local. AAAA", want: []string{"NXDOMAIN"}},
		{why: "the namespace", ask: "ops.pod.cluster.local. A", want: []string{"NODATA"}},
		{why: "the namespace of services", ask: "ops.svc.cluster.local. A", want: []string{"NODATA"}},
		{why: "no such namespace", ask: "nowhere.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
		{why: "labels in front don't matter", ask: "x.10-244-0-2.shop.pod.cluster.local. A", want: []string{"@ 5 A 10.244.0.2"}},
	})
	b.w.DeletePod("shop", "web-2")
	b.check(t, []row{
		{why: "a pod that has gone", ask: "10-244-0-2.shop.pod.cluster.local. A", want: []string{"NXDOMAIN"}},
	})
}
