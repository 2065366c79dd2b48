package world

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// aliasPlan is an ExternalName service whose target is chosen when every service is known.
type aliasPlan struct {
	service *corev1.Service
	aim     func(g *generator, self *corev1.Service) string
}

// planAlias makes an ExternalName service. Kinds of targets are dealt out in turn, over all namespaces.
func (g *generator) planAlias(namespace string) {
	s := newService(namespace, g.fresh("service/"+namespace, g.serviceName))
	s.Spec.Type = corev1.ServiceTypeExternalName
	if g.chance(30) {
		s.Spec.Ports = g.ports(anyPorts)
	}
	g.w.services = append(g.w.services, s)
	g.aliases = append(g.aliases, &aliasPlan{service: s, aim: targets[len(g.aliases)%len(targets)]})
}

func (g *generator) aim(a *aliasPlan) { a.service.Spec.ExternalName = a.aim(g, a.service) }

var targets = []func(g *generator, self *corev1.Service) string{
	outsideTarget,
	func(g *generator, _ *corev1.Service) string { return outsideNames[0] + "." },
	func(g *generator, _ *corev1.Service) string { return g.someService(isClusterIP) },
	func(g *generator, _ *corev1.Service) string { return g.someService(isClusterIP) + "." },
	func(g *generator, _ *corev1.Service) string { return g.someService(isHeadless) },
	// Chains, which close to a ring now and then.
	func(g *generator, _ *corev1.Service) string { return g.someService(isAlias) },
	func(g *generator, _ *corev1.Service) string { return g.someService(isAlias) },
	func(_ *generator, self *corev1.Service) string { return nameOf(self) },
	func(g *generator, self *corev1.Service) string {
		return "missing." + self.Namespace + ".svc.cluster.local"
	},
	func(g *generator, _ *corev1.Service) string { return fmt.Sprintf("192.0.2.%d", g.rand.IntN(256)) },
	// Relative to the cluster in the operator's mind, absolute to DNS.
	func(g *generator, self *corev1.Service) string { return "web." + self.Namespace },
	func(_ *generator, _ *corev1.Service) string { return "cluster.local" },
	func(_ *generator, self *corev1.Service) string {
		return "10-244-0-1." + self.Namespace + ".pod.cluster.local"
	},
}

func outsideTarget(g *generator, _ *corev1.Service) string { return pick(g.rand, outsideNames) }

// someService is the absolute name, without the last dot, of a service of the given sort.
func (g *generator) someService(sort func(*corev1.Service) bool) string {
	var names []string
	for _, s := range g.w.services {
		if sort(s) {
			names = append(names, nameOf(s))
		}
	}
	return pick(g.rand, names)
}

// nameOf leaves out the last dot, as operators do.
func nameOf(s *corev1.Service) string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

func isAlias(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeExternalName }

func isHeadless(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }

func isClusterIP(s *corev1.Service) bool { return !isAlias(s) && !isHeadless(s) }
