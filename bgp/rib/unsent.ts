/**
 * What a reader of a log has not read, as the nets and markers that it is about.
 */

import {
  type Family,
  HEADER_LENGTH,
  IPV4_UNICAST,
  REFRESH_BEGIN,
  REFRESH_END,
  ROUTE_REFRESH,
} from '#bgp/wire/constants.ts';
import { UpdateScanner } from '#bgp/wire/update.ts';
import { NetSet } from './net-set.ts';
import { NlriList } from './nlri-list.ts';
import type { OutReader } from './out-log.ts';
import type { PrefixTable } from './prefix-table.ts';

export class Unsent {
  /** In messages that have not been read. What the neighbour knows of them is open. */
  readonly said = new NetSet();
  /** Not in messages yet. */
  readonly pending = new NetSet();
  endOfRib = false;
  refreshBegin = false;
  refreshEnd = false;
}

/**
 * Reads a log to its end. Prefixes that have left the table since (their withdrawal is what has not been read) are put into it
 * again: the caller holds them.
 */
export function readUnsent(reader: OutReader, family: Family, table: PrefixTable): Unsent {
  const unsent = new Unsent();
  const scanner = new UpdateScanner();
  const list = new NlriList();
  const add = (bytes: Uint8Array, start: number, end: number) => {
    list.read(bytes, start, end, family, false);
    list.intern(table);
    for (let i = 0; i < list.count; i++) unsent.said.add(list.nets[i]!);
  };
  for (;;) {
    const bytes = reader.take(Number.POSITIVE_INFINITY);
    if (bytes === undefined) return unsent;
    let at = 0;
    while (at < bytes.length) {
      const end = at + ((bytes[at + 16]! << 8) | bytes[at + 17]!);
      const body = at + HEADER_LENGTH;
      if (bytes[at + 18] === ROUTE_REFRESH) {
        const subtype = bytes[body + 2];
        if (subtype === REFRESH_BEGIN) unsent.refreshBegin = true;
        if (subtype === REFRESH_END) unsent.refreshEnd = true;
      } else {
        scanner.scan(bytes, body, end, true);
        if (scanner.endOfRib !== 0) unsent.endOfRib = true;
        if (family === IPV4_UNICAST) {
          add(bytes, scanner.withdrawnStart, scanner.withdrawnEnd);
          add(bytes, scanner.nlriStart, scanner.nlriEnd);
        }
        if (scanner.unreachFamily !== 0) add(bytes, scanner.unreachStart, scanner.unreachEnd);
        if (scanner.reachFamily !== 0) add(bytes, scanner.reachStart, scanner.reachEnd);
      }
      at = end;
    }
  }
}
