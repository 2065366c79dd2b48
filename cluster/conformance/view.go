package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// View is a namespace's part of a Store as text, one line for each fact, sorted: what a test compares. Its lines are
//
//	namespace
//	service NAME TYPE [ADDRESS…] [to EXTERNALNAME] [outside ADDRESS|NAME…] [PORT/PROTOCOL=NUMBER…]
//	endpoint SERVICE ADDRESS [name NAME | pod NAME] [zone ZONE] [PORT/PROTOCOL=NUMBER…]
//	forwarding SERVICE [proxy NAME] [balancer ADDRESS…] [external ADDRESS…] [from PREFIX…|nobody] [node-ports NUMBER…]
//		[health NUMBER] [affinity DURATION] [internal-local] [external-local]
//	backend SERVICE ADDRESS [node NAME] [zone ZONE] [for-nodes NAME…] [for-zones ZONE…] [unready] [unserving] [terminating]
//		[PORT/PROTOCOL=NUMBER…]
//	import NAME TYPE [ADDRESS…] [PORT/PROTOCOL=NUMBER…]
//	imported SERVICE ADDRESS [name NAME | pod NAME] [zone CLUSTER] [PORT/PROTOCOL=NUMBER…]
//	host NAME [ADDRESS|NAME…]
//	node NAME [zone ZONE] [at ADDRESS…] [leaving]
//	reverse ADDRESS SERVICE
//	pod ADDRESS NAME [app=LABEL]
//
// where reverse and pod lines come from the Store's look-ups by address, for the addresses asked for.
func View(store *cluster.Store, namespace string, addrs ...string) string {
	var lines []string
	if wire := append([]byte{byte(len(namespace))}, namespace...); store.HasNamespace(wire) {
		lines = append(lines, "namespace")
	}
	store.Services(func(svc *cluster.Service) {
		if svc.Namespace() == namespace {
			lines = append(lines, service(svc))
			lines = append(lines, endpoints(svc)...)
			lines = append(lines, forwarding(svc)...)
			lines = append(lines, backends(svc)...)
		}
	})
	lines = append(lines, outsiders(store, namespace)...)
	lines = append(lines, node(store.Node())...)
	for _, text := range addrs {
		lines = append(lines, reverse(store, namespace, text)...)
	}
	return join(lines)
}

func service(svc *cluster.Service) string {
	types := map[cluster.ServiceType]string{
		cluster.ClusterIP: "cluster-ip", cluster.Headless: "headless", cluster.ExternalName: "external-name",
	}
	line := []string{"service", svc.Name(), types[svc.Type]}
	for _, a := range svc.ClusterIPs {
		line = append(line, a.String())
	}
	if svc.ExternalName != "" {
		line = append(line, "to", svc.ExternalName)
	}
	for i, e := range svc.External {
		if i == 0 {
			line = append(line, "outside")
		}
		line = append(line, e.String())
	}
	return strings.Join(append(line, ports(svc.Ports)...), " ")
}

func endpoints(svc *cluster.Service) []string {
	var lines []string
	for i := range svc.Endpoints.List {
		e := &svc.Endpoints.List[i]
		line := []string{"endpoint", svc.Name(), e.Addr.String()}
		if name := svc.Endpoints.Name(e, false); name != "" {
			line = append(line, "name", name)
		} else if name := svc.Endpoints.Name(e, true); name != "" {
			line = append(line, "pod", name)
		}
		if zone := svc.Endpoints.Zone(e); zone != "" {
			line = append(line, "zone", zone)
		}
		lines = append(lines, strings.Join(append(line, ports(svc.Endpoints.Ports[e.PortsSet])...), " "))
	}
	return lines
}

func ports(list []cluster.Port) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = fmt.Sprintf("%s/%s=%d", p.Name, p.Protocol, p.Number)
	}
	return out
}

// reverse proves each hint on the service's record, as Holders asks of its callers.
func reverse(store *cluster.Store, namespace, text string) []string {
	addr, err := cluster.ParseAddr(text)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	holders := store.Holders(addr)
	for svc := holders.Next(); svc != nil; svc = holders.Next() {
		if svc.Namespace() == namespace && (svc.HasClusterIP(addr) || svc.HasExternal(addr) || len(svc.Endpoints.At(addr)) > 0) {
			lines = append(lines, fmt.Sprintf("reverse %s %s", addr, svc.Name()))
		}
	}
	for pod := store.PodAt(addr); pod != nil; pod = pod.Next() {
		if pod.Namespace == namespace {
			line := fmt.Sprintf("pod %s %s", addr, pod.Name)
			if app, ok := pod.Label("app"); ok {
				line += " app=" + app
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func join(lines []string) string {
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}
