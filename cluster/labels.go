package cluster

import (
	"maps"
	"slices"
	"strings"
)

// packLabels is a pod's labels as one string, so that a pod costs one pointer for all of them, and pods of one workload may
// share it: names in order, each with its value behind it, every one of them ended by a zero byte, which neither can hold.
func packLabels(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if strings.IndexByte(name, 0) >= 0 || strings.IndexByte(labels[name], 0) >= 0 {
			continue
		}
		text.WriteString(name)
		text.WriteByte(0)
		text.WriteString(labels[name])
		text.WriteByte(0)
	}
	return text.String()
}

// Label is the value of one of the pod's labels.
func (p *Pod) Label(name string) (value string, ok bool) {
	for rest := p.labels; rest != ""; {
		var have string
		have, rest, _ = strings.Cut(rest, "\x00")
		value, rest, _ = strings.Cut(rest, "\x00")
		if have == name {
			return value, true
		}
	}
	return "", false
}
