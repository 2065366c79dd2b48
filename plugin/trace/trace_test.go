package trace

import (
	"io"
	"testing"

	"github.com/nameplane/nameplane/test/block"
)

func TestRefusal(t *testing.T) {
	t.Parallel()
	const rest = "Remove the line; log prints each query with its duration, and prometheus counts durations by zone and view"
	for _, test := range []struct {
		name, corefile, want string
	}{
		{name: "bare", corefile: "trace", want: "Corefile:2: trace: there is no tracing: no spans would be sent to a Zipkin or Datadog endpoint. " + rest},
		{name: "with an endpoint", corefile: "trace zipkin tracing:9411 {\n every 100\n}", want: "Corefile:2: trace: there is no tracing: no spans would be sent to tracing:9411. " + rest},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, err := Spec().Build(block.NewEnv(io.Discard), block.Lines(t, ". {\n"+test.corefile+"\n}", "trace"))
			if h != nil || err == nil || err.Error() != test.want {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}
