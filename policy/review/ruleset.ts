/**
 * A node's programs as a ruleset for `nft -f`: for people to read, and for a machine without Margay to load. The
 * dataplane sends the kernel the same tables, chains, sets and rules.
 */

import { type Family, familyOf, formatAddress } from '#datastore/address.ts';
import {
  boxesOf,
  type PortBox,
  type PortSet,
  type PortVerdicts,
  PROTOCOL_NUMBERS,
  PROTOCOLS,
} from '#proto/ports.ts';
import type { NodeProgram } from '../program/node-program.ts';
import {
  type ClassId,
  DIRECTIONS,
  type Direction,
  type EndpointRules,
  type PodKey,
} from '../program/program.ts';
import { describeRange } from './ends.ts';

export interface RulesetOptions {
  /** Name of the table, of family inet. Default `margay`. */
  readonly table?: string;
  /** What the addresses of a class have in common, for comments. */
  readonly describeClass?: (id: ClassId) => readonly string[];
}

/**
 * Prints the programs as a table that takes the place of the one of its name, in one transaction.
 *
 * A verdict of `return` accepts one direction: it leads back to the chain that asks for the other one.
 */
export function renderRuleset(program: NodeProgram, options: RulesetOptions = {}): string {
  const table = options.table ?? 'margay';
  const parts = ([4, 6] as const).flatMap((family) => [
    ...selfSet(program, family),
    ...forwardChain(family),
    ...DIRECTIONS.flatMap((direction) => new DirectionRenderer(program, direction, family, options).lines()),
  ]);
  return [
    `table inet ${table} {}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    ...indent([...hookChain(), ...parts]),
    '}',
    '',
  ].join('\n');
}

/** Forwarded packets of new connections; what is not forwarded is between a node and its own pods. */
function hookChain(): string[] {
  return chain('forward', [
    'type filter hook forward priority filter; policy accept;',
    'ct state vmap { established : accept, related : accept, invalid : drop }',
    'meta protocol vmap { ip : jump forward4, ip6 : jump forward6 }',
  ]);
}

function forwardChain(family: Family): string[] {
  const ip = IP[family];
  return chain(`forward${family}`, [
    `${ip} saddr . ${ip} daddr @self${family} return`,
    `jump egress${family}`,
    `jump ingress${family}`,
  ]);
}

/** Pods that reach themselves by way of a service. */
function selfSet(program: NodeProgram, family: Family): string[] {
  const elements = [...program.endpoints]
    .filter(([, { ingress, egress }]) => ingress.isolated || egress.isolated)
    .map(([pod, { addresses }]): Entry => {
      const own = addresses.filter((address) => familyOf(address) === family).map(formatAddress);
      return { about: pod, elements: own.flatMap((a) => own.map((b) => `${a} . ${b}`)) };
    });
  return set('set', `self${family}`, `${ADDRESS_TYPE[family]} . ${ADDRESS_TYPE[family]}`, elements);
}

/** The chains, sets and maps of one direction and family. */
class DirectionRenderer {
  readonly #program: NodeProgram;
  readonly #direction: Direction;
  readonly #family: Family;
  readonly #options: RulesetOptions;

  constructor(program: NodeProgram, direction: Direction, family: Family, options: RulesetOptions) {
    this.#program = program;
    this.#direction = direction;
    this.#family = family;
    this.#options = options;
  }

  lines(): string[] {
    const { addresses, blocks, classes } = this.#program[this.#direction];
    const type = ADDRESS_TYPE[this.#family];
    const peers = [...addresses].filter(([address]) => familyOf(address) === this.#family);
    const ranges = blocks[this.#family];
    const used = new Set([...peers.map(([, id]) => id), ...ranges.map((range) => range.class)]);
    // A class that says nothing beyond what any peer may do has no chain.
    const ids = [...used].filter((id) => classes.has(id)).sort();
    const goTo = (what: string, id: ClassId) => ({
      about: '',
      elements: [`${what} : goto ${this.#name(classes.has(id) ? id : 'rest')}`],
    });
    return [
      ...set(
        'set',
        this.#name('isolated'),
        type,
        this.#ofEndpoints((pod) => this.#addressesOf(pod)),
      ),
      ...this.#portMap(
        this.#name('any'),
        this.#ofEndpoints((pod, { anyPeer }) => this.#elements(pod, anyPeer)),
      ),
      ...set(
        'map',
        this.#name('peers'),
        `${type} : verdict`,
        peers.map(([address, id]) => goTo(formatAddress(address), id)),
      ),
      ...set(
        'map',
        this.#name('blocks'),
        `${type} : verdict`,
        ranges.map((range) => goTo(describeRange(range), range.class)),
        'flags interval',
      ),
      ...this.#portMap(
        this.#name('otherwise'),
        this.#ofEndpoints((pod, { otherwise }) => this.#elements(pod, otherwise)),
      ),
      ...ids.flatMap((id) => this.#class(id, classes.get(id)!)),
      ...this.#mainChain(),
      ...chain(this.#name('rest'), [`${this.#key} vmap @${this.#name('otherwise')}`, 'drop']),
    ];
  }

  #mainChain(): string[] {
    const ip = IP[this.#family];
    const [own, peer] = this.#direction === 'egress' ? ['saddr', 'daddr'] : ['daddr', 'saddr'];
    return chain(`${this.#direction}${this.#family}`, [
      `${ip} ${own} != @${this.#name('isolated')} return`,
      `${this.#key} vmap @${this.#name('any')}`,
      `${ip} ${peer} vmap @${this.#name('peers')}`,
      `${ip} ${peer} vmap @${this.#name('blocks')}`,
      `goto ${this.#name('rest')}`,
    ]);
  }

  #class(id: ClassId, entries: ReadonlyMap<PodKey, PortVerdicts>): string[] {
    const name = this.#name(id);
    const elements = [...entries].map(([pod, { accept, drop }]) => ({
      about: pod,
      elements: [...this.#elements(pod, accept), ...this.#elements(pod, drop, 'drop')],
    }));
    const meaning = this.#options.describeClass?.(id) ?? [];
    return [
      ...meaning.map((text) => `# ${text}`),
      ...this.#portMap(name, elements),
      ...chain(name, [`${this.#key} vmap @${name}`, `goto ${this.#name('rest')}`]),
    ];
  }

  /** The pod's address, protocol and port of a packet. */
  get #key(): string {
    const own = this.#direction === 'egress' ? 'saddr' : 'daddr';
    return `${IP[this.#family]} ${own} . meta l4proto . th dport`;
  }

  #portMap(name: string, entries: readonly Entry[]): string[] {
    return set(
      'map',
      name,
      `${ADDRESS_TYPE[this.#family]} . inet_proto . inet_service : verdict`,
      entries,
      'flags interval',
    );
  }

  /** What there is to say of the endpoints that are isolated. */
  #ofEndpoints(elements: (pod: PodKey, rules: EndpointRules) => readonly string[]): Entry[] {
    return [...this.#program.endpoints]
      .filter(([, endpoint]) => endpoint[this.#direction].isolated)
      .map(([pod, endpoint]) => ({ about: pod, elements: elements(pod, endpoint[this.#direction]) }));
  }

  #elements(pod: PodKey, ports: PortSet, verdict = 'return'): string[] {
    const boxes = boxesOf(ports).map(formatBox);
    return this.#addressesOf(pod).flatMap((address) =>
      boxes.map((box) => `${address} . ${box} : ${verdict}`),
    );
  }

  #addressesOf(pod: PodKey): string[] {
    const { addresses } = this.#program.endpoints.get(pod) ?? { addresses: [] };
    return addresses.filter((address) => familyOf(address) === this.#family).map(formatAddress);
  }

  #name(what: string): string {
    return `${this.#direction}${this.#family}-${what}`;
  }
}

const IP: Readonly<Record<Family, string>> = { 4: 'ip', 6: 'ip6' };
const ADDRESS_TYPE: Readonly<Record<Family, string>> = { 4: 'ipv4_addr', 6: 'ipv6_addr' };

/** Elements, and what they are about. */
interface Entry {
  readonly about: PodKey;
  readonly elements: readonly string[];
}

function set(
  kind: 'set' | 'map',
  name: string,
  type: string,
  entries: readonly Entry[],
  flags = '',
): string[] {
  const filled = entries
    .filter(({ elements }) => elements.length > 0)
    .sort((a, b) => (a.about < b.about ? -1 : a.about > b.about ? 1 : 0));
  const lines = filled.flatMap(({ about, elements }) => [
    ...(about === '' ? [] : [`# ${about}`]),
    ...elements.map((element) => `${element},`),
  ]);
  return [
    `${kind} ${name} {`,
    ...indent([`type ${type}`, ...(flags === '' ? [] : [flags])]),
    ...(lines.length === 0 ? [] : indent(['elements = {', ...indent(lines), '}'])),
    '}',
  ];
}

function chain(name: string, rules: readonly string[]): string[] {
  return [`chain ${name} {`, ...indent(rules), '}'];
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `\t${line}`);
}

function formatBox({ protocols, ports }: PortBox): string {
  const name = PROTOCOLS.find((protocol) => PROTOCOL_NUMBERS[protocol] === protocols.first);
  const protocol =
    protocols.first === protocols.last && name !== undefined
      ? name.toLowerCase()
      : `${protocols.first}-${protocols.last}`;
  return `${protocol} . ${ports.first === ports.last ? ports.first : `${ports.first}-${ports.last}`}`;
}
