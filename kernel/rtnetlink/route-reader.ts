import { NLA_TYPE_MASK } from '../netlink/constants.ts';
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
import { swap } from './route-table.ts';
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
  /** The memory of the last message, the same as words, and where that begins between two words. */
  #bytes: Uint8Array = new Uint8Array(0);
  #words = new Int32Array(0);
  #shift = 0;
  /** The attributes that tell what the route does, as they came. */
  #path = new Int32Array(64);
  #pathWords = 0;
  #pathHash = 0;

  constructor(sets: NextHopSets) {
    this.#sets = sets;
  }

  /** Reads a message. False for what is no IPv4 or IPv6 route or is cut short. */
  read(message: Message): boolean {
    const { bytes, start } = message;
    const size = message.end - start;
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      // Words can only be read where words begin.
      this.#shift = bytes.byteOffset & 3;
      this.#words = wordsOf(bytes);
    }
    let words = this.#words;
    let at = start >>> 2;
    if (((start | size | this.#shift) & 3) !== 0) {
      const aligned = new Uint8Array((size + 3) & ~3);
      aligned.set(bytes.subarray(start, message.end));
      words = wordsOf(aligned);
      at = 0;
    }
    if (size < RTMSG) return false;
    // struct rtmsg: family, dst_len, src_len, tos; table, protocol, scope, type; flags.
    const head = words[at]!;
    const head2 = words[at + 1]!;
    const family = head & 0xff;
    if (family !== AF_INET && family !== AF_INET6) return false;
    this.#message = message;
    this.family = family === AF_INET ? 4 : 6;
    this.length = (head >>> 8) & 0xff;
    this.sourceLength = (head >>> 16) & 0xff;
    this.tos = head >>> 24;
    this.table = head2 & 0xff;
    this.protocol = (head2 >>> 8) & 0xff;
    this.metric = 0;
    this.word0 = this.word1 = this.word2 = this.word3 = 0;
    // The path's own words begin with family, scope, type and the flag that belongs to a single next hop.
    let path = this.#path;
    path[0] = (head2 & ~0xffff) | family;
    path[1] = words[at + 2]! & RTNH_F_ONLINK;
    let used = 2;
    let hash = path[0]! ^ path[1]!;
    const end = at + ((size + 3) >>> 2);
    at += RTMSG / 4;
    while (at < end) {
      const header = words[at]!;
      const length = header & 0xffff;
      const next = at + ((length + 3) >>> 2);
      if (length < 4 || next > end) return false;
      switch ((header >>> 16) & NLA_TYPE_MASK) {
        case RTA_DST:
          if (family === AF_INET) {
            if (length < 8) return false;
            this.word0 = swap(words[at + 1]!);
          } else {
            if (length < 20) return false;
            this.word0 = swap(words[at + 1]!);
            this.word1 = swap(words[at + 2]!);
            this.word2 = swap(words[at + 3]!);
            this.word3 = swap(words[at + 4]!);
          }
          break;
        case RTA_TABLE:
          if (length < 8) return false;
          this.table = words[at + 1]! >>> 0;
          break;
        case RTA_PRIORITY:
          if (length < 8) return false;
          this.metric = words[at + 1]! >>> 0;
          break;
        case RTA_OIF:
        case RTA_GATEWAY:
        case RTA_PREFSRC:
        case RTA_VIA:
        case RTA_METRICS:
        case RTA_MULTIPATH:
          if (used + next - at > path.length) path = this.#grow(used, used + next - at);
          for (let i = at; i < next; i++) {
            const word = words[i]!;
            path[used++] = word;
            hash = ((hash << 5) | (hash >>> 27)) ^ word;
          }
      }
      at = next;
    }
    this.#pathWords = used;
    this.#pathHash = hash;
    return true;
  }

  /**
   * The number of what the route does, in the sets that the reader was made with. Only until the message is gone. Held for
   * nobody: put it into a table, hold it or discard it at once.
   *
   * @throws RangeError for a message that is cut short
   */
  set(): number {
    return this.#sets.ofMessage(this.#message!, this.#path, this.#pathWords, this.#pathHash);
  }

  #grow(used: number, needed: number): Int32Array<ArrayBuffer> {
    const path = new Int32Array(Math.max(needed, this.#path.length * 2));
    path.set(this.#path.subarray(0, used));
    this.#path = path;
    return path;
  }
}

/** The same memory as words, from the word on in which it begins. */
function wordsOf(bytes: Uint8Array): Int32Array<ArrayBuffer> {
  return new Int32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset & ~3, bytes.length >>> 2);
}
