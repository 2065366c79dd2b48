package server

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

// onlySpec is "only TYPE": its block takes questions of one type.
func onlySpec() plugin.Spec {
	return plugin.Spec{Name: "only", Build: func(_ *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
		text := lines[0].Args[0].Text
		return &only{double: double{name: "only"}, view: text, qtype: dns.StringToType[text]}, nil
	}}
}

type only struct {
	double
	view  string
	qtype uint16
}

func (o *only) View() string { return o.view }

func (o *only) Admits(x *plugin.Exchange) bool { return x.Query.Type == o.qtype }

func TestViews(t *testing.T) {
	t.Parallel()
	const (
		split    = ". {\n only A\n answer a\n}\n. {\n only TXT\n answer txt\n}\n. {\n answer rest\n}"
		noRest   = "example.org {\n only A\n answer a\n}\nexample.org {\n only TXT\n answer txt\n}\norg {\n answer org\n}"
		shadowed = ". {\n answer rest\n}\n. {\n only A\n answer a\n}"
		alone    = ". {\n only A\n answer a\n}"
		twice    = ". {\n only A\n answer first\n}\n. {\n only A\n answer second\n}"
	)
	for _, test := range []struct {
		name, corefile string
		qname          string
		qtype          uint16
		want           string
	}{
		{name: "the first block", corefile: split, qtype: dns.TypeA, want: "a A"},
		{name: "the second block", corefile: split, qtype: dns.TypeTXT, want: "txt TXT"},
		{name: "the block for the rest", corefile: split, qtype: dns.TypeMX, want: "rest "},
		{name: "the zone above", corefile: noRest, qtype: dns.TypeMX, want: "org "},
		{name: "a block behind the one for the rest", corefile: shadowed, qtype: dns.TypeA, want: "rest "},
		{name: "nobody", corefile: alone, qtype: dns.TypeMX, want: "REFUSED"},
		{name: "two that would", corefile: twice, qtype: dns.TypeA, want: "first A"},
		{name: "DS, of the zone above (RFC 4035, section 3.1.4.1)", corefile: noRest, qtype: dns.TypeDS, want: "org "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var view string
			noting := &double{name: "noting", serve: func(ctx context.Context, x *plugin.Exchange) error {
				view = x.View
				return x.Next(ctx)
			}}
			table := tableOf(t, strings.ReplaceAll(test.corefile, " answer", " noting\n answer"), onlySpec(), noting.spec())
			m := answerTo(t, table, new(dns.Msg).SetQuestion("example.org.", test.qtype))
			got := dns.RcodeToString[m.Rcode]
			if len(m.Answer) == 1 {
				got = m.Answer[0].(*dns.TXT).Txt[0] + " " + view
			}
			if got != test.want {
				t.Errorf("answered by %q, want %q", got, test.want)
			}
		})
	}
}

func TestViewsOfBlocks(t *testing.T) {
	t.Parallel()
	s, err := New(parse(t, ". {\n only A\n answer a\n}\n. {\n answer rest\n}"), Options{Specs: []plugin.Spec{onlySpec(), answerSpec()}})
	if err != nil {
		t.Fatal(err)
	}
	var views []string
	for _, b := range s.made.Blocks() {
		views = append(views, b.Zone+b.View)
	}
	if diff := cmp.Diff([]string{".A", "."}, views); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
}

// A zone may have one block that takes the rest, and all on the same addresses.
func TestViewConflicts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "two for the rest", corefile: ". {\n only A\n answer a\n}\n. {\n answer b\n}\n. {\n answer c\n}", want: "Corefile:8: cannot serve . on port 53: it is already served at Corefile:5"},
		{
			name: "other addresses", corefile: ". {\n answer a\n}\n. {\n bind 127.0.0.1\n only A\n answer b\n}",
			want: "Corefile:4: cannot serve . on port 53: 127.0.0.1 and all addresses overlap, the other one is at Corefile:1",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(parse(t, test.corefile), Options{Specs: []plugin.Spec{bindSpec(), onlySpec(), answerSpec()}})
			if err == nil || err.Error() != test.want {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

// A zone's line is printed once, however many blocks share it.
func TestViewsAreAnnouncedOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s, err := New(parse(t, ". {\n only A\n answer a\n}\norg {\n answer org\n}\n. {\n answer rest\n}"), Options{Specs: []plugin.Spec{onlySpec(), answerSpec()}})
	if err != nil {
		t.Fatal(err)
	}
	announce(&out, s.made)
	if diff := cmp.Diff(".:53\norg.:53\n", out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
