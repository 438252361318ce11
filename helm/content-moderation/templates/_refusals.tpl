{{/* Values that are fine one by one and contradict each other. All faults at once, each with the value and the remedy. */}}
{{- define "moderation.refuse" -}}
{{- $v := .Values -}}
{{- $faults := list -}}
{{- $scaled := ne $v.autoscaling.mode "none" -}}
{{- $replicas := include "moderation.replicas" . | int -}}
{{- if $scaled }}{{ $replicas = $v.autoscaling.minReplicas | int }}{{ end -}}
{{- $most := $scaled | ternary ($v.autoscaling.maxReplicas | int) $replicas -}}
{{- $authenticated := eq (include "moderation.access" .) "required" -}}

{{- /* replicas */ -}}
{{- if and $scaled (not (kindIs "invalid" $v.replicaCount)) -}}
{{- $faults = append $faults (printf "replicaCount is %v and autoscaling.mode is %s: an upgrade would undo the autoscaler's number. Remove replicaCount, or set autoscaling.mode=none" $v.replicaCount $v.autoscaling.mode) -}}
{{- end -}}
{{- if and $scaled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- $faults = append $faults (printf "autoscaling.minReplicas %v is above autoscaling.maxReplicas %v. Raise the second or lower the first" $v.autoscaling.minReplicas $v.autoscaling.maxReplicas) -}}
{{- end -}}
{{- if and (eq $v.autoscaling.mode "keda") (not $v.autoscaling.keda.serverAddress) -}}
{{- $faults = append $faults "autoscaling.mode is keda without autoscaling.keda.serverAddress. Give the address of Prometheus, as http://prometheus.monitoring:9090" -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (eq (toString $v.podDisruptionBudget.maxUnavailable) "0") -}}
{{- $faults = append $faults "podDisruptionBudget.maxUnavailable is 0: no node could ever be drained. Set 1 or more, or podDisruptionBudget.enabled=false" -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (le $replicas 1) (not (hasSuffix "%" (toString $v.podDisruptionBudget.maxUnavailable))) -}}
{{- $faults = append $faults (printf "%d replica with a PodDisruptionBudget: it protects nothing, a drain takes the only pod. Set replicaCount or autoscaling.minReplicas to 2 or more, or podDisruptionBudget.enabled=false" $replicas) -}}
{{- end -}}

{{- /* time */ -}}
{{- if gt (int $v.drain.minSeconds) (int $v.drain.maxSeconds) -}}
{{- $faults = append $faults (printf "drain.minSeconds %v is above drain.maxSeconds %v. Raise the second or lower the first" $v.drain.minSeconds $v.drain.maxSeconds) -}}
{{- end -}}
{{- /* gRPC lets a connection grow up to a tenth older */ -}}
{{- $leave := add (div (add (mul 11 (int $v.drain.grpcConnectionSeconds)) 9) 10) (int $v.drain.quietSeconds) | int -}}
{{- if and $v.drain.grpcConnectionSeconds (gt $leave (int $v.drain.maxSeconds)) -}}
{{- $faults = append $faults (printf "drain.maxSeconds %v ends before the last gRPC caller has left and it was quiet, after %d s. Raise it, or lower drain.grpcConnectionSeconds %v" $v.drain.maxSeconds $leave $v.drain.grpcConnectionSeconds) -}}
{{- end -}}
{{- if and $v.analysis.enabled (ge (int $v.analysis.watchSeconds) (int $v.analysis.timeoutSeconds)) -}}
{{- $faults = append $faults (printf "analysis.watchSeconds %v leaves nothing of analysis.timeoutSeconds %v for the golden images. Raise the second" $v.analysis.watchSeconds $v.analysis.timeoutSeconds) -}}
{{- end -}}

{{- /* memory */ -}}
{{- $profile := include "moderation.profile" . | fromJson -}}
{{- $needed := mul 26 (int $profile.pythonInstances) -}}
{{- $shared := include "moderation.sharedMemory" . | int -}}
{{- if lt $shared $needed -}}
{{- $faults = append $faults (printf "sharedMemory.sizeMi %d is too small: %d Python instances of profile %s need %d. Set 0 for the formula, or lower the instances in the models' configurations and profiles.%s.pythonInstances" $shared (int $profile.pythonInstances) $v.profile $needed $v.profile) -}}
{{- end -}}
{{- $resources := $v.resources | default $profile.resources -}}
{{- $limit := include "moderation.mebibytes" (dig "limits" "memory" "" $resources) | int -}}
{{- if and $limit (lt $limit (add $shared 1024 | int)) -}}
{{- $faults = append $faults (printf "the memory limit of %d MiB counts /dev/shm (%d MiB) and leaves less than 1024 MiB for the server. Raise resources.limits.memory to at least %dMi" $limit $shared (add $shared 1024 | int)) -}}
{{- end -}}

