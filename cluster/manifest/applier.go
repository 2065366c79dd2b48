package manifest

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/nameplane/nameplane/cluster"
)

// applier brings a Store to a state, by difference: the Writer leaves alone what is as it was.
type applier struct {
	writer *cluster.Writer
	log    *slog.Logger
	rules  rules
	told   map[string]bool // problems that were logged and counted
}

// all applies the files' objects. New things come before old ones go, and endpoints before their service, so that no
// reader meets a name which is there before and after but not between.
func (a *applier) all(files []*objects) {
	state := a.rules.derive(files)
	kinds := a.rules.kinds()
	for _, kind := range kinds {
		a.writer.BeginList(kind)
	}
	for _, name := range state.namespaces {
		a.writer.PutNamespace(name)
	}
	for _, slice := range state.slices {
		a.writer.PutSlice(slice)
	}
	for _, service := range state.services {
		service.Ports = slices.Clone(service.Ports) // the Writer keeps them
		service.ClusterIPs = slices.Clone(service.ClusterIPs)
		a.writer.PutService(service)
	}
	for _, spec := range state.imports {
		a.writer.PutImport(spec)
	}
	for _, spec := range state.hosts {
		a.writer.PutHosts(spec)
	}
	for _, pod := range state.pods {
		a.writer.PutPod(pod)
	}
	for _, pod := range state.ending {
		a.writer.KeepPod(pod.Namespace, pod.Name)
	}
	if state.node != nil {
		a.writer.PutNode(state.node)
	}
	for _, kind := range kinds {
		a.writer.EndList(kind)
	}
	a.tell(state.problems)
	a.log.Info("manifests read", "files", len(files), "namespaces", len(state.namespaces), "services", len(state.services),
		"endpointslices", len(state.slices), "pods", len(state.pods))
}

// tell logs and counts the problems that are new.
func (a *applier) tell(problems []string) {
	told := map[string]bool{}
	for _, problem := range problems {
		if !a.told[problem] && !told[problem] {
			a.log.Warn("a manifest breaks a rule", "problem", problem)
			a.writer.Skip()
		}
		told[problem] = true
	}
	a.told = told
}

// fail reports what is wrong with files now, or that nothing is any more.
func (a *applier) fail(failures []string) {
	if len(failures) == 0 {
		if a.writer.Fail("") {
			a.log.Info("all manifests can be read again")
		}
		return
	}
	a.writer.Fail("%s", strings.Join(failures, "; "))
}
