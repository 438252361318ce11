{{/* Names and labels. */}}

{{- define "moderation.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough that every suffix of the chart fits into 63 characters. */}}
{{- define "moderation.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "moderation.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "moderation.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes: selectors are immutable. */}}
{{- define "moderation.selector" -}}
app.kubernetes.io/name: {{ include "moderation.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "moderation.labels" -}}
{{ include "moderation.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: content-moderation
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Pods that serve; those of hooks and tests are not among them. */}}
{{- define "moderation.serverSelector" -}}
{{ include "moderation.selector" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "moderation.checkSelector" -}}
{{ include "moderation.selector" . }}
app.kubernetes.io/component: check
{{- end -}}

{{- define "moderation.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "moderation.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The values of the chosen profile. */}}
{{- define "moderation.profile" -}}
{{- get .Values.profiles .Values.profile | toJson -}}
{{- end -}}

{{/* registry/repository:tag or @digest. Argument: dict "root" $ "override" (tag, digest of a track). */}}
{{- define "moderation.image" -}}
{{- $image := .root.Values.image -}}
{{- $override := .override | default dict -}}
{{- $profile := include "moderation.profile" .root | fromJson -}}
{{- $repository := default $profile.repository $image.repository -}}
{{- if $image.registry -}}{{- $repository = printf "%s/%s" (trimSuffix "/" $image.registry) $repository -}}{{- end -}}
{{- $digest := $image.digest -}}
{{- if or $override.tag $override.digest -}}{{- $digest = $override.digest -}}{{- end -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default (default .root.Chart.AppVersion $image.tag) $override.tag) -}}
{{- end -}}
{{- end -}}

{{- define "moderation.replicas" -}}
{{- if kindIs "invalid" .Values.replicaCount -}}2{{- else -}}{{- .Values.replicaCount -}}{{- end -}}
{{- end -}}

{{/* Formulas. */}}

{{/* MiB: 26 for each Python instance, as backends/moderation/launcher/preflight.py asks for. */}}
{{- define "moderation.sharedMemory" -}}
{{- $profile := include "moderation.profile" . | fromJson -}}
{{- if .Values.sharedMemory.sizeMi -}}
{{- .Values.sharedMemory.sizeMi | int -}}
{{- else -}}
{{- mul 26 (int $profile.pythonInstances) -}}
{{- end -}}
{{- end -}}

{{/* The drain before SIGTERM, Triton's own after it, 15 s for models to unload and processes to end. */}}
{{- define "moderation.terminationGrace" -}}
{{- add .Values.drain.maxSeconds .Values.server.graceSeconds 15 -}}
{{- end -}}
