{{/* The policy of a track as JSON: policy (ConfigMap or ""), keys, version, policyDigest. The ConfigMap's name ends in the
     digest of its content, so that pods of two revisions never read each other's policy. */}}
{{- define "moderation.policy" -}}
{{- $values := .root.Values -}}
{{- $result := dict "policy" "" "keys" list "version" $values.policy.version "policyDigest" "" -}}
{{- $files := $values.policy.files -}}
{{- if and (eq .track "canary") $values.canary.policy.files -}}
{{- $files = $values.canary.policy.files -}}
{{- $_ := set $result "version" $values.canary.policy.version -}}
{{- end -}}
{{- if $files -}}
{{- $digest := toJson $files | sha256sum | trunc 10 -}}
{{- $_ := set $result "policy" (printf "%s-policy-%s" (include "moderation.fullname" .root) $digest) -}}
{{- $_ := set $result "keys" (keys $files | sortAlpha) -}}
{{- $_ := set $result "policyDigest" $digest -}}
{{- else if $values.policy.existingConfigMap -}}
{{- $_ := set $result "policy" $values.policy.existingConfigMap -}}
{{- $_ := set $result "keys" $values.policy.existingKeys -}}
{{- end -}}
{{- toJson $result -}}
{{- end -}}
