/**
 * Cases as data: what is in a cluster, step by step, and who may then talk to whom. The language of the files in
 * `cases/` is told in their README.
 */

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { type AddressKey, familyOf, parseAddress } from '#datastore/address.ts';
import { keyOf, type Resource, type ResourceKey, readResource } from '#datastore/resource.ts';
import type { Traffic } from '#policy/evaluator/traffic.ts';

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** A moment of a cluster, and connections at it. */
export interface Step {
  /** What changed since the step before; everything, for the first. */
  readonly changed: ReadonlyMap<ResourceKey, Resource | undefined>;
  readonly resources: readonly Resource[];
  readonly questions: readonly Question[];
}

/** A connection by the names and addresses of its ends, and whether it may be made. */
export interface Question {
  readonly label: string;
  readonly source: AddressKey;
  readonly destination: AddressKey;
  readonly protocol: Traffic['protocol'];
  readonly port: number;
  readonly allowed: boolean;
}

/** Reads the cases of one file. */
export function loadCases(name: string): Case[] {
  const path = join(import.meta.dirname, 'cases', name);
  const written = parse(readFileSync(path, 'utf8'), { merge: true }) as WrittenCase[];
  return written.map((one) => {
    try {
      return new CaseReader(one).read();
    } catch (error) {
      throw new Error(`${basename(path)}: ${one.case}: ${(error as Error).message}`, { cause: error });
    }
  });
}

interface WrittenCase {
  readonly case: string;
  /** `x/a x/b y/a`; default all of x, y, z with a, b, c. */
  readonly pods?: string;
  /** Other ends: `node n1`, `192.0.2.1`. */
  readonly others?: readonly string[];
  readonly steps: readonly WrittenStep[];
}

interface WrittenStep {
  readonly do?: Readonly<Record<string, unknown>>;
  readonly expect: Readonly<Record<string, readonly string[] | null>>;
}

const NAMESPACES = ['x', 'y', 'z', 'w'];
const PODS = ['a', 'b', 'c', 'd'];
const STANDARD = ['x', 'y', 'z'].flatMap((namespace) => ['a', 'b', 'c'].map((pod) => `${namespace}/${pod}`));

class CaseReader {
  readonly #written: WrittenCase;
  readonly #state = new Map<ResourceKey, Resource>();
  #changed = new Map<ResourceKey, Resource | undefined>();

  constructor(written: WrittenCase) {
    this.#written = written;
  }

  read(): Case {
    const pods = this.#written.pods === undefined ? STANDARD : this.#written.pods.split(' ').filter(Boolean);
    for (const namespace of new Set(pods.map((pod) => pod.split('/')[0]!)))
      this.#do(`namespace ${namespace}`, {});
    for (const pod of pods) this.#do(`pod ${pod}`, {});
    const steps = this.#written.steps.map((step) => this.#readStep(step));
    return { name: this.#written.case, steps };
  }

  #readStep(step: WrittenStep): Step {
    for (const [action, value] of Object.entries(step.do ?? {})) this.#do(action, value);
    const changed = this.#changed;
    this.#changed = new Map();
    const ends = this.#ends();
    const questions = Object.entries(step.expect).flatMap(([traffic, lines]) =>
      ask(ends, traffic, lines ?? []),
    );
    return { changed, resources: [...this.#state.values()], questions };
  }

  #do(action: string, value: unknown): void {
    const [verb, name] = action.split(' ') as [string, string];
    if (verb === 'objects') {
      for (const object of value as unknown[]) this.#put(object);
      return;
    }
    const make = MAKERS[verb];
    if (make === undefined) throw new Error(`no such action: ${action}`);
    const object = make(name, (value ?? {}) as Parts);
    if (value !== null) this.#put(object);
    else {
      const { kind, metadata } = object as {
        kind: Resource['kind'];
        metadata: { name: string; namespace?: string };
      };
      const key = keyOf({ kind, namespace: metadata.namespace ?? '', name: metadata.name });
      if (!this.#state.delete(key)) throw new Error(`nothing to delete: ${key}`);
      this.#changed.set(key, undefined);
    }
  }

  #put(object: unknown): void {
    const reading = readResource(object);
    if (reading.outcome !== 'resource') throw new Error(JSON.stringify(reading.faults));
    this.#state.set(reading.key, reading.resource);
    this.#changed.set(reading.key, reading.resource);
  }

  /** All that can be an end of a connection: name and addresses. */
  #ends(): End[] {
    const ends: End[] = [];
    for (const resource of this.#state.values()) {
      if (resource.kind !== 'Pod') continue;
      const { namespace, name, addresses } = resource;
      ends.push({ name: `${namespace}/${name}`, isPod: true, addresses: addresses.map(key) });
    }
    for (const name of this.#written.others ?? []) {
      const node = [...this.#state.values()].find((r) => r.kind === 'Node' && name === `node ${r.name}`);
      const addresses = node?.kind === 'Node' ? node.addresses.map(({ address }) => address) : [name];
      ends.push({ name, isPod: false, addresses: addresses.map(key) });
    }
    return ends;
  }
}

interface End {
  readonly name: string;
  readonly isPod: boolean;
  readonly addresses: readonly AddressKey[];
}

type Parts = Readonly<Record<string, unknown>>;

const MAKERS: Readonly<Record<string, (name: string, parts: Parts) => unknown>> = {
  namespace: (name, { labels = {} }) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { ns: name, ...(labels as object) } },
  }),
  node: (name, { addresses = [] }) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { addresses: (addresses as string[]).map((address) => ({ type: 'InternalIP', address })) },
  }),
  policy: (path, spec) => {
    const [namespace, name] = path.split('/');
    return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec };
  },
  pod: (path, parts) => {
    const [namespace, name] = path.split('/') as [string, string];
    const { labels = {}, addresses, phase = 'Running', ...spec } = parts;
    const place = `${NAMESPACES.indexOf(namespace) + 1}`;
    const number = `${PODS.indexOf(name) + 1}`;
    const ips = (addresses as string[]) ?? [`10.244.${place}.${number}`, `fd00:244:${place}::${number}`];
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name, labels: { pod: name, ...(labels as object) } },
      spec: { nodeName: `of-${namespace}-${name}`, containers: STANDARD_CONTAINERS, ...spec },
      status: { phase, podIPs: ips.map((ip) => ({ ip })) },
    };
  },
};

