package custom

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplane/nameplane/cluster"
)

func addr(t *testing.T, text string) cluster.Addr {
	t.Helper()
	a, err := cluster.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestServiceImport(t *testing.T) {
	tests := []struct {
		name  string
		text  string
		want  cluster.ServiceSpec
		flaws []cluster.Flaw
		wrong bool
	}{
		{
			name: "virtual IPs",
			text: `{"metadata":{"namespace":"n","name":"web"},"spec":{"type":"ClusterSetIP","ips":["10.0.0.1","x"],"ports":[{"name":"http","port":80},{"protocol":"UDP","port":53},{"port":70000}]}}`,
			want: cluster.ServiceSpec{
				Namespace: "n", Name: "web", Type: cluster.ClusterIP, ClusterIPs: []cluster.Addr{addr(t, "10.0.0.1")},
				Ports: []cluster.Port{{Name: "http", Number: 80}, {Protocol: cluster.UDP, Number: 53}},
			},
			flaws: []cluster.Flaw{{Field: "spec.ips[1]", Value: "x"}, {Field: "spec.ports[2].port", Value: "70000"}},
		},
		{
			name: "headless",
			text: `{"metadata":{"namespace":"n","name":"db"},"spec":{"type":"Headless","ports":null}}`,
			want: cluster.ServiceSpec{Namespace: "n", Name: "db", Type: cluster.Headless},
		},
		{name: "of another shape", text: `{"spec":{"ips":5}}`, wrong: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec, _, flaws, err := ServiceImport([]byte(test.text))
			if (err != nil) != test.wrong {
				t.Fatal(err)
			}
			if test.wrong {
				return
			}
			if diff := cmp.Diff(test.want, spec); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.flaws, flaws); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGateway(t *testing.T) {
	spec, meta, err := Gateway([]byte(`{"metadata":{"namespace":"n","name":"gw","resourceVersion":"7"},
		"spec":{"gatewayClassName":"c","listeners":[{"name":"a","hostname":"*.Example.org","port":80},{"name":"b"}]},
		"status":{"addresses":[{"type":"IPAddress","value":"192.0.2.1"},{"value":"lb.example"},{"value":""}]}}`))
	if err != nil || meta.ResourceVersion != "7" {
		t.Fatal(meta, err)
	}
	want := cluster.HostSpec{
		Kind: cluster.KindGateway, Namespace: "n", Name: "gw",
		Hosts:    []cluster.HostRule{{Name: "*.example.org", Listener: "a"}, {Listener: "b"}},
		External: []cluster.External{{Addr: addr(t, "192.0.2.1")}, {Name: "lb.example"}},
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPRoute(t *testing.T) {
	const spec = `"spec":{"hostnames":["A.example.org"],"parentRefs":[{"name":"gw"},{"name":"web","kind":"Service","group":""},{"name":"far","namespace":"m","sectionName":"s"}]}`
	const status = `"status":{"parents":[
		{"parentRef":{"name":"gw"},"conditions":[{"type":"Accepted","status":"True"},{"type":"ResolvedRefs","status":"True"}]},
		{"parentRef":{"name":"far","namespace":"m"},"conditions":[{"type":"Accepted","status":"False"}]}]}`
	tests := []struct {
		name     string
		text     string
		accepted bool
		want     []cluster.Parent
	}{
		{name: "accepted by one of two", text: spec + "," + status, want: []cluster.Parent{{Namespace: "n", Name: "gw"}}},
		{name: "accepted by none yet", text: spec},
		{name: "where nobody accepts", text: spec, accepted: true, want: []cluster.Parent{{Namespace: "n", Name: "gw"}, {Namespace: "m", Name: "far", Listener: "s"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := HTTPRoute([]byte(`{"metadata":{"namespace":"n","name":"r"},`+test.text+`}`), test.accepted)
			if err != nil {
				t.Fatal(err)
			}
			want := cluster.HostSpec{Kind: cluster.KindHTTPRoute, Namespace: "n", Name: "r", Hosts: []cluster.HostRule{{Name: "a.example.org"}}, Parents: test.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzObjects(f *testing.F) {
	f.Add([]byte(`{"metadata":{"namespace":"n","name":"web"},"spec":{"type":"ClusterSetIP","ips":["10.0.0.1"],"ports":[{"name":"http","port":80}],"listeners":[{"hostname":"a"}],"hostnames":["b"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, w := cluster.NewStore()
		if spec, _, _, err := ServiceImport(text); err == nil {
			w.PutImport(&spec)
		}
		if spec, _, err := Gateway(text); err == nil {
			w.PutHosts(&spec)
		}
		if spec, _, err := HTTPRoute(text, true); err == nil {
			w.PutHosts(&spec)
			w.DeleteHosts(spec.Kind, spec.Namespace, spec.Name)
		}
	})
}
