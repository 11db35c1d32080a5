/**
 * A set of small numbers (net indexes) as a bitmap in pages: one bit for each number, and nothing for stretches without members.
 * For sets of which there are many, most of them small, over a table that may be large.
 */

const PAGE_BITS = 12;
const WORDS = 1 << (PAGE_BITS - 5);
const NET_MASK = (1 << PAGE_BITS) - 1;

export class NetPages {
  readonly #pages: (Int32Array | undefined)[] = [];

  has(net: number): boolean {
    const page = this.#pages[net >>> PAGE_BITS];
    return page !== undefined && (page[(net & NET_MASK) >>> 5]! & (1 << (net & 31))) !== 0;
  }

  add(net: number): void {
    const number = net >>> PAGE_BITS;
    let page = this.#pages[number];
    if (page === undefined) {
      // Without holes, which would make the list slow.
      while (this.#pages.length <= number) this.#pages.push(undefined);
      page = new Int32Array(WORDS);
      this.#pages[number] = page;
    }
    page[(net & NET_MASK) >>> 5]! |= 1 << (net & 31);
  }

  delete(net: number): void {
    const page = this.#pages[net >>> PAGE_BITS];
    if (page !== undefined) page[(net & NET_MASK) >>> 5]! &= ~(1 << (net & 31));
  }
}
