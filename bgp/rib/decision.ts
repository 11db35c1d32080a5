/**
 * The decision process: which path of a net is used, which ones beside it, and by which step each of the others lost.
 * RFC 4271 section 9.1.2, RFC 4456 section 9.
 *
 * The result depends on the set of paths alone, not on the order in which they came. MED is compared within a neighbouring
 * AS, and first among all paths that are equal so far ("deterministic MED"): a path that loses to another by MED takes no
 * further part, whatever else there is.
 */

import {
  type AttributeStore,
  KEY_CLUSTERS,
  KEY_LENGTH_ORIGIN,
  KEY_LOCAL_PREF,
  KEY_MED,
  KEY_NEIGHBOUR_AS,
  KEY_NEXT_HOP,
  KEY_ORIGINATOR,
  KEY_PATH_HASH,
} from './attribute-store.ts';
import type { NextHopTable } from './next-hops.ts';
import { PATH_ID, PATH_NEXT, PATH_ORDER, PATH_PEER, PATH_POST, type PathStore, PEER_MASK } from './paths.ts';
import { FROM_EBGP, FROM_KERNEL, type RibPeer } from './peer.ts';
import type { DecisionSettings, MultipathSettings } from './settings.ts';

/** Steps in the order in which they are taken. */
export const STEP_OWN = 1;
export const STEP_LOCAL_PREF = 2;
export const STEP_AS_PATH_LENGTH = 3;
export const STEP_ORIGIN = 4;
export const STEP_MED = 5;
export const STEP_EBGP = 6;
export const STEP_IGP_METRIC = 7;
export const STEP_OLDEST = 8;
export const STEP_ROUTER_ID = 9;
export const STEP_CLUSTER_LIST = 10;
export const STEP_PEER_ADDRESS = 11;
export const STEP_PATH_ID = 12;

/** What a step asks for, in words. */
export function stepName(step: number): string {
  return STEP_NAMES[step] ?? '';
}

const STEP_NAMES = [
  'only path',
  'own route',
  'local preference',
  'AS path length',
  'origin',
  'MED',
  'external over internal',
  'metric to next hop',
  'oldest',
  'router id',
  'cluster list length',
  'neighbour address',
  'path id',
];

/** Why a path is not best. */
export type Verdict =
  | { readonly kind: 'best' | 'multipath' }
  /** Import policy, or a loop. */
  | { readonly kind: 'rejected' }
  | { readonly kind: 'unreachable' }
  /** `step`: where it fell behind the best path. */
  | { readonly kind: 'lost'; readonly step: number };

export class DecisionProcess {
  /** After `select`: the paths in use, the best first; one entry or none unless multipath is on. */
  readonly chosen: number[] = [];
  readonly #paths: PathStore;
  readonly #attributes: AttributeStore;
  readonly #nextHops: NextHopTable;
  readonly #peers: readonly (RibPeer | undefined)[];
  readonly #decision: DecisionSettings;
  readonly #multipath: MultipathSettings;
  /** Paths that are left in the running `select`, with their MED and neighbouring AS. */
  #candidates = new Int32Array(16);
  #meds = new Uint32Array(16);
  #neighbours = new Int32Array(16);
  #count = 0;
  /** For MED: those of them that are kept, and a hash table of at least twice as many slots. */
  #kept = new Int32Array(16);
  #lowest = new Int32Array(32);

  constructor(
    paths: PathStore,
    attributes: AttributeStore,
    nextHops: NextHopTable,
    peers: readonly (RibPeer | undefined)[],
    decision: DecisionSettings,
    multipath: MultipathSettings,
  ) {
    this.#paths = paths;
    this.#attributes = attributes;
    this.#nextHops = nextHops;
    this.#peers = peers;
    this.#decision = decision;
    this.#multipath = multipath;
  }

  /** Whether a path may be used at all: accepted by policy, and its next hop can be reached. */
  eligible(row: number): boolean {
    const post = this.#paths.get(row, PATH_POST);
    return post !== 0 && this.#nextHops.reachable[this.#key(post, KEY_NEXT_HOP)] === 1;
  }

