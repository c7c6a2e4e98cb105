{{- define "portcullis.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portcullis.name" -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The container, with everything but when it is restarted. */}}
{{- define "portcullis.container" -}}
name: guard
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - serve
  - --config=/etc/portcullis/server.yaml
  {{- if not .Values.server.policy }}
  - --policy={{ if .Values.policy }}/etc/portcullis/policy.yaml{{ else }}{{ .Values.policyName }}{{ end }}
  {{- end }}
{{- if eq .Values.mode "sidecar" }}
env: [{ name: PORTCULLIS_LISTEN, value: "127.0.0.1:8080" }]
{{- end }}
ports:
  - { name: http, containerPort: 8080 }
  - { name: admin, containerPort: 9090 }
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  capabilities: { drop: [ALL] }
  seccompProfile: { type: RuntimeDefault }
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- /* An application beside it starts when it judges. A gateway that serves and is not ready, because its policy has
       expired for example, is sent nothing: a restart would not help it. */}}
startupProbe: { httpGet: { path: {{ if eq .Values.mode "sidecar" }}/readyz{{ else }}/livez{{ end }}, port: admin }, periodSeconds: 2, failureThreshold: 90 }
livenessProbe: { httpGet: { path: /livez, port: admin }, periodSeconds: 10 }
readinessProbe: { httpGet: { path: /readyz, port: admin }, periodSeconds: 2, failureThreshold: 1 }
volumeMounts:
  - { name: audit, mountPath: /var/lib/portcullis }
  - { name: guard-config, mountPath: /etc/portcullis, readOnly: true }
  {{- if .Values.secret }}
  - { name: guard-secret, mountPath: /run/secrets/portcullis, readOnly: true }
  {{- end }}
  {{- if .Values.models.claim }}
  - { name: models, mountPath: /models, readOnly: true }
  {{- end }}
{{- end }}

{{/* The volumes that the container needs, but the log's. */}}
{{- define "portcullis.volumes" -}}
- { name: guard-config, configMap: { name: {{ include "portcullis.name" . }} } }
{{- if .Values.secret }}
- { name: guard-secret, secret: { secretName: {{ .Values.secret }}, defaultMode: 288 } }
{{- end }}
{{- if .Values.models.claim }}
- { name: models, persistentVolumeClaim: { claimName: {{ .Values.models.claim }}, readOnly: true } }
{{- end }}
{{- end }}

{{/* An entry of `initContainers`: a native sidecar, which starts before the application and stops after it. The pod
     needs `portcullis.volumes` and a volume `audit` too. */}}
{{- define "portcullis.sidecar" -}}
{{ include "portcullis.container" . }}
restartPolicy: Always
{{- end }}
