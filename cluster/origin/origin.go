// Package origin reads from a Corefile where a cluster's objects come from. The lines are the same in every directive that
// reads a cluster, so that one can be told to share what another one follows, and a word means one thing only.
package origin

import (
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nameplane/nameplane/cluster"
	"github.com/nameplane/nameplane/server/corefile"
)

// Options are the lines of a directive that say where the objects come from, decoded into o. Relative paths start at dir,
// where the Corefile lies.
func Options(o *cluster.Origin, dir string, log *slog.Logger) []corefile.Option {
	file := func(arg corefile.Token) string {
		if filepath.IsAbs(arg.Text) {
			return arg.Text
		}
		return filepath.Join(dir, arg.Text)
	}
	return []corefile.Option{
		corefile.Func("endpoint", "endpoint URL", 1, -1, func(line *corefile.Directive) error {
			o.Endpoint = line.Args[0].Text
			if len(line.Args) > 1 {
				log.Warn("only the first endpoint is used", "at", line.Pos, "endpoint", o.Endpoint)
			}
			return nil
		}),
		corefile.Func("tls", "tls CERT KEY CA", 3, 3, func(line *corefile.Directive) error {
			o.CertFile, o.KeyFile, o.CAFile = file(line.Args[0]), file(line.Args[1]), file(line.Args[2])
			return nil
		}),
		corefile.Func("kubeconfig", "kubeconfig FILE [CONTEXT]", 1, 2, func(line *corefile.Directive) error {
			o.Kubeconfig = file(line.Args[0])
			if len(line.Args) == 2 {
				o.Context = line.Args[1].Text
			}
			return nil
		}),
		corefile.Func("manifests", "manifests PATH...", 1, -1, func(line *corefile.Directive) error {
			for _, arg := range line.Args {
				o.Manifests = append(o.Manifests, file(arg))
			}
			return nil
		}).Repeated(),
		corefile.Func("service_cidr", "service_cidr CIDR...", 1, -1, func(line *corefile.Directive) (err error) {
			o.ServiceCIDRs, err = CIDRs(line, line.Args, "10.96.0.0/12")
			return err
		}),
		corefile.Func("labels", "labels SELECTOR", 1, -1, selector(&o.Labels)),
		corefile.Func("namespace_labels", "namespace_labels SELECTOR", 1, -1, selector(&o.NamespaceLabels)),
		corefile.Func("apiserver_qps", "apiserver_qps REQUESTS", 1, 1, func(line *corefile.Directive) error {
			qps, err := strconv.ParseFloat(line.Args[0].Text, 32)
			if err != nil || qps < 0 || math.IsInf(qps, 0) || math.IsNaN(qps) {
				return line.Errorf("%q is not a number of requests a second, 0 or more", line.Args[0].Text)
			}
			o.QPS = float32(qps)
			return nil
		}),
		corefile.Int("apiserver_burst", "apiserver_burst REQUESTS", &o.Burst, 0, math.MaxInt32),
		corefile.Int("apiserver_max_inflight", "apiserver_max_inflight REQUESTS", &o.MaxInflight, 0, math.MaxInt32),
	}
}

// CIDRs are address blocks, as words of their own or with commas between them, which is how Kubernetes' flags write those of
// two families, and one variable of the environment can hold. example is one that would be right.
func CIDRs(line *corefile.Directive, args []corefile.Token, example string) (list []netip.Prefix, err error) {
	var problems corefile.Errors
	for _, arg := range args {
		for text := range strings.SplitSeq(arg.Text, ",") {
			cidr, err := netip.ParsePrefix(text)
			if err != nil {
				problems.Join(arg.Errorf("%s: %q is not an address block such as %s", line.Name, text, example))
				continue
			}
			list = append(list, cidr.Masked())
		}
	}
	return list, problems.Err()
}

// selector joins the words of a label selector, which may hold spaces.
func selector(into *string) func(*corefile.Directive) error {
	return func(line *corefile.Directive) error {
		words := make([]string, len(line.Args))
		for i, arg := range line.Args {
			words[i] = arg.Text
		}
		*into = strings.Join(words, " ")
		return nil
	}
}

// Of is the origin that a directive names among its other lines.
func Of(d *corefile.Directive, dir string) (o cluster.Origin, err error) {
	options := Options(&o, dir, slog.New(slog.DiscardHandler))
	own := *d
	own.Body = slices.DeleteFunc(slices.Clone(d.Body), func(line *corefile.Directive) bool {
		return !slices.ContainsFunc(options, func(option corefile.Option) bool { return option.Name == line.Name })
	})
	return o, own.Decode(options...)
}
