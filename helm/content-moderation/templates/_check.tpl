{{/* The pod of the analysis hook and of `helm test`. Argument: dict "root" $ "watch" seconds. */}}
{{- define "moderation.checkPod" -}}
{{- $values := .root.Values -}}
restartPolicy: Never
serviceAccountName: {{ include "moderation.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "moderation.pullSecrets" .root | trim }}
{{ . }}
{{- end }}
securityContext:
  {{- include "moderation.podSecurity" .root | nindent 2 }}
containers:
  - name: analyse
    image: {{ include "moderation.image" (dict "root" .root) | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    command:
      - moderation
      - deploy
      - analyse
      - --host={{ include "moderation.fullname" .root }}-pods
      - --watch={{ .watch | int }}
      - --max-error-ratio={{ $values.analysis.maxErrorRatio }}
      - --max-unknown-ratio={{ $values.analysis.maxUnknownRatio }}
      - --max-p95-ms={{ $values.analysis.maxP95Milliseconds | int }}
      {{- if $values.analysis.goldenConfigMap }}
      - --golden=/etc/moderation/golden
      {{- end }}
      {{- if $values.analysis.anyDecision }}
      - --any-decision
      {{- end }}
      {{- if $values.analysis.tokenSecret }}
      - --token-file=/etc/moderation/token/{{ $values.analysis.tokenKey }}
      {{- end }}
    env:
      - name: HOME
        value: /tmp
    resources:
      {{- toYaml $values.analysis.resources | nindent 6 }}
    securityContext:
      {{- include "moderation.containerSecurity" .root | nindent 6 }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- if $values.analysis.goldenConfigMap }}
      - name: golden
        mountPath: /etc/moderation/golden
        readOnly: true
      {{- end }}
      {{- if $values.analysis.tokenSecret }}
      - name: token
        mountPath: /etc/moderation/token
        readOnly: true
      {{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- if $values.analysis.goldenConfigMap }}
  - name: golden
    configMap:
      name: {{ $values.analysis.goldenConfigMap | quote }}
  {{- end }}
  {{- if $values.analysis.tokenSecret }}
  - name: token
    secret:
      secretName: {{ $values.analysis.tokenSecret | quote }}
      defaultMode: 0440
  {{- end }}
{{- end -}}
