/**
 * A place in an evaluation's register file: 16 words of 4 bytes, numbered 0 to 15 as NFT_REG32_00 to NFT_REG32_15
 * (enum nft_registers). A value takes as many words as it needs, and the fields of a concatenation lie side by side,
 * each starting at a word.
 */
export type Register = number;

const WORDS = 16;
const WORD = 4;

/**
 * The number on the wire. Words that start a 16-byte register go by its number (NFT_REG_1 to NFT_REG_4), as both nft
 * and the kernel write them.
 */
export function registerNumber(register: Register): number {
  if (!Number.isInteger(register) || register < 0 || register >= WORDS) {
    throw new RangeError(`register: found ${register}, expected 0 to ${WORDS - 1}`);
  }
  return register % 4 === 0 ? 1 + register / 4 : 8 + register;
}

/** The register that a number on the wire stands for. */
export function registerFrom(number: number): Register {
  if (number >= 1 && number <= 4) return (number - 1) * 4;
  if (number >= 8 && number < 8 + WORDS) return number - 8;
  throw new RangeError(`register: found number ${number}, expected 1 to 4 or 8 to 23`);
}

/** Words that a value of `bytes` takes. */
export function registerWords(bytes: number): number {
  return Math.ceil(bytes / WORD);
}

/** Hands out registers from the first on; made anew for each statement of a rule. */
export class Registers {
  #next = 0;

  /** Room for a value of `bytes`. */
  take(bytes: number): Register {
    const register = this.#next;
    this.#next += registerWords(bytes);
    if (this.#next > WORDS)
      throw new RangeError(`registers: ${bytes} more bytes do not fit in ${WORDS * WORD}`);
    return register;
  }

  /** Moves on to the start of the next 16-byte register. */
  align(): void {
    this.#next = (this.#next + 3) & ~3;
  }
}
