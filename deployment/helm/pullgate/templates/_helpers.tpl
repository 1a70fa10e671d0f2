{{/* What objects are made of. The names are fixed, as a cluster has one pullgate: the registration and the rights are
     for all of it, and the certificate is for the Service's name. */}}

{{/* Labels of an object: (dict "root" $ "component" "webhook"), without a component for those of all. */}}
{{- define "pullgate.labels" -}}
{{ include "pullgate.selector" . }}
app.kubernetes.io/part-of: pullgate
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What finds the Pods of a component. */}}
{{- define "pullgate.selector" -}}
app.kubernetes.io/name: pullgate
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* metadata: (dict "root" $ "component" … "name" … "labels" … "annotations" … "cluster" true), the
     latter for what is in no namespace. */}}
{{- define "pullgate.metadata" -}}
metadata:
  name: {{ .name }}
  {{- if not .cluster }}
  namespace: {{ .namespace | default .root.Release.Namespace | quote }}
  {{- end }}
  labels:
    {{- merge (dict) (.labels | default dict) (include "pullgate.labels" . | fromYaml) | toYaml | nindent 4 }}
  {{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "pullgate.image" -}}
{{- $repository := required "image.repository is not set: name the image of pullgate, for example --set image.repository=registry.example/infra/pullgate" .Values.image.repository -}}
{{- /* `--set image.tag=20261122` is a number, which would be written with an exponent. */ -}}
{{- $tag := ternary .Chart.AppVersion .Values.image.tag (kindIs "invalid" .Values.image.tag) -}}
{{- if not (kindIs "string" $tag) }}{{ $tag = int64 $tag | toString }}{{ end -}}
{{- if .Values.image.digest }}{{ $repository }}@{{ .Values.image.digest }}{{ else }}{{ $repository }}:{{ $tag }}{{ end }}
{{- end }}

{{/* metadata of Pods: (dict "component" … "of" .Values.webhook). */}}
{{- define "pullgate.podMetadata" -}}
metadata:
  labels:
    {{- include "pullgate.selector" . | nindent 4 }}
    app.kubernetes.io/part-of: pullgate
    {{- with .of.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .of.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* What all Pods have: (dict "root" $ "of" .Values.webhook). */}}
{{- define "pullgate.pod" -}}
enableServiceLinks: false
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $.of $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* topologySpreadConstraints: (dict "component" … "of" … "keys" (list …)). Each revision spreads by itself, else a
     rollout counts the replicas that it is about to remove. */}}
{{- define "pullgate.spread" -}}
{{- if kindIs "slice" .of.topologySpreadConstraints }}
{{- with .of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
topologySpreadConstraints:
  {{- range .keys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "pullgate.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}

{{/* image, policy and security of a container. */}}
{{- define "pullgate.container" -}}
image: {{ include "pullgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Probes: how often readiness is asked for, and how long an answer may take. Pods of the whole cluster wait for the
     first replica of the webhook. */}}
{{- define "pullgate.probes" -}}
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: {{ .period }}
  timeoutSeconds: {{ .timeout }}
  failureThreshold: 3
livenessProbe:
  httpGet:
    path: /livez
    port: health
  initialDelaySeconds: 5
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* A PodDisruptionBudget. A replica that cannot become ready protects nobody: it must not hold up the drain of its node. */}}
{{- define "pullgate.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "pullgate.metadata" . }}
spec:
  maxUnavailable: {{ .of.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "pullgate.selector" . | nindent 6 }}
{{- end }}

{{/* A role and who has it: (dict "root" $ "name" … "namespace" … "cluster" … "rules" TEXT). */}}
{{- define "pullgate.role" -}}
{{- $kind := ternary "ClusterRole" "Role" (.cluster | default false) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
{{ include "pullgate.metadata" . }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
{{ include "pullgate.metadata" . }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: pullgate-controller
    namespace: {{ .root.Release.Namespace | quote }}
{{- end }}
