/**
 * Records of a few 32-bit numbers in typed arrays, found by a dense index, in chunks of fixed size.
 *
 * Growing adds a chunk and copies nothing, so it costs no pause and no second copy at the peak, whatever the size. The fields
 * of a record lie side by side: a record is one cache line or less. Access is by hand, for speed:
 *
 *     const chunk = rows.chunk(id);
 *     const at = rows.at(id);
 *     chunk[at + SOME_FIELD] = 1;
 */

/** 64 KiB: small enough for a small table, large enough that the list of chunks stays in the cache at millions of rows. */
const CHUNK_BITS = 14;
const CHUNK = 1 << CHUNK_BITS;

export class Rows {
  readonly #chunks: Int32Array[] = [];
  readonly #strideBits: number;
  readonly #rowBits: number;
  readonly #rowMask: number;

  /** @param strideBits a record has 2 to the power of this many numbers. */
  constructor(strideBits: number) {
    this.#strideBits = strideBits;
    this.#rowBits = CHUNK_BITS - strideBits;
    this.#rowMask = (1 << this.#rowBits) - 1;
  }

  /** Rows below this index can be used. */
  get capacity(): number {
    return this.#chunks.length << this.#rowBits;
  }

  /** Makes room for rows up to and with `id`. New rows are zero. */
  reserve(id: number): void {
    while (this.capacity <= id) this.#chunks.push(new Int32Array(CHUNK));
  }

  /** The array that holds a row. */
  chunk(id: number): Int32Array {
    return this.#chunks[id >>> this.#rowBits]!;
  }

  /** Where in its array a row begins. */
  at(id: number): number {
    return (id & this.#rowMask) << this.#strideBits;
  }
}