  /** The best of the paths of a net (a chain that starts with `first`), 0 if none can be used. Fills `chosen`. */
  select(first: number): number {
    this.chosen.length = 0;
    this.#collect(first);
    if (this.#count === 0) return 0;
    if (this.#count > 2 && !this.#decision.alwaysCompareMed) this.#dropByMed();

    const candidates = this.#candidates;
    let best = candidates[0]!;
    for (let i = 1; i < this.#count; i++) {
      if (this.compare(candidates[i]!, best) > 0) best = candidates[i]!;
    }
    this.chosen.push(best);
    if (this.#multipath.maxPaths > 1 && this.#count > 1) this.#addMultipaths(best);
    return best;
  }

  /**
   * Which of two paths is better if they are the only ones, and by which step: positive if it is `a`, negative if it is `b`.
   */
  compare(a: number, b: number): number {
    const before = this.#compareToMetric(a, b);
    return before !== 0 ? before : this.#compareTies(a, b);
  }

  /**
   * Whether a path, compared with the best of the others alone, changes nothing about what `select` found: true if it is certain.
   *
   * @param alone no other path was chosen beside the best one
   */
  isBehind(row: number, best: number, alone: boolean): boolean {
    if (!this.eligible(row)) return true;
    const result = this.#compareToMetric(best, row);
    if (result < 0) return false;
    // Not among those of which MED takes some out.
    if (result !== 0 && result < STEP_MED) return true;
    if (!alone && !this.#sharesMed(row, best)) return false;
    if (result !== 0) return true;
    return !this.#mayJoin(row, best) && this.#compareTies(best, row) > 0;
  }

  /**
   * Whether no path of a chain is out of the decision because of this one, which was not chosen: true if it is certain. The
   * best path may have become what it is before next hops were what they are now.
   */
  holdsBackNone(row: number, best: number, first: number): boolean {
    const post = this.#paths.get(row, PATH_POST);
    if (post === 0 || this.#decision.alwaysCompareMed) return true;
    const result = this.#compareToMetric(best, row);
    const before = Math.abs(result);
    if (before !== 0 && before < STEP_MED) return result > 0;
    // Whom it holds back the best one holds back as well.
    if (this.#sharesMed(row, best)) return result >= 0;
    const neighbour = this.#key(post, KEY_NEIGHBOUR_AS);
    const med = this.#key(post, KEY_MED) >>> 0;
    for (let other = first; other !== 0; other = this.#paths.get(other, PATH_NEXT)) {
      const its = this.#paths.get(other, PATH_POST);
      if (its === 0 || this.#key(its, KEY_NEIGHBOUR_AS) !== neighbour) continue;
      if (this.#key(its, KEY_MED) >>> 0 > med) return false;
    }
    return true;
  }

  /** Whether the MEDs of two paths are compared. */
  #sharesMed(a: number, b: number): boolean {
    if (this.#decision.alwaysCompareMed) return true;
    const [postA, postB] = [this.#paths.get(a, PATH_POST), this.#paths.get(b, PATH_POST)];
    return this.#key(postA, KEY_NEIGHBOUR_AS) === this.#key(postB, KEY_NEIGHBOUR_AS);
  }

  /** Whether a path that is equal up to the metric may be used beside the best one. */
  #mayJoin(row: number, best: number): boolean {
    const { maxPaths, asPathRelax } = this.#multipath;
    if (maxPaths <= 1) return false;
    const [post, other] = [this.#paths.get(row, PATH_POST), this.#paths.get(best, PATH_POST)];
    return asPathRelax || this.#key(post, KEY_PATH_HASH) === this.#key(other, KEY_PATH_HASH);
  }

  /** What the decision says of a path of the net that `select` was asked of last, with that answer. */
  verdict(row: number, best: number): Verdict {
    if (row === best) return { kind: 'best' };
    if (this.chosen.includes(row)) return { kind: 'multipath' };
    if (this.#paths.get(row, PATH_POST) === 0) return { kind: 'rejected' };
    if (!this.eligible(row)) return { kind: 'unreachable' };
    const result = this.compare(best, row);
    // A path can only beat the best one in a comparison of the two if MED has taken it out against a third.
    return { kind: 'lost', step: result > 0 ? result : STEP_MED };
  }

  /** By which step the best path is ahead of the next best; 0 if there is no other that can be used. */
  winningStep(first: number): number {
    const best = this.select(first);
    let last = 0;
    for (let row = first; row !== 0; row = this.#paths.get(row, PATH_NEXT)) {
      if (row === best || !this.eligible(row)) continue;
      const result = this.compare(best, row);
      last = Math.max(last, result > 0 ? result : STEP_MED);
    }
    return last;
  }

  /** The steps up to the metric: paths that are equal in them may be used together. */
  #compareToMetric(a: number, b: number): number {
    const rows = this.#paths.rows;
    const rowsA = rows.chunk(a);
    const atA = rows.at(a);
    const rowsB = rows.chunk(b);
    const atB = rows.at(b);
    const peerA = this.#peers[rowsA[atA + PATH_PEER]! & PEER_MASK]!;
    const peerB = this.#peers[rowsB[atB + PATH_PEER]! & PEER_MASK]!;
    const ownA = peerA.source <= FROM_KERNEL;
    if (ownA !== peerB.source <= FROM_KERNEL) return ownA ? STEP_OWN : -STEP_OWN;

    const keys = this.#attributes.keys;
    const keysA = keys.chunk(rowsA[atA + PATH_POST]!);
    const keyA = keys.at(rowsA[atA + PATH_POST]!);
    const keysB = keys.chunk(rowsB[atB + PATH_POST]!);
    const keyB = keys.at(rowsB[atB + PATH_POST]!);
    const prefA = keysA[keyA + KEY_LOCAL_PREF]! >>> 0;
    const prefB = keysB[keyB + KEY_LOCAL_PREF]! >>> 0;
    if (prefA !== prefB) return prefA > prefB ? STEP_LOCAL_PREF : -STEP_LOCAL_PREF;

    const pathA = keysA[keyA + KEY_LENGTH_ORIGIN]!;
    const pathB = keysB[keyB + KEY_LENGTH_ORIGIN]!;
    if (pathA !== pathB) {
      const step = pathA >>> 2 === pathB >>> 2 ? STEP_ORIGIN : STEP_AS_PATH_LENGTH;
      return pathA < pathB ? step : -step;
    }

    if (
      this.#decision.alwaysCompareMed ||
      keysA[keyA + KEY_NEIGHBOUR_AS] === keysB[keyB + KEY_NEIGHBOUR_AS]
    ) {
      const medA = keysA[keyA + KEY_MED]! >>> 0;
      const medB = keysB[keyB + KEY_MED]! >>> 0;
      if (medA !== medB) return medA < medB ? STEP_MED : -STEP_MED;
    }

    const ebgpA = peerA.source === FROM_EBGP;
    if (ebgpA !== (peerB.source === FROM_EBGP)) return ebgpA ? STEP_EBGP : -STEP_EBGP;

    const metric = this.#nextHops.metric;
    const metricA = metric[keysA[keyA + KEY_NEXT_HOP]!]!;
    const metricB = metric[keysB[keyB + KEY_NEXT_HOP]!]!;
    if (metricA !== metricB) return metricA < metricB ? STEP_IGP_METRIC : -STEP_IGP_METRIC;
    return 0;
  }

  /** The steps that make a difference between paths that are equally good. */
  #compareTies(a: number, b: number): number {
    const peerA = this.#peers[this.#paths.peer(a)]!;
    const peerB = this.#peers[this.#paths.peer(b)]!;
    if (this.#decision.preferOldest && peerA.source === FROM_EBGP && peerB.source === FROM_EBGP) {
      const age = (this.#paths.get(a, PATH_ORDER) - this.#paths.get(b, PATH_ORDER)) | 0;
      if (age !== 0) return age < 0 ? STEP_OLDEST : -STEP_OLDEST;
    }

    const postA = this.#paths.get(a, PATH_POST);
    const postB = this.#paths.get(b, PATH_POST);
    const idA = (this.#key(postA, KEY_ORIGINATOR) || peerA.routerId) >>> 0;
    const idB = (this.#key(postB, KEY_ORIGINATOR) || peerB.routerId) >>> 0;
    if (idA !== idB) return idA < idB ? STEP_ROUTER_ID : -STEP_ROUTER_ID;

    const clustersA = this.#key(postA, KEY_CLUSTERS);
    const clustersB = this.#key(postB, KEY_CLUSTERS);
    if (clustersA !== clustersB) return clustersA < clustersB ? STEP_CLUSTER_LIST : -STEP_CLUSTER_LIST;

    const address = compareAddresses(peerA.settings.address, peerB.settings.address);
    if (address !== 0) return address < 0 ? STEP_PEER_ADDRESS : -STEP_PEER_ADDRESS;
    // Only paths of one peer with path identifiers get here, or routes of our own from two sources.
    const order =
      peerA.index - peerB.index || (this.#paths.get(a, PATH_ID) >>> 0) - (this.#paths.get(b, PATH_ID) >>> 0);
    return order < 0 ? STEP_PATH_ID : -STEP_PATH_ID;
  }

  /** Makes those paths of a chain candidates that can be used and are best in the steps before MED. */
  #collect(first: number): void {
    const { rows } = this.#paths;
    const { keys } = this.#attributes;
    const { reachable } = this.#nextHops;
    let count = 0;
    let own = false;
    let pref = 0;
    let path = 0;
    for (let row = first; row !== 0; ) {
      const chunk = rows.chunk(row);
      const at = rows.at(row);
      const candidate = row;
      row = chunk[at + PATH_NEXT]!;
      const post = chunk[at + PATH_POST]!;
      if (post === 0) continue;
      const key = keys.chunk(post);
      const keyAt = keys.at(post);
      if (reachable[key[keyAt + KEY_NEXT_HOP]!] !== 1) continue;
      const itsOwn = this.#peers[chunk[at + PATH_PEER]! & PEER_MASK]!.source <= FROM_KERNEL;
      const itsPref = key[keyAt + KEY_LOCAL_PREF]! >>> 0;
      const itsPath = key[keyAt + KEY_LENGTH_ORIGIN]!;
      if (count > 0) {
        if (itsOwn !== own) {
          if (own) continue;
          count = 0;
        } else if (itsPref !== pref) {
          if (itsPref < pref) continue;
          count = 0;
        } else if (itsPath !== path) {
          if (itsPath > path) continue;
          count = 0;
        }
      }
      own = itsOwn;
      pref = itsPref;
      path = itsPath;
      if (count >= this.#candidates.length) this.#grow();
      this.#candidates[count] = candidate;
      this.#meds[count] = key[keyAt + KEY_MED]!;
      this.#neighbours[count] = key[keyAt + KEY_NEIGHBOUR_AS]!;
      count++;
    }
    this.#count = count;
  }

  /**
   * Keeps of the candidates those that no other of the same neighbouring AS beats by MED. (Of two candidates comparing them
   * does the same.)
   */
  #dropByMed(): void {
    const meds = this.#meds;
    const neighbours = this.#neighbours;
    const count = this.#count;
    let same = true;
    for (let i = 1; i < count; i++) if (meds[i] !== meds[0]) same = false;
    if (same) return;

    // By neighbouring AS the place of the candidate with the lowest MED, plus one.
    const mask = this.#lowest.length - 1;
    const lowest = this.#lowest.fill(0);
    const slotOf = (neighbour: number): number => {
      let slot = Math.imul(neighbour, 0x9e3779b1) >>> 16;
      while (lowest[slot & mask] !== 0 && neighbours[lowest[slot & mask]! - 1] !== neighbour) slot++;
      return slot & mask;
    };
    for (let i = 0; i < count; i++) {
      const slot = slotOf(neighbours[i]!);
      const known = lowest[slot]!;
      if (known === 0 || meds[i]! < meds[known - 1]!) lowest[slot] = i + 1;
    }
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const least = meds[lowest[slotOf(neighbours[i]!)]! - 1];
      if (meds[i] === least) this.#kept[kept++] = this.#candidates[i]!;
    }
    this.#candidates.set(this.#kept.subarray(0, kept));
    this.#count = kept;
  }

  #grow(): void {
    const candidates = new Int32Array(this.#candidates.length * 2);
    candidates.set(this.#candidates);
    this.#candidates = candidates;
    const meds = new Uint32Array(candidates.length);
    meds.set(this.#meds);
    this.#meds = meds;
    const neighbours = new Int32Array(candidates.length);
    neighbours.set(this.#neighbours);
    this.#neighbours = neighbours;
    this.#kept = new Int32Array(candidates.length);
    this.#lowest = new Int32Array(candidates.length * 2);
  }

  /** Adds to the best path those that may be used with it, in the order in which they would be best. */
  #addMultipaths(best: number): void {
    const { maxPaths, ebgp, ibgp, asPathRelax } = this.#multipath;
    const source = this.#peers[this.#paths.peer(best)]!.source;
    if (source <= FROM_KERNEL || !(source === FROM_EBGP ? ebgp : ibgp)) return;
    const post = this.#paths.get(best, PATH_POST);
    const chosen = this.chosen;
    for (let i = 0; i < this.#count; i++) {
      const row = this.#candidates[i]!;
      if (row === best || this.#compareToMetric(best, row) !== 0) continue;
      const other = this.#paths.get(row, PATH_POST);
      if (!asPathRelax && this.#key(other, KEY_PATH_HASH) !== this.#key(post, KEY_PATH_HASH)) continue;
      let at = chosen.length;
      while (at > 1 && this.#compareTies(row, chosen[at - 1]!) > 0) at--;
      chosen.splice(at, 0, row);
    }
    // Two paths over the same next hop are one way.
    const nextHops = new Set<number>();
    let kept = 0;
    for (const row of chosen) {
      const nextHop = this.#key(this.#paths.get(row, PATH_POST), KEY_NEXT_HOP);
      if (kept >= maxPaths || nextHops.has(nextHop)) continue;
      nextHops.add(nextHop);
      chosen[kept++] = row;
    }
    chosen.length = kept;
  }

  #key(attributes: number, field: number): number {
    return this.#attributes.keys.chunk(attributes)[this.#attributes.keys.at(attributes) + field]!;
  }
}

/** As numbers, IPv4 before IPv6. */
function compareAddresses(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
