import { NETLINK_NETFILTER } from '../netlink/constants.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { eachAttribute } from '../netlink/reader.ts';
import type { Message } from '../netlink/socket.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import * as nft from './constants.ts';
import { DecodeError } from './error.ts';
import { takeChain } from './message/chain.ts';
import { NFTA_SET_ELEM_LIST_ELEMENTS, takeElementsOwner } from './message/element.ts';
import { decodeAttributes } from './message/header.ts';
import { takeObject } from './message/object.ts';
import { takeRule } from './message/rule.ts';
import { takeSet } from './message/set.ts';
import { takeTable } from './message/table.ts';
import type { TableRef } from './model.ts';

/** A thing that was made, changed or removed. What it is now, a dump tells. */
export type RulesetEvent = {
  /** `set`: it is there, new or changed. */
  readonly kind: 'set' | 'removed';
  readonly table: TableRef;
} & (
  | { readonly object: 'table' }
  | { readonly object: 'chain' | 'set' | 'object'; readonly name: string }
  | { readonly object: 'rule'; readonly chain: string; readonly handle: number }
  /** Consecutive elements of one set; the two halves of an interval count as two. */
  | { readonly object: 'elements'; readonly set: string; readonly count: number }
);

/** What one transaction did. */
export interface RulesetChange {
  /** The ruleset's generation after it. */
  readonly generation: number;
  /** It came from the connection that the monitor was told of. */
  readonly own: boolean;
  /** Who made it: the number of the thread in the initial PID namespace, and its name. */
  readonly process: { readonly id: number; readonly name: string };
  /** In the order in which it was done; of the watched tables only. */
  readonly events: readonly RulesetEvent[];
}

export interface NftablesHandlers {
  /** Called once for each transaction of anybody that touched a watched table. */
  readonly change: (change: RulesetChange) => void;
  /** Changes were lost (ENOBUFS): dump again what matters. */
  readonly overflow: () => void;
  /** Watching ended by a fault: open a new monitor and dump again. Also called for a message that can not be read. */
  readonly error: (error: Error) => void;
}

export interface NftablesMonitorOptions {
  readonly namespace?: NetworkNamespace;
  /** Receive buffer in bytes; 4 MiB unless told. */
  readonly bufferBytes?: number;
  /** Tables to watch; all when absent. */
  readonly tables?: readonly TableRef[];
  /** `Nftables.port` of a connection: its transactions are told as `own`. */
  readonly own?: number;
  /** `Nftables.port` of a connection: its transactions are not told at all, and take up no buffer. */
  readonly exceptFrom?: number;
}

// enum nft_gen_attributes
const GEN_ID = 1;
const GEN_PROC_PID = 2;
const GEN_PROC_NAME = 3;

/**
 * Watches the ruleset of a namespace, transaction by transaction. What changes after `open` returned is told: open
 * first, then dump, and nothing is missed. Elements that a packet adds or a timeout removes are not told.
 */
export class NftablesMonitor implements Disposable {
  readonly #monitor: NetlinkMonitor;

  private constructor(monitor: NetlinkMonitor) {
    this.#monitor = monitor;
  }

  /** @throws SyscallError */
  static open(handlers: NftablesHandlers, options: NftablesMonitorOptions = {}): NftablesMonitor {
    const { namespace, bufferBytes, exceptFrom } = options;
    const gather = new Gatherer(handlers, options);
    const subscription = {
      protocol: NETLINK_NETFILTER,
      groups: [nft.NFNLGRP_NFTABLES],
      onMessage: (message: Message) => gather.take(message),
      onOverflow: () => gather.overflow(),
      ...(namespace ? { namespace } : {}),
      ...(bufferBytes === undefined ? {} : { bufferBytes }),
      ...(exceptFrom === undefined ? {} : { exceptFrom }),
    };
    return new NftablesMonitor(NetlinkMonitor.open([subscription], handlers.error));
  }

  /** Lets the process exit although the monitor is open. */
  unref(): void {
    this.#monitor.unref();
  }

  /** Stops watching. No handler is called afterwards. */
  close(): void {
    this.#monitor.close();
  }

