/** Pods as a cluster has them, with all that nobody here reads: conditions, volumes, who set which field. */

export function podOf(i: number, version: number, round = '0'): object {
  const app = `app-${i % 5_000}`;
  const node = `node-${Math.floor(i / 30)}`;
  const name = `${app}-7d9f8c6b5d-${i.toString(36).padStart(5, '0')}`;
  const address = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  const time = '2026-01-15T08:30:00Z';
  const condition = (type: string) => ({
    type,
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: time,
  });
  const container = (container: string) => ({
    name: container,
    image: `registry.internal/team/${container}:v1.42.${i % 100}`,
    args: ['--config=/etc/config/app.yaml', '--log-level=info', `--shard=${i % 16}`],
    ports: [
      { name: 'http', containerPort: 8080, protocol: 'TCP' },
      { name: 'metrics', containerPort: 9090, protocol: 'TCP' },
    ],
    env: Array.from({ length: 12 }, (_, n) => ({ name: `SETTING_${n}`, value: `value-of-setting-${n}` })),
    resources: { limits: { cpu: '1', memory: '512Mi' }, requests: { cpu: '100m', memory: '256Mi' } },
    volumeMounts: [
      { name: 'config', readOnly: true, mountPath: '/etc/config' },
      { name: 'kube-api-access', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
    ],
    livenessProbe: {
      httpGet: { path: '/healthz', port: 'http', scheme: 'HTTP' },
      timeoutSeconds: 1,
      periodSeconds: 10,
    },
    readinessProbe: {
      httpGet: { path: '/ready', port: 'http', scheme: 'HTTP' },
      timeoutSeconds: 1,
      periodSeconds: 10,
    },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
    securityContext: { capabilities: { drop: ['ALL'] }, runAsNonRoot: true, allowPrivilegeEscalation: false },
  });
  const fields = (fields: readonly string[]) =>
    Object.fromEntries(
      fields.map((field) => [`f:${field}`, { '.': {}, [`k:{"name":"${field}"}`]: { 'f:value': {} } }]),
    );
  return {
    metadata: {
      name,
      generateName: `${app}-7d9f8c6b5d-`,
      namespace: `team-${i % 500}`,
      uid: `0b1c2d3e-4f50-6172-8394-${i.toString(16).padStart(12, '0')}`,
      resourceVersion: `${version}`,
      creationTimestamp: time,
      labels: {
        app,
        team: `team-${i % 25}`,
        tier: i % 3 === 0 ? 'web' : 'back',
        'pod-template-hash': '7d9f8c6b5d',
        round,
      },
      annotations: { 'prometheus.io/scrape': 'true', 'checksum/config': 'f'.repeat(64) },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-7d9f8c6b5d`,
          uid: 'a'.repeat(36),
          controller: true,
        },
      ],
      managedFields: ['kube-controller-manager', 'kubelet'].map((manager) => ({
        manager,
        operation: 'Update',
        apiVersion: 'v1',
        time,
        fieldsType: 'FieldsV1',
        fieldsV1: fields([
          'labels',
          'ownerReferences',
          'containers',
          'image',
          'ports',
          'env',
          'resources',
          'conditions',
        ]),
      })),
    },
    spec: {
      volumes: [
        { name: 'config', configMap: { name: `${app}-config`, defaultMode: 420 } },
        {
          name: 'kube-api-access',
          projected: {
            sources: [{ serviceAccountToken: { expirationSeconds: 3_607, path: 'token' } }],
            defaultMode: 420,
          },
        },
      ],
      containers: [container(app), container('sidecar')],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: 'default',
      nodeName: node,
      securityContext: {},
      schedulerName: 'default-scheduler',
      tolerations: ['not-ready', 'unreachable'].map((what) => ({
        key: `node.kubernetes.io/${what}`,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: 300,
      })),
    },
    status: {
      phase: 'Running',
      conditions: [
        'PodReadyToStartContainers',
        'Initialized',
        'Ready',
        'ContainersReady',
        'PodScheduled',
      ].map(condition),
      hostIP: '192.0.2.1',
      podIP: address,
      podIPs: [{ ip: address }],
      startTime: time,
      containerStatuses: [app, 'sidecar'].map((container) => ({
        name: container,
        state: { running: { startedAt: time } },
        ready: true,
        restartCount: 0,
        image: `registry.internal/team/${container}:v1.42`,
        imageID: `registry.internal/team/${container}@sha256:${'c'.repeat(64)}`,
        containerID: `containerd://${'d'.repeat(64)}`,
        started: true,
      })),
      qosClass: 'Burstable',
    },
  };
}
