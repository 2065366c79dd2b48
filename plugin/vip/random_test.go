package vip

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplane/nameplane/plugin/vip/plan"
)

// TestRandomLives: whatever happens to services, planes and Corefiles, in the end what is forwarded is what a plan made
// anew of the store says.
func TestRandomLives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { live(t, newWorld(t), rand.New(rand.NewPCG(seed, 23))) })
		})
	}
}

func live(t *testing.T, w *world, r *rand.Rand) {
	v := w.begin(plainCorefile)
	v.sync()
	wait(0)
	var told []string
	for range 150 {
		what := "waits"
		p := w.planes[0]
		name, n := fmt.Sprintf("s%d", r.IntN(6)), byte(r.IntN(4)) // two of them want the same address
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			what = "changes " + name
			v.web(name, n, fmt.Sprintf("10.1.0.%d", r.IntN(250)), fmt.Sprintf("10.1.1.%d", r.IntN(250)))
		case 4:
			what = "deletes " + name
			v.lease.Writer.DeleteService("default", name)
		case 5:
			what = "breaks"
			p.set(&p.applyErr, errKernel)
			if r.IntN(2) == 0 {
				p.set(&p.adoptErr, errKernel)
			}
		case 6, 7:
			what = "mends"
			p.set(&p.applyErr, nil)
			p.set(&p.adoptErr, nil)
		case 8:
			what = "loses"
			p.lose()
		case 9:
			what = "reloads"
			corefile := plainCorefile
			if r.IntN(2) == 0 {
				corefile = ". {\n vip {\n  mode relay\n  service_cidr 10.96.0.0/31\n }\n}\n"
			}
			next := w.begin(corefile)
			v.end(t)
			v = next
		default:
			wait(time.Duration(r.Int64N(int64(3 * time.Second))))
		}
		told = append(told, what)
		if r.IntN(3) == 0 {
			wait(0)
		}
	}
	p := w.planes[0]
	p.set(&p.applyErr, nil)
	p.set(&p.adoptErr, nil)
	wait(time.Minute)
	want := map[string]*plan.Service{}
	for _, s := range newState(&v.policy, v.lease.Store).All() {
		if len(s.Frontends) > 0 {
			want[s.Name] = s
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	same := len(p.has) == len(want)
	for name, s := range want {
		same = same && p.has[name] != nil && fmt.Sprint(p.has[name].Frontends) == fmt.Sprint(s.Frontends)
	}
	if !same || len(w.planes) != 1 {
		t.Errorf("after %q\n%d planes; it forwards\n%s\nwant\n%s", told, len(w.planes), table(p.has), table(want))
	}
	if sum := v.forwarder.current().ledger.totals(); sum.services != len(want) {
		t.Errorf("%d services are counted, want %d", sum.services, len(want))
	}
}

func table(services map[string]*plan.Service) string {
	var all []*plan.Service
	for _, s := range services {
		all = append(all, s)
	}
	return plan.Table(all)
}

// lose forgets everything, as if somebody had deleted it; the next check finds that.
func (p *fakePlane) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.has)
	p.checkErr = errKernel
}
