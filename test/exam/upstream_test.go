package exam

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/test/peer"
	"github.com/nameplane/nameplane/test/world"
)

// TestUpstream asks both servers, under the Corefiles that have a forward in front of a cache of their own, for what an
// upstream answers in every way that there is: also late, and not at all. What it does not answer must not take what it
// does with it.
func TestUpstream(t *testing.T) {
	peer.E2E(t)
	r := newRoom(t, seed(t))
	r.upstream = serveScripted(t)
	for _, name := range []string{"kubeadm", "k3s", "nodelocal"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			c := corefileOf(name)
			s := r.start(t, &c, &facts{})
			questions := scriptedQuestions()
			for range 3 {
				if err := s.ask(questions); err != nil {
					t.Error(err)
				}
				<-time.After(passing)
			}
			t.Log(s.marks)
			if s.marks.mismatches() > 0 {
				t.Fail()
			}
		})
	}
}

// scriptedQuestions are all names in all ways that clients ask.
func scriptedQuestions() []world.Question {
	var questions []world.Question
	add := func(name string, qtype uint16, proto string, size uint16, do bool) {
		m := new(dns.Msg).SetQuestion(name, qtype)
		m.Id = uint16(len(questions))
		if size > 0 {
			m.SetEdns0(size, do)
		}
		questions = append(questions, world.Question{Msg: m, Proto: proto, Why: "answered as scripted"})
	}
	for _, first := range []string{"www", "missing", "empty", "broken", "refused", "alias", "alias-missing", "alias-empty", "alias-broken", "many",
		"eighty", "chain", "cut", "slow", "slow-too", "v6"} {
		for i := range 3 {
			name := fmt.Sprintf("%s-%d.example.com.", first, i)
			if i == 0 {
				name = first + ".example.com."
			}
			for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeCNAME} {
				add(name, qtype, "udp", 0, false)
				add(name, qtype, "udp", 1232, false)
				add(name, qtype, "tcp", 0, false)
				add(name, qtype, "udp", 4096, true)
			}
		}
	}
	for i := range 6 {
		add(fmt.Sprintf("dead-%d.example.com.", i), dns.TypeA, []string{"udp", "tcp"}[i%2], 0, false)
	}
	return questions
}
