import type { Message } from '../netlink/socket.ts';
import {
  AF_INET,
  AF_INET6,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTA_VIA,
  RTMSG,
  RTNH_F_ONLINK,
} from './constants.ts';
import type { NextHopSets } from './next-hop-sets.ts';
import type { IpFamily } from './value.ts';

/**
 * Reads route messages one after another into numbers, without an object or a text for each: what a dump of a large table
 * and a stream of notifications need. The fields tell of the message that was read last.
 */
export class RouteReader {
  family: IpFamily = 4;
  table = 0;
  protocol = 0;
  metric = 0;
  tos = 0;
  /** Prefix length. */
  length = 0;
  /** Prefix length of the source (IPv6). */
  sourceLength = 0;
  /** Address, signed: IPv4 has only the first word, IPv6 all four, the highest first. */
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  readonly #sets: NextHopSets;
  #message: Message | undefined;
  /** The attributes that tell what the route does, as they came. */
  #path = new Uint32Array(64);
  #pathWords = 0;

  constructor(sets: NextHopSets) {
    this.#sets = sets;
  }

  /** Reads a message. False for what is no IPv4 or IPv6 route or is cut short. */
  read(message: Message): boolean {
    const { view, start, end } = message;
    if (end - start < RTMSG) return false;
    const family = view.getUint8(start);
    if (family !== AF_INET && family !== AF_INET6) return false;
    this.#message = message;
    this.family = family === AF_INET ? 4 : 6;
    this.length = view.getUint8(start + 1);
    this.sourceLength = view.getUint8(start + 2);
    this.tos = view.getUint8(start + 3);
    this.table = view.getUint8(start + 4);
    this.protocol = view.getUint8(start + 5);
    this.metric = 0;
    this.word0 = this.word1 = this.word2 = this.word3 = 0;
    // The path's own words begin with family, scope, type and the flag that belongs to a single next hop.
    let path = this.#path;
    path[0] = family | (view.getUint16(start + 6, true) << 8);
    path[1] = view.getUint32(start + 8, true) & RTNH_F_ONLINK;
    let words = 2;
    let at = start + RTMSG;
    while (at + 4 <= end) {
      const size = view.getUint16(at, true);
      if (size < 4 || at + size > end) return false;
      switch (view.getUint16(at + 2, true) & 0x3fff) {
        case RTA_DST:
          if (size < (family === AF_INET ? 8 : 20)) return false;
          this.word0 = view.getInt32(at + 4);
          if (family === AF_INET6) {
            this.word1 = view.getInt32(at + 8);
            this.word2 = view.getInt32(at + 12);
            this.word3 = view.getInt32(at + 16);
          }
          break;
        case RTA_TABLE:
          if (size < 8) return false;
          this.table = view.getUint32(at + 4, true);
          break;
        case RTA_PRIORITY:
          if (size < 8) return false;
          this.metric = view.getUint32(at + 4, true);
          break;
        case RTA_OIF:
        case RTA_GATEWAY:
        case RTA_PREFSRC:
        case RTA_VIA:
        case RTA_METRICS:
        case RTA_MULTIPATH: {
          const count = (size + 3) >>> 2;
          if (at + 4 * count > end) return false;
          if (words + count > path.length) path = this.#grow(words, words + count);
          for (let i = 0; i < count; i++) path[words + i] = view.getUint32(at + 4 * i, true);
          words += count;
        }
      }
      at += (size + 3) & ~3;
    }
    this.#pathWords = words;
    return true;
  }

  /**
   * The number of what the route does, in the sets that the reader was made with. Only until the message is gone. Held for
   * nobody: put it into a table, hold it or discard it at once.
   *
   * @throws RangeError for a message that is cut short
   */
  set(): number {
    return this.#sets.ofMessage(this.#message!, this.#path, this.#pathWords);
  }

  #grow(used: number, needed: number): Uint32Array<ArrayBuffer> {
    const path = new Uint32Array(Math.max(needed, this.#path.length * 2));
    path.set(this.#path.subarray(0, used));
    this.#path = path;
    return path;
  }
}