{{- /* images */ -}}
{{- if and (eq $v.image.tag "latest") (not $v.image.digest) -}}
{{- $faults = append $faults "image.tag is latest: two pods of one release could differ, and a rollback would bring back nothing. Give a version, or image.digest" -}}
{{- end -}}

{{- /* models */ -}}
{{- if and (eq $v.profile "gpu") (ne $v.modelStore.source "image") -}}
{{- $faults = append $faults (printf "modelStore.source is %s with profile gpu, which builds plans for its own GPU. Keep image, and set planCache for plans that outlive a pod" $v.modelStore.source) -}}
{{- end -}}
{{- if and (eq $v.modelStore.source "pvc") (not $v.modelStore.pvc.existingClaim) (has $v.modelStore.pvc.accessMode (list "ReadWriteOnce" "ReadWriteOncePod")) -}}
{{- $faults = append $faults (printf "modelStore.pvc.accessMode is %s, and an upgrade runs the new pod beside the old one (up to %d pods). Set ReadWriteMany, or modelStore.source=image" $v.modelStore.pvc.accessMode (add $most 1 | int)) -}}
{{- end -}}
{{- if and (eq $v.modelStore.source "objectStorage") (not $v.modelStore.objectStorage.path) -}}
{{- $faults = append $faults "modelStore.source is objectStorage without modelStore.objectStorage.path. Give bucket/prefix" -}}
{{- end -}}
{{- if and (eq $v.modelStore.source "objectStorage") $v.networkPolicy.enabled (not $v.networkPolicy.egress) -}}
{{- $faults = append $faults "modelStore.source is objectStorage and networkPolicy denies the way there. Add the storage's addresses to networkPolicy.egress" -}}
{{- end -}}
{{- if eq $v.profile "gpu" -}}
{{- if and (eq $v.planCache.type "pvc") (not $v.planCache.existingClaim) -}}
{{- $faults = append $faults "planCache.type is pvc without planCache.existingClaim. Name the claim, or set planCache.type=emptyDir" -}}
{{- end -}}
{{- if and (eq $v.planCache.type "hostPath") (not $v.planCache.hostPath) -}}
{{- $faults = append $faults "planCache.type is hostPath without planCache.hostPath. Name the folder on the node" -}}
{{- end -}}
{{- if and (ne $v.planCache.type "emptyDir") (not $v.gpu.product) -}}
{{- $faults = append $faults (printf "planCache.type is %s without gpu.product: nodes with different GPUs would share one folder of plans. Set gpu.product to the nodes' label nvidia.com/gpu.product" $v.planCache.type) -}}
{{- end -}}
{{- end -}}

