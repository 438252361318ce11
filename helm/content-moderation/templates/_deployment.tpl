{{/* One track. Argument: dict "root" $ "track" stable|canary "replicas" (number, or "" under an autoscaler)
     "override" (tag, digest) "policy" (name of a ConfigMap or "") "keys" (its keys) "version" (of the policy). */}}
{{- define "moderation.deployment" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $profile := include "moderation.profile" $root | fromJson -}}
{{- $stable := eq .track "stable" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "moderation.fullname" $root }}{{ if not $stable }}-{{ .track }}{{ end }}
  labels:
    {{- include "moderation.labels" $root | nindent 4 }}
    app.kubernetes.io/component: server
    moderation/track: {{ .track }}
spec:
  {{- if ne (toString .replicas) "" }}
  replicas: {{ .replicas | int }}
  {{- end }}
  revisionHistoryLimit: 5
  # longer than a cold start, so that a slow one is not a failed one
  progressDeadlineSeconds: {{ add $profile.startSeconds 120 }}
  # a new pod is ready before an old one goes: capacity never falls
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "moderation.serverSelector" $root | nindent 6 }}
      moderation/track: {{ .track }}
  template:
    metadata:
      # no version in here: a new chart with the same pods replaces nothing
      labels:
        {{- include "moderation.serverSelector" $root | nindent 8 }}
        app.kubernetes.io/part-of: content-moderation
        moderation/track: {{ .track }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: server
        {{- if .policyDigest }}
        # a new policy is a new pod: it is loaded before the pod is ready, and rolled back with the release
        moderation/policy-digest: {{ .policyDigest }}
        {{- end }}
        {{- if $values.security.config }}
        # read once, at the start
        moderation/security-digest: {{ include "moderation.securityFile" $root | sha256sum | trunc 10 }}
        {{- end }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "moderation.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with include "moderation.pullSecrets" $root | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      # drain, then Triton's own grace, then the end of its processes
      terminationGracePeriodSeconds: {{ include "moderation.terminationGrace" $root }}
      securityContext:
        {{- include "moderation.podSecurity" $root | nindent 8 }}
      {{- with include "moderation.initContainers" . | trim }}
      initContainers:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        - name: server
          image: {{ include "moderation.image" (dict "root" $root "override" .override) | quote }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args:
            {{- include "moderation.arguments" $root | nindent 12 }}
          env:
            {{- include "moderation.environment" $root | nindent 12 }}
          {{- with include "moderation.environmentFrom" $root | trim }}
          {{- . | nindent 10 }}
          {{- end }}
          ports:
            - name: http
              containerPort: 8000
            - name: grpc
              containerPort: 8001
            - name: metrics
              containerPort: 8002
          # the launcher knows its Python processes: one that died and is not replaced fails these, not only a dead server
          startupProbe:
            exec:
              command: [python, -m, moderation.deploy.probe, ready]
            periodSeconds: 5
            timeoutSeconds: {{ $values.probes.timeoutSeconds | int }}
            failureThreshold: {{ div (add $profile.startSeconds 4) 5 }}
          readinessProbe:
            exec:
              command: [python, -m, moderation.deploy.probe, ready]
            periodSeconds: {{ $values.probes.readinessPeriodSeconds | int }}
            timeoutSeconds: {{ $values.probes.timeoutSeconds | int }}
            failureThreshold: 2
          livenessProbe:
            exec:
              command: [python, -m, moderation.deploy.probe, alive]
            periodSeconds: {{ $values.probes.livenessPeriodSeconds | int }}
            timeoutSeconds: {{ $values.probes.timeoutSeconds | int }}
            failureThreshold: {{ $values.probes.livenessFailures | int }}
          lifecycle:
            preStop:
              exec:
                command:
                  - moderation
                  - deploy
                  - drain
                  - --at-least={{ $values.drain.minSeconds | int }}
                  - --quiet={{ $values.drain.quietSeconds | int }}
                  - --at-most={{ $values.drain.maxSeconds | int }}
          resources:
            {{- include "moderation.resources" $root | nindent 12 }}
          securityContext:
            {{- include "moderation.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "moderation.mounts" . | nindent 12 }}
      volumes:
        {{- include "moderation.volumes" . | nindent 8 }}
      {{- include "moderation.scheduling" . | nindent 6 }}
{{- end -}}

{{- define "moderation.scheduling" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $spreads := list (list "topology.kubernetes.io/zone" $values.scheduling.zoneSpread) (list "kubernetes.io/hostname" $values.scheduling.nodeSpread) -}}
topologySpreadConstraints:
{{- $any := false }}
{{- range $spreads }}
  {{- if ne (last .) "off" }}
  {{- $any = true }}
  - maxSkew: 1
    topologyKey: {{ first . }}
    whenUnsatisfiable: {{ last . }}
    # only pods of one revision: an upgrade spreads as a whole
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "moderation.serverSelector" $root | nindent 8 }}
        moderation/track: {{ $.track }}
  {{- end }}
{{- end }}
{{- if not $any }} []{{ end }}
{{- $selector := deepCopy $values.scheduling.nodeSelector }}
{{- if and (eq $values.profile "gpu") $values.gpu.product }}
{{- $_ := set $selector "nvidia.com/gpu.product" $values.gpu.product }}
{{- end }}
{{- with $selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := $values.scheduling.tolerations }}
{{- if and (eq $values.profile "gpu") $values.gpu.tolerate }}
{{- $tolerations = append $tolerations (dict "key" "nvidia.com/gpu" "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.scheduling.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.scheduling.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.scheduling.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- end -}}
