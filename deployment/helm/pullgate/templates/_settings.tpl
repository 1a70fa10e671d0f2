{{/* From values to what webhook and controller are told. */}}

{{/* The text that a variable gets: (dict "name" … "value" … "kind" (dict …)). Lists lose blanks and doubles, as the
     program reads them; one that is given and empty is a comma, for it is not what an unset one stands for. */}}
{{- define "pullgate.text" -}}
{{- $items := list -}}
{{- if kindIs "slice" .value }}{{ $items = .value }}{{ else if kindIs "bool" .value }}{{ $items = list (toString .value) }}{{ else if kindIs "string" .value }}{{ $items = list .value }}{{ else }}{{ $items = list (int64 .value | toString) }}{{ end -}}
{{- if .kind.list -}}
{{- $items = join "," $items | splitList "," -}}
{{- end -}}
{{- $clean := list -}}
{{- range $items -}}
{{- $item := . | toString | trim -}}
{{- if $item -}}
{{- if $.kind.pattern -}}
{{- if or (not (regexMatch $.kind.pattern $item)) (gt (len $item) 1000) }}{{ fail (printf "%s=%q: expected %s" $.path $item $.kind.expected) }}{{ end -}}
{{- end -}}
{{- $clean = append $clean (regexReplaceAll " *= *" $item "=") -}}
{{- end -}}
{{- end -}}
{{- if $clean }}{{ uniq $clean | join "," }}{{ else if or (kindIs "slice" .value) (contains "," (toString .value)) }},{{ end -}}
{{- end }}

{{/* Those of `settings` or `controller.settings` that are set, as texts by name, in JSON: (dict "root" $ "path" … "values" …). */}}
{{- define "pullgate.given" -}}
{{- $known := .root.Files.Get "files/settings.yaml" | fromYaml -}}
{{- $given := dict -}}
{{- range $name, $value := .values -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $kind := index $known.kinds (index $known.settings $name | default "") | default dict -}}
{{- $text := include "pullgate.text" (dict "path" (printf "%s.%s" $.path $name) "value" $value "kind" $kind) -}}
{{- if $text }}{{ $_ := set $given $name $text }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $given -}}
{{- end }}

