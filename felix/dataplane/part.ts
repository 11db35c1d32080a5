import type { ClassId, Direction, PodKey } from '#proto/program.ts';

/** What the kernel refused, and what is closed for it. */
export type Part =
  | { readonly kind: 'pod'; readonly pod: PodKey }
  | { readonly kind: 'class'; readonly direction: Direction; readonly id: ClassId }
  | { readonly kind: 'peers'; readonly direction: Direction }
  /** Translation of addresses: it is left out, and no packet is. */
  | { readonly kind: 'nat' };

/** In words: `pod shop/web-0`. */
export function describePart(part: Part): string {
  if (part.kind === 'nat') return 'translation of addresses';
  return part.kind === 'peers' ? `peers of ${part.direction}` : partKey(part);
}

/** The same for the same part. */
export function partKey(part: Part): string {
  if (part.kind === 'nat') return 'nat';
  if (part.kind === 'pod') return `pod ${part.pod}`;
  return part.kind === 'class' ? `class ${part.direction} ${part.id}` : `peers ${part.direction}`;
}
