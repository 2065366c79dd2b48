package forward

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/test/block"
)

// TestMetadata: whoever reads forward/upstream learns who was asked last, be it in vain, and be it another's query.
func TestMetadata(t *testing.T) {
	t.Parallel()
	dead := deadAddress(t)
	good := newServer(t, answerAll)
	for _, test := range []struct{ name, line, want string }{
		{name: "the one that answered", line: ". " + dead + " " + good.addr, want: good.addr},
		{name: "the one that did not", line: ". " + dead, want: dead},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _, _ := built(t, test.line, "policy sequential")
			x := block.NewExchange(t, "www.example.org.", dns.TypeA)
			x.Begin(nil, []plugin.Handler{h})
			x.Metadata = new(plugin.Metadata)
			x.Metadata.Begin(x, nil)
			err := x.Next(t.Context())
			if got, ok := x.Metadata.Value("forward/upstream"); got != test.want || !ok {
				t.Errorf("%q, want %q (%v)", got, test.want, err)
			}
		})
	}
}
