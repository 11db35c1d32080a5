import { CNI, CniError } from './error.ts';

/** The operations of the specification (section 2). */
export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION'] as const;

export type Command = (typeof COMMANDS)[number];

/** What the `CNI_*` variables say. Those that an operation does not need may be empty. */
export interface Environment {
  readonly command: Command;
  readonly containerId: string;
  /** A path. */
  readonly netns: string;
  readonly interfaceName: string;
  /** `namespace/name`, from `K8S_POD_NAMESPACE` and `K8S_POD_NAME`; undefined for what is no pod of Kubernetes. */
  readonly pod: string | undefined;
  /** `K8S_POD_UID`: tells the pod from others of its name; undefined where the runtime does not set it. */
  readonly podUid: string | undefined;
  /** `CNI_ARGS`, with those that nobody knows. */
  readonly args: ReadonlyMap<string, string>;
}

/** What each operation needs. */
const NEEDED: Readonly<Record<Command, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  STATUS: [],
  GC: [],
  VERSION: [],
};

/**
 * Reads the variables of a call.
 *
 * @throws CniError with code 4 and the names of those that are wrong
 */
export function readEnvironment(variables: ReadonlyMap<string, string>): Environment {
  const get = (name: string): string => variables.get(name) ?? '';
  const command = COMMANDS.find((each) => each === get('CNI_COMMAND'));
  if (command === undefined)
    throw invalid('CNI_COMMAND', get('CNI_COMMAND'), `one of ${COMMANDS.join(', ')}`);
  const missing = NEEDED[command].filter((name) => get(name) === '');
  if (missing.length > 0) {
    const details = `${command} needs ${NEEDED[command].join(', ')}`;
    throw new CniError(CNI.invalidEnvironment, `not set: ${missing.join(', ')}`, details);
  }
  const needed = (name: string): boolean => NEEDED[command].includes(name);
  const containerId = get('CNI_CONTAINERID');
  if (needed('CNI_CONTAINERID') && !/^[a-zA-Z0-9][\w.-]{0,127}$/.test(containerId)) {
    const expected = 'letters, digits, "_", "." and "-", the first a letter or digit, at most 128';
    throw invalid('CNI_CONTAINERID', containerId, expected);
  }
  const interfaceName = get('CNI_IFNAME');
  if (needed('CNI_IFNAME') && !isInterfaceName(interfaceName)) {
    throw invalid(
      'CNI_IFNAME',
      interfaceName,
      '1 to 15 bytes without blanks, "/", ":" and "%", not "lo", "all" or "default"',
    );
  }
  const netns = get('CNI_NETNS');
  if (netns !== '' && (!netns.startsWith('/') || netns.includes('\0')))
    throw invalid('CNI_NETNS', netns, 'a path from the root');
  const args = readArgs(get('CNI_ARGS'));
  return {
    command,
    containerId,
    netns,
    interfaceName,
    args,
    pod: readPod(args),
    podUid: args.get('K8S_POD_UID') || undefined,
  };
}

/** What can be no interface of a pod; the last two are folders of kernel parameters. */
const TAKEN = ['.', '..', 'lo', 'all', 'default'];

function isInterfaceName(name: string): boolean {
  return /^[^/:%\s\0]+$/.test(name) && !TAKEN.includes(name) && Buffer.byteLength(name) < 16;
}

/** `K=V;K=V`. */
function readArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(';').filter(Boolean)) {
    const at = pair.indexOf('=');
    if (at <= 0) throw invalid('CNI_ARGS', text, 'pairs such as K8S_POD_NAME=web-0 with ";" between them');
    args.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return args;
}

function readPod(args: ReadonlyMap<string, string>): string | undefined {
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  const name = args.get('K8S_POD_NAME') ?? '';
  if (namespace === '' && name === '') return undefined;
  // RFC 1123, as the API server has the names of namespaces and pods.
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace))
    throw invalid(
      'CNI_ARGS',
      `K8S_POD_NAMESPACE=${namespace}`,
      'the name of a namespace beside that of a pod',
    );
  if (name.length > 253 || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name))
    throw invalid('CNI_ARGS', `K8S_POD_NAME=${name}`, 'the name of a pod beside that of a namespace');
  return `${namespace}/${name}`;
}

function invalid(name: string, found: string, expected: string): CniError {
  const shown = JSON.stringify(found.length > 300 ? `${found.slice(0, 300)}...` : found);
  return new CniError(CNI.invalidEnvironment, `invalid ${name}`, `found ${shown}, expected ${expected}`);
}
