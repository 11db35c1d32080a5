import { type Hex, hexFrom } from '../hex.ts';

/** An expression that this layer does not know, or only in part; it is kept and goes back as it came. */
export interface UnknownExpression {
  readonly kind: 'unknown';
  /** The kernel's name, e.g. `synproxy`. */
  readonly name: string;
  /** NFTA_EXPR_DATA. */
  readonly data: Hex;
}

export function unknownExpression(
  name: string,
  bytes: Uint8Array,
  start: number,
  end: number,
): UnknownExpression {
  return { kind: 'unknown', name, data: hexFrom(bytes, start, end) };
}
