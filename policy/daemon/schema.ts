/**
 * The settings of the daemon one by one, and the shape of its configuration file.
 */

import { isIPv6 } from 'node:net';
import type { Shape } from '#daemon/field-text.ts';
import { leaf, mapping, oneOf, text } from '#daemon/leaves.ts';

export const DEFAULT_SOCKET = '/run/margay/policy.sock';
export const DEFAULT_LOG_LEVEL = 'info';

const path = text('the path of a file', 4_095);
/** The length that sockaddr_un has room for: unix(7). */
const socketPath = text('the path of a socket, of up to 107 bytes', 107);

const address = leaf('HOST:PORT, such as 10.0.0.1:5480 or [fd00::1]:5480', (value) =>
  typeof value === 'string' && isListenAddress(value) ? value : undefined,
);

/** All settings by their path in the file, each with the option of the command that says the same. */
export const LEAVES = {
  'datastore.directory': path.meta({
    description:
      "directory of the objects' files: `.yaml`, `.yml` and `.json` in it, not those in folders inside it",
    otherwise: 'this or the next',
    example: '/etc/margay/objects',
    option: '--datastore',
  }),
  'datastore.kubernetes.kubeconfig': path.meta({
    description: 'read objects from the Kubernetes API that this file names, as kubectl does',
    otherwise: 'with `kubernetes: {}`, the account of the pod',
    example: '/etc/margay/kubeconfig',
    option: '--kubeconfig',
  }),
  'api.socket': socketPath.meta({
    description:
      'unix socket for the node agent and the commands on this machine; `MARGAY_POLICY_SOCKET` in the environment says the same',
    default: DEFAULT_SOCKET,
    example: '/run/margay/other-policy.sock',
    option: '--socket',
  }),
  'listen.address': address.meta({
    description: 'where nodes connect from elsewhere, by mutual TLS',
    otherwise: 'nowhere',
    example: '0.0.0.0:5480',
    option: '--listen',
  }),
  'listen.tls.ca': path.meta({
    description: 'authorities whose certificates nodes may have, PEM',
    otherwise: 'required with `listen`',
    example: '/etc/margay/tls/nodes-ca.crt',
    option: '--tls-ca',
  }),
  'listen.tls.certificate': path.meta({
    description: "the engine's certificate, and after it those between it and an authority, PEM",
    otherwise: 'required with `listen`',
    example: '/etc/margay/tls/policy.crt',
    option: '--tls-cert',
  }),
  'listen.tls.key': path.meta({
    description: 'its key, PEM',
    otherwise: 'required with `listen`',
    example: '/etc/margay/tls/policy.key',
    option: '--tls-key',
  }),
  'log.level': oneOf('error', 'warn', 'info', 'debug').meta({
    description: 'the least that is logged',
    default: DEFAULT_LOG_LEVEL,
    example: 'debug',
    option: '--log-level',
  }),
} as const;

export type SettingPath = keyof typeof LEAVES;

/** The sections of the document. */
export const SECTIONS: Shape = {
  datastore: mapping({
    directory: LEAVES['datastore.directory'].optional(),
    kubernetes: mapping({ kubeconfig: LEAVES['datastore.kubernetes.kubeconfig'].optional() }).nullish(),
  }).optional(),
  api: mapping({ socket: LEAVES['api.socket'].optional() }).optional(),
  listen: mapping({
    address: LEAVES['listen.address'].optional(),
    tls: mapping({
      ca: LEAVES['listen.tls.ca'].optional(),
      certificate: LEAVES['listen.tls.certificate'].optional(),
      key: LEAVES['listen.tls.key'].optional(),
    }).optional(),
  }).optional(),
  log: mapping({ level: LEAVES['log.level'].optional() }).optional(),
};

/** The option of the command that says the same as the file at that path. */
export function optionOf(path: SettingPath): string {
  return String(LEAVES[path].meta()?.option);
}

function isListenAddress(value: string): boolean {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || Number(port) > 65_535) return false;
  return host.startsWith('[')
    ? host.endsWith(']') && isIPv6(host.slice(1, -1))
    : /^[A-Za-z0-9.-]+$/.test(host);
}
