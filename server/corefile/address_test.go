package corefile

import (
	"fmt"
	"testing"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, line, want, wantErr string
	}{
		{name: "none", line: "health", want: ":8080"},
		{name: "a port", line: "health :9090", want: ":9090"},
		{name: "host and port", line: "health localhost:9090", want: "localhost:9090"},
		{name: "IPv6", line: "health [::1]:9090", want: "[::1]:9090"},
		{name: "no port", line: "health localhost", wantErr: `Corefile:1: health: "localhost" is not an address; write HOST:PORT or :PORT`},
		{name: "an empty port", line: "health localhost:", wantErr: `Corefile:1: health: "localhost:" is not an address; write HOST:PORT or :PORT`},
		{name: "IPv6 without brackets", line: "health ::1", wantErr: `Corefile:1: health: "::1" is not an address; write HOST:PORT or :PORT`},
		{name: "too great a port", line: "health :65536", wantErr: `Corefile:1: health: "65536" is not a port, in ":65536"`},
		{name: "two", line: "health :1 :2", wantErr: `Corefile:1: health: wants at most 1 argument, but has 2; write "health [HOST:PORT]"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file, err := Parse("Corefile", []byte(". { "+test.line+"\n}"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := file.Blocks[0].Directives[0].Address(":8080")
			if got != test.want {
				t.Errorf("address is %q, want %q", got, test.want)
			}
			if test.wantErr != "" && fmt.Sprint(err) != test.wantErr || test.wantErr == "" && err != nil {
				t.Errorf("error is %v, want %s", err, test.wantErr)
			}
		})
	}
}