{{/* Everything that follows from the values, in JSON:
       webhook, controller  their environments, texts by name
       runsController       whether there is a Deployment of the controller
       keepsCertificates    whether that looks after certificates
       port, healthPort     of the webhook's Pods; controllerHealthPort
     What both have to agree about is said once, under either name. */}}
{{- define "pullgate.settings" -}}
{{- $values := .Values -}}
{{- $webhook := include "pullgate.given" (dict "root" . "path" "settings" "values" $values.settings) | fromJson -}}
{{- $controller := dict -}}
{{- $keepsCertificates := and $values.webhook.enabled (has $values.certificates.mode (list "selfManaged" "csr")) -}}
{{- $runsController := or $values.controller.enabled $keepsCertificates -}}
{{- if $runsController -}}
{{- $known := .Files.Get "files/settings.yaml" | fromYaml -}}
{{- $controller = include "pullgate.given" (dict "root" . "path" "controller.settings" "values" $values.controller.settings) | fromJson -}}
{{- range $name := list "LOG_LEVEL" "LOG_FORMAT" "HEALTH_PORT" -}}
{{- if and (index $webhook $name) (not (index $controller $name)) }}{{ $_ := set $controller $name (index $webhook $name) }}{{ end -}}
{{- end -}}
{{- if $values.controller.enabled -}}
{{- $counterparts := merge (dict "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME" "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME") $known.counterparts -}}
{{- range $name, $other := $counterparts -}}
{{- $its := index $controller $name -}}
{{- $theirs := index $webhook $other -}}
{{- if and $its $theirs (ne $its $theirs) }}{{ fail (printf "controller.settings.%s=%q: settings.%s=%q is the same setting; expected one of them, or the same value" $name $its $other $theirs) }}{{ end -}}
{{- if and $theirs (not $its) }}{{ $_ := set $controller $name $theirs }}{{ end -}}
{{- end -}}
{{- /* After the loop above, so that admission of accounts is not switched on by the controller's name of the Secret. */ -}}
{{- if index $webhook "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME" -}}
{{- range $name, $other := $counterparts -}}
{{- if and (index $controller $name) (not (index $webhook $other)) }}{{ $_ := set $webhook $other (index $controller $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $controller = merge $controller (dict "CONFIG_SECRETNAME" "image-pull-secret" "CONFIG_SECRET_NAMESPACE" .Release.Namespace) -}}
{{- else -}}
{{- $controller = merge (dict "PULL_SECRETS" "false") (pick $controller "LOG_LEVEL" "LOG_FORMAT" "HEALTH_PORT") -}}
{{- end -}}
{{- $_ := set $controller "ENABLE_LEADER_ELECTION" "true" -}}
{{- if $keepsCertificates -}}
{{- $certificates := $values.certificates -}}
{{- $_ := set $controller "CERTIFICATES" (ternary "csr" "self-managed" (eq $certificates.mode "csr")) -}}
{{- range $name, $value := dict "CERTIFICATES_VALIDITY" $certificates.validity "CERTIFICATES_CA_VALIDITY" $certificates.caValidity "CERTIFICATES_OVERLAP" $certificates.overlap -}}
{{- with $value }}{{ $_ := set $controller $name . }}{{ end -}}
{{- end -}}
{{- if eq $certificates.mode "csr" -}}
{{- $_ := set $controller "CERTIFICATES_SIGNER_NAME" (required "certificates.csr.signerName is not set: with certificates.mode=csr name the signer, for example example.com/serving" $certificates.csr.signerName) -}}
{{- if $certificates.csr.caConfigMap }}{{ $_ := set $controller "CERTIFICATES_CA_FILE" "/run/pullgate/signer/ca.crt" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (dict
      "webhook" $webhook
      "controller" $controller
      "runsController" $runsController
      "keepsCertificates" $keepsCertificates
      "port" (index $webhook "PORT" | default "8443")
      "healthPort" (index $webhook "HEALTH_PORT" | default "8080")
      "controllerHealthPort" (index $controller "HEALTH_PORT" | default "8080")) -}}
{{- end }}

{{/* The entries of a container's environment, of texts by name. */}}
{{- define "pullgate.environment" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What the values may not be together. */}}
{{- define "pullgate.check" -}}
{{- $settings := include "pullgate.settings" . | fromJson -}}
{{- if contains ":" (.Values.image.repository | default "" | splitList "/" | last) }}{{ fail (printf "image.repository=%q: expected registry and path; a tag goes into image.tag" .Values.image.repository) }}{{ end -}}
{{- /* Of Pods it sets fewer. */ -}}
{{- $ofPods := list "app.kubernetes.io/name" "app.kubernetes.io/component" "app.kubernetes.io/part-of" -}}
{{- $ofAll := concat $ofPods (list "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart") -}}
{{- range $check := list (list "commonLabels" .Values.commonLabels $ofAll) (list "webhook.podLabels" .Values.webhook.podLabels $ofPods) (list "controller.podLabels" .Values.controller.podLabels $ofPods) (list "monitoring.labels" .Values.monitoring.labels $ofAll) (list "monitoring.dashboard.labels" .Values.monitoring.dashboard.labels $ofAll) -}}
{{- range $label, $_ := index $check 1 }}{{ if has $label (index $check 2) }}{{ fail (printf "%s: the chart itself sets %s; expected other labels" (index $check 0) $label) }}{{ end }}{{ end -}}
{{- end -}}
{{- with .Values.monitoring }}{{ if and .serviceMonitor.enabled .podMonitor.enabled }}{{ fail "monitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled are both true: Prometheus would count everything twice; expected one of them" }}{{ end }}{{ end -}}
{{- if has .Release.Namespace (list "default" "kube-system" "kube-public" "kube-node-lease") }}{{ fail (printf "the namespace %q: expected one for pullgate alone, since no Pod of that namespace is changed; for example --namespace pullgate --create-namespace" .Release.Namespace) }}{{ end -}}
{{- if not (or .Values.webhook.enabled .Values.controller.enabled) }}{{ fail "webhook.enabled and controller.enabled are false: nothing is left; expected one of them to be true" }}{{ end -}}
{{- if eq $settings.port $settings.healthPort }}{{ fail (printf "settings.PORT and settings.HEALTH_PORT are both %s: they must differ" $settings.port) }}{{ end -}}
{{- if and .Values.controller.imagePullSecretResources.enabled (not .Values.controller.enabled) }}{{ fail "controller.imagePullSecretResources.enabled: they are looked after by the controller; expected controller.enabled=true with it" }}{{ end -}}
{{- if and .Values.controller.uninstall (not .Values.controller.enabled) }}{{ fail "controller.uninstall: there is nothing to take back without controller.enabled; expected controller.enabled=true with it, and the settings that were in effect" }}{{ end -}}
{{- with .Values.webhook.autoscaling }}{{ if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}{{ fail (printf "webhook.autoscaling.minReplicas=%d is more than maxReplicas=%d" (int .minReplicas) (int .maxReplicas)) }}{{ end }}{{ end -}}
{{- end }}
