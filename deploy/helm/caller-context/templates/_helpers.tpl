{{- define "caller-context.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "caller-context.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "caller-context.labels" -}}
{{ include "caller-context.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What every container of the gateway has: its image, its rights, its configuration, its secrets. */}}
{{- define "caller-context.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - {name: CALLER_CONTEXT_CONFIG, value: /etc/caller-context/config.toml}
  - {name: CALLER_CONTEXT__SERVER__LISTEN, value: "0.0.0.0:8080"}
  - {name: CALLER_CONTEXT__SERVER__TRUSTED_PROXIES, value: {{ toJson .Values.trustedProxies | quote }}}
  - {name: CALLER_CONTEXT__STORE__URL, value: "file:/run/secrets/caller-context/database-url"}
  - {name: CALLER_CONTEXT__STORE__KEY, value: "file:/run/secrets/caller-context/store-key"}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.envFromSecrets }}
envFrom:
  {{- range . }}
  - secretRef: {name: {{ . | quote }}}
  {{- end }}
{{- end }}
volumeMounts:
  - {name: config, mountPath: /etc/caller-context, readOnly: true}
  - {name: secrets, mountPath: /run/secrets/caller-context, readOnly: true}
{{- end }}
