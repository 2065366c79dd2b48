package vip

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A reload that changes nothing here touches nothing; the forwarder goes on.
func TestReloadUnchanged(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old, p := begun(t, w)
		next := w.begin(plainCorefile)
		old.end(t)
		wait(time.Minute)
		wants(t, "the plane", p.taken(), "")
		if len(w.planes) != 1 {
			t.Errorf("%d planes were opened", len(w.planes))
		}
		next.web("a", 1, "10.1.0.2")
		wait(0)
		wants(t, "a change after it", p.taken(), "apply 1")
		next.end(t)
		wants(t, "the end", p.taken(), "close")
	})
}

// What a reload changes is made so by comparison with what is there.
func TestReloadPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old, p := begun(t, w)
		next := w.begin(". {\n vip {\n  mode relay\n  services proxy-name=other\n }\n}\n")
		old.end(t)
		wait(time.Second)
		wants(t, "the plane", p.taken(), "adopt 0")
		wants(t, "a", p.backends("a"), "none")
		next.end(t)
	})
}

// A new Corefile that never ran changes nothing, as when another directive of it could not start.
func TestReloadGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		_, p := begun(t, w)
		next, err := w.build(". {\n vip {\n  mode relay\n  services proxy-name=other\n }\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(next.Start(t.Context()), next.Close()); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		wants(t, "the plane", p.taken(), "")
		wants(t, "a", p.backends("a"), "10.1.0.1:8080")

		other, err := w.build(". {\n vip {\n  mode plan\n }\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(other.Start(t.Context()), other.Close()); err != nil {
			t.Fatal(err)
		}
		wants(t, "the plane of another mode", w.planes[1].taken(), "close")
		wants(t, "the plane", p.taken(), "")
	})
}

// Another cluster's services take over once they are known; until then what is forwarded stays.
func TestReloadSource(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		old, p := begun(t, w)
		next := w.begin(". {\n vip {\n  mode relay\n  manifests other\n }\n}\n")
		next.lease.Writer.Expect("other", 0)
		old.end(t)
		next.web("b", 2, "10.1.0.2")
		wait(time.Minute)
		wants(t, "before the list", p.taken(), "")
		p.set(&p.checkErr, errKernel)
		wait(checkEvery)
		wants(t, "what is gone meanwhile", p.taken(), "adopt 1")
		next.sync()
		wait(time.Second)
		wants(t, "after it", p.taken(), "adopt 1")
		wants(t, "a", p.backends("a"), "none")
		wants(t, "b", p.backends("b"), "10.1.0.2:8080")
		old.web("c", 3, "10.1.0.3")
		wait(time.Second)
		wants(t, "what changes in the old cluster", p.taken(), "")
	})
}

// Modes change by a reload where nothing is left behind.
func TestReloadMode(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{from: modePlan, to: modeRelay},
		{from: modeRelay, to: modeNftables},
		{from: modeRelay, to: modePlan},
		{from: modeNftables, to: modeRelay, want: `mode relay: a reload cannot leave the mode nftables, whose rules would go on to catch the traffic; stop, run "nameplane vip cleanup", and start again`},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				corefile := func(mode string) string { return ". {\n vip {\n  mode " + mode + "\n  pod_cidr 10.1.0.0/16\n }\n}\n" }
				old := w.begin(corefile(test.from))
				old.web("a", 1, "10.1.0.1")
				old.sync()
				wait(time.Second)
				next, err := w.build(corefile(test.to))
				if err != nil {
					t.Fatal(err)
				}
				err = next.Start(t.Context())
				if test.want != "" {
					if err == nil || err.Error() != test.want {
						t.Errorf("error %v, want %s", err, test.want)
					}
					wants(t, "the plane", w.planes[0].taken(), "adopt 1")
					if err := next.Close(); err != nil {
						t.Error(err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				i := w.run(next)
				old.end(t)
				wait(time.Second)
				wants(t, "the old plane", w.planes[0].taken(), "adopt 1, close")
				wants(t, "the new plane", w.planes[1].taken(), "adopt 1")
				i.end(t)
				wants(t, "the new plane", w.planes[1].taken(), "close")
			})
		})
	}
}

// A mode that cannot work here keeps the Corefile from taking effect.
func TestStartFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cannot = errKernel
		v, err := w.build(plainCorefile)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Start(t.Context()); !errors.Is(err, errKernel) {
			t.Errorf("Start says %v", err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Beside a kube-proxy only services that it leaves alone are taken, be it from the start or by a reload.
func TestStartBesideKubeProxy(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		corefile := func(mode, services string) string {
			return ". {\n vip {\n  mode " + mode + "\n  services " + services + "\n }\n}\n"
		}
		starts := func(text string) error {
			v, err := w.build(text)
			if err != nil {
				t.Fatal(err)
			}
			return errors.Join(v.Start(t.Context()), v.Close())
		}
		w.rival = true
		if err := starts(corefile(modeRelay, "all")); err == nil || !strings.HasPrefix(err.Error(), "a kube-proxy forwards on this node: ") {
			t.Errorf("error %v", err)
		}
		if err := starts(corefile(modePlan, "all")); err != nil {
			t.Errorf("a plan disturbs nobody: %v", err)
		}
		w.begin(corefile(modeRelay, "proxy-name=x"))
		wait(time.Second)
		if err := starts(corefile(modeRelay, "all")); err == nil {
			t.Error("a reload takes all services")
		}
		w.rival = false
		w.begin(corefile(modeRelay, "all"))
		wait(time.Second)
		w.rival = true
		if err := starts(corefile(modeRelay, "all")); err != nil {
			t.Errorf("a reload that changes nothing: %v", err)
		}
	})
}

// The API server must not be behind what this process forwards.
func TestStartBehindItself(t *testing.T) {
	for _, test := range []struct {
		name, endpoint, services string
		want                     string
	}{
		{name: "a virtual IP", endpoint: "https://10.96.0.1:443", services: "all", want: "the API server is reached at https://10.96.0.1:443, which is a virtual IP (service_cidr 10.96.0.0/12)"},
		{name: "its own address", endpoint: "https://192.168.0.1:6443", services: "all"},
		{name: "a name", endpoint: "https://api.example:6443", services: "all"},
		{name: "kube-proxy's virtual IP", endpoint: "https://10.96.0.1:443", services: "proxy-name=x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				v, err := w.build(". {\n vip {\n  mode relay\n  service_cidr 10.96.0.0/12\n  endpoint " + test.endpoint + "\n  services " + test.services + "\n }\n}\n")
				if err != nil {
					t.Fatal(err)
				}
				err = v.Start(t.Context())
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				if err := v.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
