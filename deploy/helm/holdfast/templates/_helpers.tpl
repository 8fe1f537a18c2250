{{- define "holdfast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "holdfast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "holdfast.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: registry
{{- end -}}

{{- define "holdfast.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
{{ include "holdfast.commonLabels" . }}
{{- end -}}

{{- define "holdfast.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "holdfast.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the keys of S3; empty: there is none. */}}
{{- define "holdfast.secret" -}}
{{- if .Values.s3.existingSecret -}}
{{- .Values.s3.existingSecret -}}
{{- else if or .Values.s3.accessKey .Values.s3.secretKey -}}
{{- printf "%s-s3" (include "holdfast.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The configuration file. JSON: YAML would show large numbers as 2.68e+08. */}}
{{- define "holdfast.config" -}}
{{- $http := dict "address" "0.0.0.0" "port" "8080" "drainDelay" (printf "%ds" (int .Values.drain.delaySeconds)) "drainTimeout" (printf "%ds" (int .Values.drain.timeoutSeconds)) -}}
{{- with .Values.tls.existingSecret -}}
{{- $tls := dict "cert" "/etc/holdfast-tls/tls.crt" "key" "/etc/holdfast-tls/tls.key" -}}
{{- with $.Values.tls.clientCA -}}
{{- $_ := set $tls "cacert" (printf "/etc/holdfast-tls/%s" .) -}}
{{- end -}}
{{- $_ := set $http "tls" $tls -}}
{{- end -}}
{{- $set := dict "http" $http -}}
{{- with .Values.cache.maxBytes -}}
{{- $_ := set $set "storage" (dict "cache" (dict "dir" "/var/cache/holdfast/blobs" "maxBytes" .)) -}}
{{- end -}}
{{- $config := mergeOverwrite (deepCopy .Values.config) $set -}}
{{- toPrettyJson $config -}}
{{- end -}}

{{/* How the registry's port is spoken to: config.http.tls counts as well. */}}
{{- define "holdfast.scheme" -}}
{{- if or .Values.tls.existingSecret (dig "http" "tls" "cert" "" .Values.config) -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* The port of config.http.adminAddress; empty: there is none. */}}
{{- define "holdfast.adminPort" -}}
{{- with dig "http" "adminAddress" "" .Values.config -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}
{{- end -}}
