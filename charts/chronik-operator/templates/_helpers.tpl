{{- /* Names and labels that several templates share. */ -}}
{{- define "chronik-operator.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "chronik-operator.selector" -}}
app.kubernetes.io/name: chronik-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chronik-operator.labels" -}}
{{ include "chronik-operator.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: chronik
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "chronik-operator.account" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "chronik-operator.name" .) }}
{{- else }}{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}{{ end }}
{{- end }}
