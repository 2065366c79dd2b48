{{/*
The chart has no manifests of its own: it reads the kustomizations of the folder deploy, which lie in "files", so that there
is one text of each object. A template can return nothing but text, so the objects are put into the dictionary that it is given.

nameplane.kustomize does what kustomize does with the folder .dir: resources, namespace, components, JSON patches. Nothing else
is used there.
*/}}
{{- define "nameplane.kustomize" -}}
  {{- $here := . -}}
  {{- $file := printf "%s/kustomization.yaml" .dir -}}
  {{- $wanted := required (printf "there is no %s" $file) (.files.Get $file) | fromYaml -}}
  {{- range $wanted.resources | default list -}}
    {{- $path := clean (printf "%s/%s" $here.dir .) -}}
    {{- if hasSuffix ".yaml" . -}}
      {{- $_ := set $here "objects" (append $here.objects ($here.files.Get $path | fromYaml)) -}}
    {{- else -}}
      {{- include "nameplane.add" (dict "to" $here "dir" $path) -}}
    {{- end -}}
  {{- end -}}
  {{- range $wanted.components | default list -}}
    {{- include "nameplane.component" (dict "to" $here "dir" (clean (printf "%s/%s" $here.dir .))) -}}
  {{- end -}}
  {{- with $wanted.namespace -}}
    {{- include "nameplane.namespace" (dict "objects" $here.objects "namespace" .) -}}
  {{- end -}}
  {{- range $patch := $wanted.patches | default list -}}
    {{- $operations := $patch.patch | default "" | fromYamlArray -}}
    {{- with $patch.path -}}
      {{- $operations = $here.files.Get (printf "%s/%s" $here.dir .) | fromYamlArray -}}
    {{- end -}}
    {{- range $object := $here.objects -}}
      {{- $named := eq ($patch.target.name | default $object.metadata.name) $object.metadata.name -}}
      {{- if and (eq $object.kind $patch.target.kind) $named -}}
        {{- include "nameplane.patch" (dict "object" $object "operations" $operations) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{/* nameplane.add appends the objects of a folder to .to. */}}
{{- define "nameplane.add" -}}
  {{- $inner := dict "files" .to.files "dir" .dir "objects" list -}}
  {{- include "nameplane.kustomize" $inner -}}
  {{- $_ := set .to "objects" (concat .to.objects $inner.objects) -}}
{{- end -}}

{{/* nameplane.component lets a component add to the objects of .to, and change them. */}}
{{- define "nameplane.component" -}}
  {{- $inner := dict "files" .to.files "dir" .dir "objects" .to.objects -}}
  {{- include "nameplane.kustomize" $inner -}}
  {{- $_ := set .to "objects" $inner.objects -}}
{{- end -}}

{{/* nameplane.namespace moves objects, and the accounts that bindings name. */}}
{{- define "nameplane.namespace" -}}
  {{- $namespace := .namespace -}}
  {{- range .objects -}}
    {{- if not (has .kind (list "Namespace" "ClusterRole" "ClusterRoleBinding")) -}}
      {{- $_ := set .metadata "namespace" $namespace -}}
    {{- end -}}
    {{- range .subjects -}}
      {{- $_ := set . "namespace" $namespace -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{/* nameplane.patch does the operations add, replace and remove of RFC 6902 on .object. */}}
{{- define "nameplane.patch" -}}
  {{- $object := .object -}}
  {{- range .operations -}}
    {{- $words := splitList "/" (trimPrefix "/" .path) -}}
    {{- $last := last $words -}}
    {{- $at := $object -}}
    {{- $above := dict -}}
    {{- range initial $words -}}
      {{- if kindIs "slice" $at -}}
        {{- $at = index $at (int .) -}}
      {{- else -}}
        {{- $above = dict "in" $at "key" . -}}
        {{- $at = index $at . -}}
      {{- end -}}
    {{- end -}}
    {{- if eq .op "remove" -}}
      {{- $_ := unset $at $last -}}
    {{- else if eq $last "-" -}}
      {{- $_ := set $above.in $above.key (append $at .value) -}}
    {{- else -}}
      {{- $_ := set $at $last .value -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
