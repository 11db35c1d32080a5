/**
 * The settings of the daemon: from a YAML file, from the command line, which goes before it, and from defaults.
 */

import type { z } from 'zod';
import { readConfigText } from '#daemon/config-file.ts';
import type { DatastoreSettings } from '#daemon/datastore-section.ts';
import { ConfigDocument } from '#daemon/document.ts';
import type { LogLevel } from '#daemon/log.ts';
import { ConfigError } from '#daemon/problem.ts';
import type { TlsFiles } from '#proto/tls.ts';
import { DEFAULT_LOG_LEVEL, DEFAULT_SOCKET, LEAVES, optionOf, SECTIONS, type SettingPath } from './schema.ts';

export interface PolicyConfig {
  readonly datastore: DatastoreSettings;
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
  readonly kubeconfig?: string | undefined;
  readonly socket?: string | undefined;
  readonly listen?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly logLevel?: string | undefined;
}

type Setting<P extends SettingPath> = z.output<(typeof LEAVES)[P]>;

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
  const value = <P extends SettingPath>(path: P): Setting<P> | undefined => {
    const schema = LEAVES[path] as unknown as z.ZodType<Setting<P>>;
    const parts = path.split('.');
    if (!said.has(path))
      return document.valueAt(parts) === undefined ? undefined : document.read(parts, schema);
    const result = schema.safeParse(said.get(path));
    if (result.success) return result.data;
    const { params } = result.error.issues[0] as { params?: { expected?: string } };
    document.add([], `${params?.expected}`, `${optionOf(path)} ${JSON.stringify(said.get(path))}`);
    return undefined;
  };

  for (const [section, schema] of Object.entries(SECTIONS)) {
    document.read([section], schema);
  }
  const config = {
    datastore: readDatastore(document, flags, value),
    api: { socket: value('api.socket') ?? DEFAULT_SOCKET },
    listen: readListen(document, flags, value),
    log: { level: value('log.level') ?? DEFAULT_LOG_LEVEL },
  };
  if (document.problems.length > 0) throw new ConfigError(name, document.problems);
  return config;
}

const FLAG_PATHS = {
  datastore: 'datastore.directory',
  kubeconfig: 'datastore.kubernetes.kubeconfig',
  socket: 'api.socket',
  listen: 'listen.address',
  tlsCa: 'listen.tls.ca',
  tlsCert: 'listen.tls.certificate',
  tlsKey: 'listen.tls.key',
  logLevel: 'log.level',
} as const satisfies Partial<Record<keyof Flags, SettingPath>>;

/** One place: that of the command line, or else that of the file. */
function readDatastore(
  document: ConfigDocument,
  flags: Flags,
  value: <P extends SettingPath>(path: P) => Setting<P> | undefined,
): DatastoreSettings {
  const isSaid = flags.datastore !== undefined || flags.kubeconfig !== undefined;
  const isIn = (path: string[]) => document.valueAt(['datastore', ...path]) !== undefined;
  const isDirectory = isSaid ? flags.datastore !== undefined : isIn(['directory']);
  // `kubernetes:` with nothing behind it is the account of the pod.
  const isCluster = isSaid ? flags.kubeconfig !== undefined : isIn(['kubernetes']);
  if (isDirectory && isCluster) {
    const [names, path] = isSaid
      ? ['--datastore or --kubeconfig', []]
      : ['directory or kubernetes', ['datastore']];
    document.add(path, `${names}, not both`, 'both');
  } else if (!isDirectory && !isCluster && !hasProblemAt(document, 'datastore')) {
    const expected = 'directory: DIR or kubernetes: {} here, or --datastore or --kubeconfig';
    document.add(['datastore'], expected, isIn([]) ? 'neither' : 'nothing');
  }
  if (isCluster) return { kubernetes: { kubeconfig: value('datastore.kubernetes.kubeconfig') } };
  return { directory: value('datastore.directory') ?? '' };
}

/** There is no listening on TCP without certificates, and no certificates for nothing. */
function readListen(
  document: ConfigDocument,
  flags: Flags,
  value: <P extends SettingPath>(path: P) => Setting<P> | undefined,
): ListenConfig | undefined {
  const address = value('listen.address');
  const tls: Record<keyof TlsFiles, string | undefined> = {
    ca: value('listen.tls.ca'),
    certificate: value('listen.tls.certificate'),
    key: value('listen.tls.key'),
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
    const flag = optionOf(`listen.tls.${file}`);
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
