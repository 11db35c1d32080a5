/**
 * The settings of the daemon: from a YAML file, from the command line, which goes before it, and from defaults.
 */

import { isIPv6 } from 'node:net';
import type { z } from 'zod';
import { readConfigText } from '#daemon/config-file.ts';
import { ConfigDocument } from '#daemon/document.ts';
import { leaf, mapping, oneOf, text } from '#daemon/leaves.ts';
import type { LogLevel } from '#daemon/log.ts';
import { ConfigError, type PathPart } from '#daemon/problem.ts';
import type { TlsFiles } from '#proto/tls.ts';

export interface PolicyConfig {
  readonly datastore: { readonly directory: string };
  readonly api: { readonly socket: string };
  /** Where nodes connect from elsewhere; `undefined` if they can not. */
  readonly listen: ListenConfig | undefined;
  readonly log: { readonly level: LogLevel };
}

export interface ListenConfig {
  /** `host:port`, `[host]:port` for IPv6. */
  readonly address: string;
  readonly tls: TlsFiles;
}

/** What the command line says; what it does not say is `undefined`. */
export interface Flags {
  readonly config?: string | undefined;
  readonly datastore?: string | undefined;
  readonly socket?: string | undefined;
  readonly listen?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly logLevel?: string | undefined;
}

export const DEFAULT_SOCKET = '/run/margay/policy.sock';

/** @throws ConfigError with all that is wrong, ConfigFileError */
export function readConfig(flags: Flags): PolicyConfig {
  if (flags.config === undefined) return resolveConfig('', flags);
  const source = readConfigText(flags.config);
  return resolveConfig(source, flags);
}

/** @throws ConfigError */
export function resolveConfig(source: string, flags: Flags): PolicyConfig {
  const document = new ConfigDocument(source);
  const name = flags.config ?? 'command line';
  if (document.problems.length > 0) throw new ConfigError(name, document.problems);
  const known = Object.keys(SECTIONS);
  document.addUnknown(
    [],
    document.keys([]).filter((key) => !known.includes(key)),
    known,
  );

  // What is on the command line is read as if it stood in the file.
  const said = new Map<string, unknown>();
  for (const [flag, path] of Object.entries(FLAG_PATHS)) {
    const value = flags[flag as keyof typeof FLAG_PATHS];
    if (value !== undefined) said.set(path, value);
  }
  const value = <T>(path: string): T | undefined => {
    const parts = path.split('.');
    if (!said.has(path)) return document.valueAt(parts) === undefined ? undefined : (read(parts) as T);
    const result = LEAVES[path]!.safeParse(said.get(path));
    if (result.success) return result.data as T;
    const { params } = result.error.issues[0] as { params?: { expected?: string } };
    document.add([], `${params?.expected}`, `${FLAG_NAMES[path]} ${JSON.stringify(said.get(path))}`);
    return undefined;
  };
  const read = (path: readonly PathPart[]): unknown => document.read(path, LEAVES[path.join('.')]!);

  for (const [section, schema] of Object.entries(SECTIONS)) {
    if (document.valueAt([section]) !== undefined) document.read([section], schema);
  }
  const directory = value<string>('datastore.directory');
  if (directory === undefined && !hasProblemAt(document, 'datastore')) {
    document.add(['datastore', 'directory'], 'a directory of YAML files, here or by --datastore', 'nothing');
  }
  const config = {
    datastore: { directory: directory ?? '' },
    api: { socket: value<string>('api.socket') ?? DEFAULT_SOCKET },
    listen: readListen(document, flags, value),
    log: { level: value<LogLevel>('log.level') ?? 'info' },
  };
  if (document.problems.length > 0) throw new ConfigError(name, document.problems);
  return config;
}

const path = text('the path of a file', 4_095);
/** The length that sockaddr_un has room for: unix(7). */
const socketPath = text('the path of a socket, of up to 107 bytes', 107);

const address = leaf('HOST:PORT, such as 10.0.0.1:5480 or [fd00::1]:5480', (value) =>
  typeof value === 'string' && isListenAddress(value) ? value : undefined,
);

const LEAVES: Readonly<Record<string, ReturnType<typeof leaf>>> = {
  'datastore.directory': path,
  'api.socket': socketPath,
  'listen.address': address,
  'listen.tls.ca': path,
  'listen.tls.certificate': path,
  'listen.tls.key': path,
  'log.level': oneOf('error', 'warn', 'info', 'debug'),
};

const SECTIONS: Readonly<Record<string, z.ZodType>> = {
  datastore: mapping({ directory: path.optional() }),
  api: mapping({ socket: socketPath.optional() }),
  listen: mapping({
    address: address.optional(),
    tls: mapping({ ca: path.optional(), certificate: path.optional(), key: path.optional() }).optional(),
  }),
  log: mapping({ level: oneOf('error', 'warn', 'info', 'debug').optional() }),
};

const FLAG_PATHS = {
  datastore: 'datastore.directory',
  socket: 'api.socket',
  listen: 'listen.address',
  tlsCa: 'listen.tls.ca',
  tlsCert: 'listen.tls.certificate',
  tlsKey: 'listen.tls.key',
  logLevel: 'log.level',
} as const satisfies Partial<Record<keyof Flags, string>>;

const FLAG_NAMES: Readonly<Record<string, string>> = {
  'datastore.directory': '--datastore',
  'api.socket': '--socket',
  'listen.address': '--listen',
  'listen.tls.ca': '--tls-ca',
  'listen.tls.certificate': '--tls-cert',
  'listen.tls.key': '--tls-key',
  'log.level': '--log-level',
};

/** All settings: path in the file, option. */
export const SETTINGS: readonly (readonly [string, string])[] = Object.entries(FLAG_NAMES);

/** There is no listening on TCP without certificates, and no certificates for nothing. */
function readListen(
  document: ConfigDocument,
  flags: Flags,
  value: <T>(path: string) => T | undefined,
): ListenConfig | undefined {
  const address = value<string>('listen.address');
  const tls: Record<keyof TlsFiles, string | undefined> = {
    ca: value<string>('listen.tls.ca'),
    certificate: value<string>('listen.tls.certificate'),
    key: value<string>('listen.tls.key'),
  };
  const files = Object.keys(tls) as (keyof TlsFiles)[];
  const isWanted = document.valueAt(['listen']) !== undefined || flags.listen !== undefined;
  if ((!isWanted && files.every((file) => tls[file] === undefined)) || hasProblemAt(document, 'listen')) {
    return undefined;
  }
  if (address === undefined && flags.listen === undefined) {
    document.add(
      ['listen', 'address'],
      'HOST:PORT, here or by --listen, since there are certificates',
      'nothing',
    );
  }
  for (const file of files) {
    if (tls[file] !== undefined) continue;
    const flag = FLAG_NAMES[`listen.tls.${file}`];
    document.add(
      ['listen', 'tls', file],
      `a file in PEM, here or by ${flag}: TCP is only with mutual TLS`,
      'nothing',
    );
  }
  return { address: address ?? '', tls: tls as TlsFiles };
}

function hasProblemAt(document: ConfigDocument, section: string): boolean {
  return document.problems.some(({ path }) => path === section || path.startsWith(`${section}.`));
}

function isListenAddress(value: string): boolean {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || Number(port) > 65_535) return false;
  return host.startsWith('[')
    ? host.endsWith(']') && isIPv6(host.slice(1, -1))
    : /^[A-Za-z0-9.-]+$/.test(host);
}