{{- /* policy */ -}}
{{- if and $v.policy.files $v.policy.existingConfigMap -}}
{{- $faults = append $faults (printf "policy.files and policy.existingConfigMap %s are both given. Keep one" $v.policy.existingConfigMap) -}}
{{- end -}}
{{- range $where, $files := dict "policy.files" $v.policy.files "canary.policy.files" $v.canary.policy.files -}}
{{- if and $files (not (hasKey $files "policy.yaml")) -}}
{{- $faults = append $faults (printf "%s has no policy.yaml, only %s. A version folder of moderation-decision-logic needs it" $where (keys $files | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}

{{- /* canary */ -}}
{{- if $v.canary.enabled -}}
{{- if not (or $v.canary.image.tag $v.canary.image.digest $v.canary.policy.files) -}}
{{- $faults = append $faults "canary.enabled without canary.image.tag, canary.image.digest or canary.policy.files: it would be the stable track once more. Give what is new in it" -}}
{{- end -}}
{{- if not (or $v.gateway.http.enabled $v.gateway.grpc.enabled) -}}
{{- $faults = append $faults "canary.enabled without gateway.http.enabled or gateway.grpc.enabled: nothing would send it a share. An Ingress has no weights; enable a route of the gateway" -}}
{{- end -}}
{{- end -}}

{{- /* who reaches it */ -}}
{{- $routes := or $v.gateway.http.enabled $v.gateway.grpc.enabled -}}
{{- if and $routes (not $v.gateway.parentRefs) -}}
{{- $faults = append $faults "a gateway route without gateway.parentRefs attaches to nothing. Name the Gateway" -}}
{{- end -}}
{{- if and $routes (not $v.gateway.hostnames) -}}
{{- $faults = append $faults "a gateway route without gateway.hostnames takes every host's requests. Name the hosts" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}
{{- $faults = append $faults "ingress.enabled without ingress.hosts. Name the hosts" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.tlsSecret) -}}
{{- $faults = append $faults "ingress.enabled without ingress.tlsSecret would carry images and tokens in clear. Name a secret of type kubernetes.io/tls" -}}
{{- end -}}
{{- if and (or $routes $v.ingress.enabled) (not $v.exposure.trustedCallers) -}}
{{- if not $authenticated -}}
{{- $faults = append $faults "the server is exposed by a route or an ingress without access control: everybody could use it. Set security.config.access, or exposure.trustedCallers=true if that is what you want" -}}
{{- end -}}
{{- if eq $v.profile "cpu" -}}
{{- $faults = append $faults "the server is exposed with profile cpu, whose Triton 24.10 has known holes in its network interfaces. Use profile gpu, or exposure.trustedCallers=true if all callers are trusted" -}}
{{- end -}}
{{- end -}}
{{- if and $v.gateway.grpc.enabled (not $authenticated) -}}
{{- $faults = append $faults "gateway.grpc.enabled without access control: the model's name is inside a gRPC message, so callers would reach every model. Set security.config.access" -}}
{{- end -}}
{{- if and $v.gateway.grpc.enabled $v.tls.grpc.existingSecret -}}
{{- $faults = append $faults "gateway.grpc.enabled with tls.grpc.existingSecret: the route speaks clear HTTP/2 to the pods. Let the Gateway end TLS, or leave the route out" -}}
{{- end -}}
{{- if and $authenticated (not $v.security.existingSecret) -}}
{{- $faults = append $faults "access is required without security.existingSecret. Name the secret with the keys that tokens are checked against" -}}
{{- end -}}
{{- if and $authenticated $v.analysis.enabled (not $v.analysis.tokenSecret) -}}
{{- $faults = append $faults "access is required and the analysis has no token. Set analysis.tokenSecret, or analysis.enabled=false" -}}
{{- end -}}
{{- if and (ne (include "moderation.audit" .) "none") (not $v.security.auditClaim) -}}
{{- $faults = append $faults (printf "audit.mode is %s without security.auditClaim: the log would end with the pod. Name a claim" (include "moderation.audit" .)) -}}
{{- end -}}
{{- if and $v.security.existingSecret (not $v.security.config) -}}
{{- $faults = append $faults (printf "security.existingSecret %s without security.config: nothing reads it. Give the contents of security.yaml" $v.security.existingSecret) -}}
{{- end -}}
{{- if and $v.tls.grpc.mutual (not $v.tls.grpc.existingSecret) -}}
{{- $faults = append $faults "tls.grpc.mutual without tls.grpc.existingSecret. Name the secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}

{{- /* what is watched */ -}}
{{- if and $v.tracing.enabled (not $v.tracing.endpoint) -}}
{{- $faults = append $faults "tracing.enabled without tracing.endpoint. Give the OTLP/HTTP receiver, as http://collector:4318/v1/traces" -}}
{{- end -}}
{{- if and $v.tracing.enabled $v.networkPolicy.enabled (not $v.networkPolicy.egress) -}}
{{- $faults = append $faults "tracing.enabled and networkPolicy denies the way to the receiver. Add it to networkPolicy.egress" -}}
{{- end -}}
{{- if and $v.monitoring.rules (eq $v.monitoring.monitor "none") -}}
{{- $faults = append $faults "monitoring.rules without monitoring.monitor: rules over metrics that nobody scrapes. Set monitoring.monitor to service or pod" -}}
{{- end -}}

{{- if $faults -}}
{{- fail (printf "\n%d contradiction(s) in the values:\n  - %s\n" (len $faults) (join "\n  - " $faults)) -}}
{{- end -}}
{{- end -}}

{{/* MiB of a Kubernetes quantity; 0 for none. */}}
{{- define "moderation.mebibytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+" $text | default "0" | float64 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $bytes := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- divf (mulf $number (float64 (get $bytes $unit | default 0))) 1048576 | floor -}}
{{- end -}}
