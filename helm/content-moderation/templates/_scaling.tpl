{{/* Up at once, down slowly: a cold pod needs its start time before it helps. */}}
{{- define "moderation.scaling" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - type: Percent
      value: 100
      periodSeconds: 30
    - type: Pods
      value: 2
      periodSeconds: 30
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownSeconds | int }}
  policies:
    - type: Pods
      value: 1
      periodSeconds: 60
{{- end -}}

{{/* Mean microseconds in the entry model's queue over the last two minutes, all stable pods. */}}
{{- define "moderation.queueQuery" -}}
{{- $which := printf "namespace=%q,pod=~%q,model=%q" .Release.Namespace (printf "%s-[a-z0-9]+-[a-z0-9]+" (include "moderation.fullname" .)) "content-moderation-ensemble" -}}
sum(rate(nv_inference_queue_duration_us{ {{- $which -}} }[2m])) / clamp_min(sum(rate(nv_inference_request_success{ {{- $which -}} }[2m])), 0.001)
{{- end -}}
