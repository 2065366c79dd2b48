// Package netns is the black-box exam of virtual-IP forwarding: the real program on a node made of network namespaces,
// with pods, another node and a client outside, and real sockets on all of them. What is asked is what a client sees
// (who answers, under which address it arrived, refused or silent) and never how the rules look, so that one exam holds
// for every plane.
//
// The test binary runs itself again in namespaces of its own: that inner process is the node, and one more copy of it is
// the agent in each pod and machine. The machine's network is never touched, and nothing is left when the processes
// end. As root this always works; others need a kernel that gives them a user namespace. Where neither can be had, or the
// programs ip and nft are missing, every test says "SKIP vip-netns" with the reason; CI=true or VIP_EXAM_REQUIRED=1 makes
// that a failure.
//
// The core of the exam is part of `make test`, all of it of `make e2e`, where kube-proxy is asked the same.
package netns