  /** Stops watching and resolves when thread and socket are gone. */
  closed(): Promise<void> {
    return this.#monitor.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Gathers the events of a transaction until the kernel announces its generation, which it does last. */
export class Gatherer {
  readonly #handlers: NftablesHandlers;
  readonly #own: number | undefined;
  readonly #tables: ReadonlySet<string> | undefined;
  #events: RulesetEvent[] = [];

  constructor(handlers: NftablesHandlers, { own, tables }: Pick<NftablesMonitorOptions, 'own' | 'tables'>) {
    this.#handlers = handlers;
    this.#own = own;
    this.#tables = tables && new Set(tables.map(keyOf));
  }

  take(message: Message): void {
    try {
      if (message.type === nft.NFT_MSG_NEWGEN) this.#finish(message);
      else this.#add(message);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#handlers.error(error);
    }
  }

  overflow(): void {
    this.#events = [];
    this.#handlers.overflow();
  }

  #add(message: Message): void {
    const event = eventOf(message);
    if (!event || (this.#tables && !this.#tables.has(keyOf(event.table)))) return;
    const last = this.#events.at(-1);
    if (event.object === 'elements' && last?.object === 'elements' && sameSet(event, last)) {
      this.#events[this.#events.length - 1] = { ...last, count: last.count + event.count };
    } else {
      this.#events.push(event);
    }
  }

  #finish(message: Message): void {
    const events = this.#events;
    this.#events = [];
    if (events.length === 0) return;
    const sender = message.view.getUint32(message.start - 4, true);
    const change = decodeAttributes('generation', GEN_PROC_NAME, message, (attributes) => ({
      generation: attributes.be32(GEN_ID),
      own: sender === this.#own,
      process: { id: attributes.be32(GEN_PROC_PID, 0), name: attributes.string(GEN_PROC_NAME, '') },
      events,
    }));
    this.#handlers.change(change);
  }
}

/** What a message tells of: an event, or the generation that a transaction made, which comes last; undefined for others. */
export function changeOf(message: Message): RulesetEvent | number | undefined {
  if (message.type !== nft.NFT_MSG_NEWGEN) return eventOf(message);
  return decodeAttributes('generation', GEN_PROC_NAME, message, (attributes) => attributes.be32(GEN_ID));
}

function eventOf(message: Message): RulesetEvent | undefined {
  switch (message.type) {
    case nft.NFT_MSG_NEWTABLE:
    case nft.NFT_MSG_DELTABLE:
      return {
        kind: kindOf(message, nft.NFT_MSG_DELTABLE),
        object: 'table',
        table: takeTable(message).table,
      };
    case nft.NFT_MSG_NEWCHAIN:
    case nft.NFT_MSG_DELCHAIN: {
      const { table, chain } = takeChain(message);
      return { kind: kindOf(message, nft.NFT_MSG_DELCHAIN), object: 'chain', table, name: chain.name };
    }
    case nft.NFT_MSG_NEWRULE:
    case nft.NFT_MSG_DELRULE: {
      const { table, rule, handle } = takeRule(message);
      return { kind: kindOf(message, nft.NFT_MSG_DELRULE), object: 'rule', table, chain: rule.chain, handle };
    }
    case nft.NFT_MSG_NEWSET:
    case nft.NFT_MSG_DELSET: {
      const { table, name } = takeSet(message);
      return { kind: kindOf(message, nft.NFT_MSG_DELSET), object: 'set', table, name };
    }
    case nft.NFT_MSG_NEWSETELEM:
    case nft.NFT_MSG_DELSETELEM: {
      const { table, set } = takeElementsOwner(message);
      const kind = kindOf(message, nft.NFT_MSG_DELSETELEM);
      return { kind, object: 'elements', table, set, count: countElements(message) };
    }
    case nft.NFT_MSG_NEWOBJ:
    case nft.NFT_MSG_DELOBJ: {
      const { table, name } = takeObject(message);
      return { kind: kindOf(message, nft.NFT_MSG_DELOBJ), object: 'object', table, name };
    }
    default:
      return undefined;
  }
}

function kindOf(message: Message, removal: number): RulesetEvent['kind'] {
  return message.type === removal ? 'removed' : 'set';
}

function countElements(message: Message): number {
  let count = 0;
  eachAttribute(message.view, message.start + nft.NFGENMSG, message.end, (type, start, end) => {
    if (type === NFTA_SET_ELEM_LIST_ELEMENTS) eachAttribute(message.view, start, end, () => count++);
  });
  return count;
}

function keyOf({ family, name }: TableRef): string {
  return `${family} ${name}`;
}

function sameSet(
  a: Extract<RulesetEvent, { object: 'elements' }>,
  b: Extract<RulesetEvent, { object: 'elements' }>,
): boolean {
  return a.set === b.set && a.kind === b.kind && keyOf(a.table) === keyOf(b.table);
}
