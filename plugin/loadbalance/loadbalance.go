// Package loadbalance is the directive that changes the order of addresses in replies, since most clients take the first.
// The usual order, a random one, is made on the bytes of the reply; the others, which look at the addresses, unpack it.
package loadbalance

import (
	"context"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplane/nameplane/plugin"
	"github.com/nameplane/nameplane/server/corefile"
)

const (
	form = "loadbalance [round_robin | weighted FILE]"

	// defaultReload is how often a file of weights is looked at, as in CoreDNS.
	defaultReload = 30 * time.Second
)

// Spec declares the directive.
func Spec() plugin.Spec {
	return plugin.Spec{
		Name:    "loadbalance",
		Summary: "orders addresses in replies",
		Build:   build,
	}
}

func build(env *plugin.Env, lines []*corefile.Directive) (plugin.Handler, error) {
	line, err := corefile.Only(lines)
	if err != nil {
		return nil, err
	}
	var problems corefile.Errors
	h := &Handler{}
	h.weights, err = readPolicy(env, line)
	problems.Join(err)
	reload := corefile.Duration("reload", "reload DURATION", new(time.Duration), 0, 0)
	if h.weights != nil {
		reload = corefile.Duration("reload", "reload DURATION", &h.weights.reload, 0, 0)
	}
	problems.Join(line.Decode(
		corefile.Func("prefer", "prefer CIDR...", 1, -1, func(o *corefile.Directive) error {
			subnets, err := readSubnets(o)
			h.prefer = append(h.prefer, subnets...)
			return err
		}).Repeated(),
		reload,
	))
	for _, option := range line.Body {
		if option.Name == "reload" && h.weights == nil && err == nil {
			problems.Join(option.Errorf(`there is no file to look at; it goes with "loadbalance weighted FILE"`))
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// readPolicy is the weights that a line asks for, nil where it asks for random order.
func readPolicy(env *plugin.Env, line *corefile.Directive) (*weights, error) {
	if len(line.Args) == 0 {
		return nil, nil
	}
	rest := line.Args[1:]
	switch policy := line.Args[0].Text; policy {
	case "round_robin":
		if len(rest) > 0 {
			return nil, line.Errorf("round_robin takes no argument; write %q", form)
		}
		return nil, nil
	case "weighted":
		if len(rest) != 1 || rest[0].Text == "" {
			return nil, line.Errorf("weighted wants a file; write %q", form)
		}
		file := rest[0].Text
		if !filepath.IsAbs(file) {
			file = filepath.Join(env.Dir, file)
		}
		return &weights{file: file, reload: defaultReload, log: env.Log}, nil
	default:
		return nil, line.Errorf("%q is no policy; write %q", policy, form)
	}
}

func readSubnets(o *corefile.Directive) (subnets []netip.Prefix, err error) {
	var problems corefile.Errors
	for _, arg := range o.Args {
		subnet, err := netip.ParsePrefix(arg.Text)
		if err != nil {
			problems.Join(o.Errorf("%q is not an address block such as 10.0.0.0/8", arg.Text))
			continue
		}
		subnets = append(subnets, subnet.Masked())
	}
	return subnets, problems.Err()
}

// Handler orders the addresses in the replies of the rest of the chain.
type Handler struct {
	weights *weights // nil for random order
	prefer  []netip.Prefix
}

// Name is "loadbalance".
func (h *Handler) Name() string { return "loadbalance" }

// Start reads the file of weights.
func (h *Handler) Start(context.Context) error {
	if h.weights == nil {
		return nil
	}
	return h.weights.start()
}

// Run looks at the file of weights again and again.
func (h *Handler) Run(ctx context.Context) error {
	if h.weights != nil {
		h.weights.follow(ctx)
	}
	return nil
}

// Serve orders positive replies; of a transfer the order is its meaning (RFC 5936, section 2.2).
func (h *Handler) Serve(ctx context.Context, x *plugin.Exchange) error {
	if err := x.Next(ctx); err != nil {
		return err
	}
	if !x.Reply.Made() || x.Reply.Rcode() != dns.RcodeSuccess || x.Query.Type == dns.TypeAXFR || x.Query.Type == dns.TypeIXFR {
		return nil
	}
	if h.weights == nil {
		if err := x.Reply.Shuffle(&x.Query); err != nil {
			return err
		}
		if len(h.prefer) == 0 {
			return nil
		}
	}
	if x.Reply.Records() < 2 {
		return nil
	}
	return x.Reply.Edit(&x.Query, func(m *dns.Msg) {
		if h.weights != nil {
			h.weights.order(x.Query.Type, m)
		}
		if len(h.prefer) > 0 {
			m.Answer, m.Extra = preferred(m.Answer, h.prefer), preferred(m.Extra, h.prefer)
		}
	})
}
