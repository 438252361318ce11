{{/* Parts of pods. */}}

{{/* Pod-security *restricted*, for every pod of the chart. */}}
{{- define "moderation.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.podSecurity.runAsUser | int }}
runAsGroup: {{ .Values.podSecurity.runAsUser | int }}
fsGroup: {{ .Values.podSecurity.fsGroup | int }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "moderation.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "moderation.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The resources of the server: the profile's or the given ones, and the GPU. */}}
{{- define "moderation.resources" -}}
{{- $profile := include "moderation.profile" . | fromJson -}}
{{- $resources := deepCopy (.Values.resources | default $profile.resources) -}}
{{- if eq .Values.profile "gpu" -}}
{{- $gpu := dict .Values.gpu.resourceName (.Values.gpu.count | int) -}}
{{- $_ := set $resources "limits" (merge $gpu ($resources.limits | default dict)) -}}
{{- $_ := set $resources "requests" (merge (deepCopy $gpu) ($resources.requests | default dict)) -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{/* Where built networks lie inside the container. */}}
{{- define "moderation.storePath" -}}
{{- if eq .Values.profile "gpu" -}}/var/cache/moderation/{{ include "moderation.planKey" . }}
{{- else if eq .Values.modelStore.source "image" -}}/opt/moderation/models
{{- else -}}/var/lib/moderation/models
{{- end -}}
{{- end -}}

{{/* Plans fit one kind of GPU and one release of TensorRT, which comes with the image: both are in the folder's name. */}}
{{- define "moderation.planKey" -}}
{{- $image := .Values.image.digest | trimPrefix "sha256:" | trunc 12 | default (default .Chart.AppVersion .Values.image.tag) -}}
{{- printf "%s-%s" (.Values.gpu.product | default "any-gpu") $image | lower | replace "/" "-" | replace "+" "-" -}}
{{- end -}}

{{- define "moderation.environment" -}}
- name: MODERATION_MODEL_STORE
  value: {{ include "moderation.storePath" . | quote }}
- name: HOME
  value: /tmp
{{- if .Values.routes.config }}
- name: MODERATION_ROUTES
  value: /etc/moderation/routes/routes.yaml
{{- end }}
{{- if .Values.security.auditClaim }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- with .Values.server.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "moderation.environmentFrom" -}}
{{- with .Values.server.extraEnvFromSecrets }}
envFrom:
  {{- range . }}
  - secretRef:
      name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Arguments after the image's entry point, `moderation serve --log=/dev/stdout`. */}}
{{- define "moderation.arguments" -}}
{{- $profile := include "moderation.profile" . | fromJson -}}
- --address=0.0.0.0
- --profile={{ $profile.configuration }}
- --grace={{ .Values.server.graceSeconds | int }}
- --log-format={{ .Values.logs.format }}
- --request-log={{ .Values.logs.requests }}
{{- if .Values.security.config }}
- --security=/etc/moderation/security/security.yaml
{{- end }}
{{- if ne (include "moderation.access" .) "required" }}
# who reaches it is decided by network policy and routes
- --allow-unauthenticated
{{- end }}
{{- with .Values.drain.grpcConnectionSeconds }}
- --grpc-max-connection-age={{ mul 1000 (int .) }}
{{- end }}
{{- if .Values.tracing.enabled }}
- --trace-endpoint={{ .Values.tracing.endpoint }}
- --trace-rate={{ .Values.tracing.rate | int }}
- --trace-service={{ include "moderation.fullname" . }}
{{- end }}
{{- if .Values.tls.grpc.existingSecret }}
- --tls-cert=/etc/moderation/grpc-tls/tls.crt
- --tls-key=/etc/moderation/grpc-tls/tls.key
{{- if .Values.tls.grpc.mutual }}
- --tls-client-ca=/etc/moderation/grpc-tls/ca.crt
{{- end }}
{{- end }}
{{- range .Values.server.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Volumes. Argument: dict "root" $ "policy" (name of a ConfigMap or "") "keys" (its keys) "version". */}}
{{- define "moderation.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: shm
  mountPath: /dev/shm
{{- if eq .root.Values.profile "gpu" }}
- name: plans
  mountPath: /var/cache/moderation
{{- end }}
{{- if ne .root.Values.modelStore.source "image" }}
- name: store
  mountPath: /var/lib/moderation/models
  readOnly: true
{{- end }}
{{- if .policy }}
- name: policy
  mountPath: /opt/moderation/model_repository/moderation-decision-logic/{{ .version | int }}
  readOnly: true
{{- end }}
{{- if .root.Values.routes.config }}
# a folder and not a file of it: only folders follow a ConfigMap that changes
- name: routes
  mountPath: /etc/moderation/routes
  readOnly: true
{{- end }}
{{- if .root.Values.security.config }}
- name: security
  mountPath: /etc/moderation/security
  readOnly: true
{{- end }}
{{- if .root.Values.security.auditClaim }}
# a log is one process's: its records are chained
- name: audit
  mountPath: /var/lib/moderation/audit
  subPathExpr: $(POD_NAME)
{{- end }}
{{- if .root.Values.tls.grpc.existingSecret }}
- name: grpc-tls
  mountPath: /etc/moderation/grpc-tls
  readOnly: true
{{- end }}
{{- end -}}

{{- define "moderation.volumes" -}}
{{- $root := .root -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ $root.Values.temporary.sizeMi | int }}Mi
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ include "moderation.sharedMemory" $root }}Mi
{{- if eq $root.Values.profile "gpu" }}
- name: plans
  {{- if eq $root.Values.planCache.type "pvc" }}
  persistentVolumeClaim:
    claimName: {{ $root.Values.planCache.existingClaim | quote }}
  {{- else if eq $root.Values.planCache.type "hostPath" }}
  hostPath:
    path: {{ $root.Values.planCache.hostPath | quote }}
    type: DirectoryOrCreate
  {{- else }}
  emptyDir:
    sizeLimit: {{ $root.Values.planCache.size }}
  {{- end }}
{{- end }}
{{- if eq $root.Values.modelStore.source "pvc" }}
- name: store
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-models" (include "moderation.fullname" $root)) $root.Values.modelStore.pvc.existingClaim | quote }}
{{- else if eq $root.Values.modelStore.source "objectStorage" }}
- name: store
  emptyDir:
    sizeLimit: {{ $root.Values.modelStore.objectStorage.sizeMi | int }}Mi
{{- end }}
{{- if .policy }}
- name: policy
  configMap:
    name: {{ .policy | quote }}
    items:
      {{- range .keys }}
      - key: {{ . | replace "/" "__" | quote }}
        path: {{ . | replace "__" "/" | quote }}
      {{- end }}
{{- end }}
{{- if $root.Values.routes.config }}
- name: routes
  configMap:
    name: {{ include "moderation.fullname" $root }}-routes
{{- end }}
{{- if $root.Values.security.config }}
- name: security
  projected:
    defaultMode: 0440
    sources:
      - configMap:
          name: {{ include "moderation.fullname" $root }}-security
      {{- with $root.Values.security.existingSecret }}
      - secret:
          name: {{ . | quote }}
          {{- /* a projected secret's keys cannot be put into a folder as a whole: their names are the values' */}}
          items:
            {{- range $root.Values.security.secretKeys }}
            - key: {{ . | quote }}
              path: secrets/{{ . }}
            {{- end }}
      {{- end }}
{{- end }}
{{- if $root.Values.security.auditClaim }}
- name: audit
  persistentVolumeClaim:
    claimName: {{ $root.Values.security.auditClaim | quote }}
{{- end }}
{{- if $root.Values.tls.grpc.existingSecret }}
- name: grpc-tls
  secret:
    secretName: {{ $root.Values.tls.grpc.existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* What has to be in the store before the server starts. */}}
{{- define "moderation.initContainers" -}}
{{- $root := .root -}}
{{- $store := $root.Values.modelStore -}}
{{- $image := include "moderation.image" (dict "root" $root "override" .override) -}}
{{- if eq $store.source "objectStorage" }}
- name: fetch-models
  image: {{ $store.objectStorage.image | quote }}
  args:
    - copy
    - {{ printf "store:%s" $store.objectStorage.path | quote }}
    - /var/lib/moderation/models
    - --checksum
    - --retries=5
  env:
    - name: RCLONE_CONFIG
      value: /tmp/rclone.conf
    - name: RCLONE_CONFIG_STORE_TYPE
      value: {{ $store.objectStorage.type | quote }}
    - name: RCLONE_CONFIG_STORE_ENV_AUTH
      value: "true"
    {{- with $store.objectStorage.endpoint }}
    - name: RCLONE_CONFIG_STORE_ENDPOINT
      value: {{ . | quote }}
    {{- end }}
    {{- with $store.objectStorage.region }}
    - name: RCLONE_CONFIG_STORE_REGION
      value: {{ . | quote }}
    {{- end }}
  {{- with $store.objectStorage.existingSecret }}
  envFrom:
    - secretRef:
        name: {{ . | quote }}
  {{- end }}
  resources:
    requests: {cpu: 250m, memory: 256Mi}
    limits: {memory: 512Mi}
  securityContext:
    {{- include "moderation.containerSecurity" $root | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: store
      mountPath: /var/lib/moderation/models
{{- else if and (eq $store.source "pvc") $store.pvc.build }}
- name: build-models
  image: {{ $image | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [moderation, models, build]
  env:
    - name: MODERATION_MODEL_STORE
      value: /var/lib/moderation/models
    - name: HOME
      value: /tmp
  resources:
    {{- include "moderation.resources" $root | nindent 4 }}
  securityContext:
    {{- include "moderation.containerSecurity" $root | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: store
      mountPath: /var/lib/moderation/models
{{- end }}
{{- if eq $root.Values.profile "gpu" }}
- name: build-plans
  image: {{ $image | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [moderation, models, build, --engine, tensorrt]
  env:
    {{- include "moderation.environment" $root | nindent 4 }}
  resources:
    {{- include "moderation.resources" $root | nindent 4 }}
  securityContext:
    {{- include "moderation.containerSecurity" $root | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: plans
      mountPath: /var/cache/moderation
{{- end }}
{{- end -}}
