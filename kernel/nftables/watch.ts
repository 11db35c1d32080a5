import { NETLINK_NETFILTER } from '../netlink/constants.ts';
import { eachMessage } from '../netlink/monitor.ts';
import type { Message } from '../netlink/socket.ts';
import { openSubscription } from '../netlink/subscription.ts';
import { SyscallError } from '../sys/errno.ts';
import { close, pollReadable, recv } from '../sys/libc.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import { NFNLGRP_NFTABLES } from './constants.ts';
import type { TableRef } from './model.ts';
import { changeOf, type RulesetEvent } from './monitor.ts';

/** What has happened to a ruleset during a dump. */
export interface WatchedChanges {
  /** Something of the table. */
  readonly ofTable: boolean;
  /** Things of which a dump lists those of all tables, so that others may have moved in the list. */
  readonly ofLists: boolean;
}

const MSG_DONTWAIT = 0x40;
/** The kernel tells of a transaction right after the generation has moved. */
const PATIENCE_MS = 200;
const EVERYTHING: WatchedChanges = { ofTable: true, ofLists: true };

/** Hears of transactions while a dump is under way, on the thread that reads it. */
export class RulesetWatch implements Disposable {
  readonly #fd: number;
  readonly #table: TableRef;
  readonly #buffer = new Uint8Array(1 << 16);
  #seen: number | undefined;

  private constructor(fd: number, table: TableRef) {
    this.#fd = fd;
    this.#table = table;
  }

  /** @throws SyscallError */
  static open(table: TableRef, namespace?: NetworkNamespace): RulesetWatch {
    const fd = openSubscription({
      protocol: NETLINK_NETFILTER,
      groups: [NFNLGRP_NFTABLES],
      onMessage: () => {},
      onOverflow: () => {},
      ...(namespace ? { namespace } : {}),
    });
    return new RulesetWatch(fd, table);
  }

  /**
   * What has happened since the last call, up to the transaction that made a generation.
   *
   * @param from the generation at the last call
   */
  changes(from: number, generation: number): WatchedChanges {
    if (from === generation) return { ofTable: false, ofLists: false };
    let ofTable = false;
    let ofLists = false;
    const take = (message: Message): void => {
      const change = changeOf(message);
      if (change === undefined) return;
      if (typeof change === 'number') this.#seen = change;
      else {
        ofTable ||= this.#isOurs(change);
        ofLists ||= change.object === 'table' || change.object === 'chain' || change.object === 'object';
      }
    };
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const length = this.#receive();
      if (length === 'lost') return EVERYTHING;
      if (length >= 0) eachMessage(this.#buffer.subarray(0, length), take);
      // Generations are 32-bit numbers that wrap.
      else if (this.#seen !== undefined && ((this.#seen - generation) | 0) >= 0) return { ofTable, ofLists };
      else if (performance.now() > deadline) return EVERYTHING;
      else pollReadable([this.#fd], 10);
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }

  #receive(): number | 'lost' {
    try {
      return recv(this.#fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT);
    } catch (error) {
      if (error instanceof SyscallError && error.code === 'ENOBUFS') return 'lost';
      throw error;
    }
  }

  #isOurs({ table }: RulesetEvent): boolean {
    return table.family === this.#table.family && table.name === this.#table.name;
  }
}
