{{/* Names are looked up in the cluster's own DNS only. */}}
{{- define "moderation.dnsRule" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* Where a route sends its requests: the tracks by weight. Argument: dict "root" $ "port" number. */}}
{{- define "moderation.backends" -}}
{{- $name := include "moderation.fullname" .root -}}
{{- $canary := .root.Values.canary -}}
- name: {{ $name }}
  port: {{ .port }}
  {{- if $canary.enabled }}
  weight: {{ sub 100 (int $canary.weight) }}
- name: {{ $name }}-canary
  port: {{ .port }}
  weight: {{ $canary.weight | int }}
  {{- end }}
{{- end -}}
