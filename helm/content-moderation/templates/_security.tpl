{{/* `none` or `required`. */}}
{{- define "moderation.access" -}}
{{- dig "access" "mode" "none" .Values.security.config -}}
{{- end -}}

{{- define "moderation.audit" -}}
{{- dig "audit" "mode" "none" .Values.security.config -}}
{{- end -}}

{{/* security.yaml; the audit log lies where its claim is mounted. */}}
{{- define "moderation.securityFile" -}}
{{- $config := deepCopy .Values.security.config -}}
{{- if ne (include "moderation.audit" .) "none" -}}
{{- $_ := set $config "audit" (merge (dict "folder" "/var/lib/moderation/audit") $config.audit) -}}
{{- end -}}
{{ toYaml $config }}
{{- end -}}