/** Ports 80 and 81 of all protocols, named `serve-80-tcp` and so on. */
const STANDARD_CONTAINERS = [80, 81].map((port) => ({
  ports: ['TCP', 'UDP', 'SCTP'].map((protocol) => ({
    name: `serve-${port}-${protocol.toLowerCase()}`,
    containerPort: port,
    protocol,
  })),
}));

/** Every pair of ends, in every family that both have; the last line that fits a pair counts, `yes` if none does. */
function ask(ends: readonly End[], traffic: string, lines: readonly string[]): Question[] {
  const rules = lines.map(parseLine);
  const used = new Set<(typeof rules)[number]>();
  const questions: Question[] = [];
  for (const from of ends) {
    for (const to of ends) {
      if (!from.isPod && !to.isPod) continue;
      const fitting = rules.filter((rule) => fits(rule.from, from) && fits(rule.to, to));
      for (const rule of fitting) used.add(rule);
      // A pod always reaches itself, and no line has to say so.
      const allowed = from === to || (fitting.at(-1)?.allowed ?? true);
      questions.push(...ofAllFamilies(from, to, traffic, allowed));
    }
  }
  const unused = rules.find((rule) => !used.has(rule));
  if (unused !== undefined) throw new Error(`no pair of ends fits the line ${unused.line}`);
  return questions;
}

function ofAllFamilies(from: End, to: End, traffic: string, allowed: boolean): Question[] {
  const [protocol, port = '0'] = traffic.split('/') as [Traffic['protocol'], string?];
  return from.addresses.flatMap((source) =>
    to.addresses
      .filter((destination) => familyOf(destination) === familyOf(source))
      .map((destination) => ({
        label: `${from.name} > ${to.name} ${traffic} (IPv${familyOf(source)})`,
        source,
        destination,
        protocol,
        port: Number(port),
        allowed,
      })),
  );
}

interface Line {
  readonly line: string;
  readonly from: string;
  readonly to: string;
  readonly allowed: boolean;
}

function parseLine(line: string): Line {
  const match = /^(.+) > (.+) (yes|no)$/.exec(line);
  if (match === null) throw new Error(`not FROM > TO yes|no: ${line}`);
  return { line, from: match[1]!, to: match[2]!, allowed: match[3] === 'yes' };
}

function fits(pattern: string, end: End): boolean {
  if (pattern === 'any') return true;
  if (pattern === '*') return end.isPod;
  if (pattern.endsWith('/*')) return end.isPod && end.name.startsWith(pattern.slice(0, -1));
  return pattern === end.name;
}

function key(text: string): AddressKey {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`no address: ${text}`);
  return address;
}
