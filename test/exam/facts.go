package exam

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// facts are what the judge of a difference has to know about a cluster.
type facts struct {
	namespaces map[string]*corev1.Namespace
}

// readFacts asks the API server, who may have changed what it was given.
func readFacts(ctx context.Context, client kubernetes.Interface) (*facts, error) {
	f := &facts{namespaces: map[string]*corev1.Namespace{}}
	namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range namespaces.Items {
		f.namespaces[namespaces.Items[i].Name] = &namespaces.Items[i]
	}
	return f, nil
}

// shows tells whether a namespace exists and a Corefile lets it be seen.
func (f *facts) shows(c *corefile, namespace string) bool {
	ns := f.namespaces[namespace]
	return ns != nil && (c.shows == nil || c.shows(ns))
}
