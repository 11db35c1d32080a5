import type { Prefix } from '#bgp/filter/types.ts';

/** `10.0.0.0/8` or `2001:db8:0:0:0:0:0:0/32` (all eight groups written out) as a filter has it. */
export function prefix(text: string): Prefix {
  const [address, length] = text.split('/') as [string, string];
  if (address.includes('.')) {
    return { family: 4, bytes: Uint8Array.from(address.split('.').map(Number)), length: Number(length) };
  }
  const groups = address.split(':').map((group) => Number.parseInt(group, 16));
  return {
    family: 6,
    bytes: Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])),
    length: Number(length),
  };
}
