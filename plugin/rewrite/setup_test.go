package rewrite

import (
	"io"
	"strings"
	"testing"

	"github.com/nameplane/nameplane/test/block"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", longestPattern+1)
	for _, tc := range []struct{ name, line, err string }{
		{name: "two words are exact", line: "rewrite name a b"},
		{name: "even if the first is another way", line: "rewrite name regex b"},
		{name: "spelling of keywords does not count", line: "rewrite CONTINUE Name EXACT a b"},
		{name: "a name rule in braces", line: "rewrite {\nname a b\n}"},
		{name: "words in braces run on", line: "rewrite stop {\nname regex\na b\n}"},
		{name: "answer auto", line: "rewrite name suffix a b answer auto"},
		{name: "answers in a row", line: `rewrite name regex (a)b {1} answer name (a) {1} answer value b c value d e`},
		{name: "auto and value", line: "rewrite name regex a b answer auto value d e"},
		{name: "metadata", line: "rewrite name regex (a) {1}.{a/b} metadata answer auto"},
		{name: "type", line: "rewrite type any hinfo"},
		{name: "class", line: "rewrite class CH IN"},
		{name: "ttl", line: "rewrite ttl regex (.*) 10-20"},
		{name: "rcode", line: "rewrite rcode regex (.*) SERVFAIL 0"},
		{name: "cname", line: "rewrite cname a b"},
		{name: "local", line: "rewrite edns0 local set 0xffee 0x61"},
		{name: "local variable", line: "rewrite edns0 local append 65001 {client_ip} revert"},
		{name: "local metadata", line: "rewrite edns0 local append 65001 {a/b}"},
		{name: "nsid", line: "rewrite edns0 nsid set revert"},
		{name: "subnet", line: "rewrite edns0 subnet replace 32 128"},
		{name: "unset", line: "rewrite edns0 local unset 1\nrewrite edns0 nsid unset\nrewrite edns0 subnet unset"},

		{name: "nothing", line: "rewrite", err: "Corefile:2: rewrite: a rule is missing; write \"rewrite [continue|stop] FIELD ...\" with a FIELD out of class, cname"},
		{name: "a mode alone", line: "rewrite stop", err: "a rule is missing"},
		{name: "empty braces", line: "rewrite continue {\n}", err: "a rule is missing"},
		{name: "an unknown field", line: "rewrite nam a b", err: `"nam" is none of class, cname, edns0, name, rcode, ttl, type; did you mean "name"?`},
		{name: "an unknown mode", line: "rewrite contnue name a b", err: `did you mean "continue"?`},
		{name: "answer alone", line: "rewrite answer name a b", err: "an answer rule has to follow a name rule"},
		{name: "line and braces", line: "rewrite name a {\nb\n}", err: "a rule stands in the line or in braces, not in both"},
		{name: "braces in braces", line: "rewrite stop {\nname a {\nb\n}\n}", err: "Corefile:3: name: takes no options"},

		{name: "name without arguments", line: "rewrite name", err: "a name rule wants at least 2 arguments, but has 0"},
		{name: "name, an unknown way", line: "rewrite name sufix a b", err: `"sufix" is none of exact, prefix, suffix, substring, regex; did you mean "suffix"?`},
		{name: "name, a bad pattern", line: "rewrite name regex (a b", err: `"(a" is not a regular expression: `},
		{name: "name, a long pattern", line: "rewrite name regex " + long + " b", err: "a regular expression of 10001 bytes is too long: at most 10000 are allowed"},
		{name: "name, too many groups", line: "rewrite name regex (a) {1}{2}", err: `"{1}{2}" uses 2 groups, but "(a)" has 1`},
		{name: "answer without what", line: "rewrite name regex a b answer", err: "answer is not followed by what is meant"},
		{name: "answer of a bad kind", line: "rewrite name regex a b answer nam c d", err: `"nam" is none of auto, name, value; did you mean "name"?`},
		{name: "answer with too little", line: "rewrite name regex a b answer name c", err: "answer name wants FROM and TO"},
		{name: "answer with a bad pattern", line: "rewrite name regex a b answer value ( d", err: `"(" is not a regular expression`},
		{name: "answer with too many groups", line: "rewrite name regex a b answer name c {1}", err: `"{1}" uses 1 groups, but "c" has 0`},
		{name: "auto and name", line: "rewrite name regex a b answer auto name c d", err: "answer auto and answer name exclude each other"},
		{name: "something else behind TO", line: "rewrite name regex a b answr auto", err: `"answr" is not understood behind TO; did you mean "answer"?`},
		{name: "metadata of exact", line: "rewrite name exact a b metadata", err: "metadata goes with regex only, not with exact"},
		{name: "metadata, no such group", line: "rewrite name regex (a) {2} metadata", err: "{2} names a group that the pattern does not have: there are 1"},
		{name: "metadata, no label", line: "rewrite name regex a {b} metadata", err: "{b} is neither the number of a group nor a label PLUGIN/NAME"},
		{name: "metadata, not closed", line: "rewrite name regex a b{1 metadata", err: "has a { without }"},
		{name: "metadata, not opened", line: "rewrite name regex a b}x metadata", err: "has a } without {"},

		{name: "type without TO", line: "rewrite type A", err: `a type rule wants 2 arguments, but has 1; write "rewrite type FROM TO"`},
		{name: "type, unknown", line: "rewrite type AAA B", err: `"AAA" is not a type of questions, such as AAAA` + "\n" + `Corefile:2: rewrite: "B" is not a type`},
		{name: "class, unknown", line: "rewrite class IN XX", err: `"XX" is not a class of questions, such as IN`},
		{name: "class with too much", line: "rewrite class IN CH HS", err: "a class rule wants 2 arguments, but has 3"},
		{name: "ttl without TTL", line: "rewrite ttl a", err: "a ttl rule wants 2 or 3 arguments, but has 1"},
		{name: "ttl with too much", line: "rewrite ttl exact a 1 2", err: "a ttl rule wants 2 or 3 arguments, but has 4"},
		{name: "ttl, a dash", line: "rewrite ttl a -", err: `"-" is not a TTL`},
		{name: "ttl, backwards", line: "rewrite ttl a 20-10", err: `"20-10" is not a TTL`},
		{name: "ttl, three", line: "rewrite ttl a 1-2-3", err: `"1-2-3" is not a TTL`},
		{name: "ttl, too large", line: "rewrite ttl a 4294967296", err: `"4294967296" is not a TTL`},
		{name: "ttl, all at once", line: "rewrite ttl exct a x", err: `"x" is not a TTL: SECONDS, MIN-MAX, MIN- or -MAX is wanted, at most 32 bits each` + "\n" + `Corefile:2: rewrite: "exct" is none of`},
		{name: "rcode with too little", line: "rewrite rcode a 1", err: "an rcode rule wants 3 or 4 arguments, but has 2"},
		{name: "rcode, unknown", line: "rewrite rcode a SERVFAL 24", err: `"SERVFAL" is not a response code: a name such as NXDOMAIN or a number from 0 to 23 is wanted; did you mean "SERVFAIL"?` + "\n" + `Corefile:2: rewrite: "24" is not a response code`},
		{name: "rcode, a bad pattern", line: "rewrite rcode regex ( 1 2", err: `"(" is not a regular expression`},
		{name: "cname with too little", line: "rewrite cname a", err: "a cname rule wants 2 or 3 arguments, but has 1"},
		{name: "cname, an unknown way", line: "rewrite cname x a b", err: `"x" is none of`},
		{name: "cname, a bad pattern", line: "rewrite cname regex ( b", err: `"(" is not a regular expression`},
		{name: "cname, empty", line: `rewrite cname "" b`, err: "FROM and TO must not be empty"},
		{name: "edns0 with too little", line: "rewrite edns0 local", err: "an edns0 rule wants at least 2 arguments, but has 1"},
		{name: "edns0, unknown", line: "rewrite edns0 lcal set 1 2", err: `"lcal" is none of local, nsid, subnet; did you mean "local"?`},
		{name: "edns0, an unknown action", line: "rewrite edns0 local sett 1 2", err: `"sett" is none of set, replace, append, unset; did you mean "set"?`},
		{name: "local with too little", line: "rewrite edns0 local set 1", err: `edns0 local set wants 2 arguments, but has 1; write "rewrite edns0 local set CODE DATA [revert]"`},
		{name: "local, no code", line: "rewrite edns0 local set 65536 a", err: `"65536" is not the code of an option`},
		{name: "local, no hex", line: "rewrite edns0 local set 1 0x6", err: `"0x6" is not data in hexadecimal digits`},
		{name: "local, no variable", line: "rewrite edns0 local set 1 {client_pi}", err: `"{client_pi}" is not a variable: {qname}, {qtype}, `},
		{name: "unset with revert", line: "rewrite edns0 local unset 1 revert", err: "edns0 local unset wants 1 arguments, but has 2"},
		{name: "nsid with data", line: "rewrite edns0 nsid set x", err: "edns0 nsid set wants 0 arguments, but has 1"},
		{name: "subnet, too many bits", line: "rewrite edns0 subnet set 33 128", err: `"33" is not a number of bits from 0 to 32`},
		{name: "subnet, too many bits of IPv6", line: "rewrite edns0 subnet set 32 129", err: `"129" is not a number of bits from 0 to 128`},
		{name: "all lines at once", line: "rewrite type X A\nrewrite class X IN", err: "Corefile:2: rewrite: \"X\" is not a type of questions, such as AAAA\nCorefile:3: rewrite: \"X\" is not a class"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ".:53 {\n"+tc.line+"\n}\n", "rewrite"))
			switch {
			case tc.err == "" && err != nil:
				t.Error(err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("error %v, want %s", err, tc.err)
			}
		})
	}
}
