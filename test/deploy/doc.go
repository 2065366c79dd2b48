// Package deploy holds what is shipped in the folder deploy to what it promises: manifests that parse strictly as their
// types, rights that are those which the Corefile needs and no others, probes and ports that are the Corefile's, metrics
// that exist. With NAMEPLANE_E2E=1 they are applied to a real API server, over what kubeadm leaves there, and the program
// runs with the rights that they give it; and the Helm chart renders what kustomize renders.
//
// The files are read as they are, without kustomize, wherever that says enough: a machine with nothing but Go has none.
package deploy
