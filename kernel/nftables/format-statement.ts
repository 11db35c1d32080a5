import type { LogExpression } from './expression/log.ts';
import type { NatFlags } from './expression/nat.ts';
import type { StatefulExpression } from './expression/stateful.ts';
import { formatData, formatKey } from './key.ts';
import type { AnonymousSet } from './model.ts';

/*
 * Parts of rules and elements as nft prints them, that need nothing of what stands around them.
 */

/** A named set, or the elements of one that has no name. */
export function setText(set: string | AnonymousSet): string {
  if (typeof set === 'string') return `@${set}`;
  const elements = set.elements.map((element) => {
    const key = formatKey(set, element);
    if (element.object !== undefined) return `${key} : "${element.object}"`;
    return element.value === undefined ? key : `${key} : ${formatData(set, element.value)}`;
  });
  return `{ ${elements.join(', ')} }`;
}

/** A counter, limit, quota or last. */
export function formatStateful(e: StatefulExpression): string {
  switch (e.kind) {
    case 'counter':
      return `counter packets ${e.packets} bytes ${e.bytes}`;
    case 'limit': {
      const over = e.over ? 'over ' : '';
      if (e.of === 'packets') {
        return `limit rate ${over}${e.rate}/${e.per}${e.burst === 5 || e.burst === 0 ? '' : ` burst ${e.burst} packets`}`;
      }
      return `limit rate ${over}${formatBytes(e.rate)}/${e.per}${e.burst === 0 ? '' : ` burst ${formatBytes(e.burst)}`}`;
    }
    case 'quota': {
      const used = e.consumed ? ` used ${formatBytes(e.consumed)}` : '';
      return `quota ${e.over ? 'over ' : ''}${formatBytes(e.bytes)}${used}`;
    }
    case 'last':
      return e.ago === undefined ? 'last used never' : `last used ${formatDuration(e.ago)}`;
  }
}

/** Milliseconds as nft prints them: `1h30m`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ] as const) {
    if (rest >= size) text += `${Math.floor(rest / size)}${unit}`;
    rest %= size;
  }
  return text;
}

/** The words after a translation. */
export function natFlags(flags: NatFlags): string {
  const names = [
    flags.random ? 'random' : '',
    flags.fullyRandom ? 'fully-random' : '',
    flags.persistent ? 'persistent' : '',
  ].filter((name) => name !== '');
  return names.length > 0 ? ` ${names.join(',')}` : '';
}

/** A log statement. */
export function formatLog(e: LogExpression): string {
  const parts = ['log'];
  if (e.prefix !== undefined) parts.push(`prefix "${e.prefix}"`);
  if (e.group !== undefined) parts.push(`group ${e.group}`);
  if (e.snaplen !== undefined) parts.push(`snaplen ${e.snaplen}`);
  if (e.queueThreshold !== undefined) parts.push(`queue-threshold ${e.queueThreshold}`);
  if (e.level !== undefined) parts.push(`level ${e.level}`);
  if (e.flags === 0x2f) parts.push('flags all');
  else if (e.flags !== undefined) parts.push(`flags ${e.flags}`);
  return parts.join(' ');
}

function formatBytes(bytes: number): string {
  const units = ['bytes', 'kbytes', 'mbytes', 'gbytes'];
  let unit = 0;
  while (bytes > 0 && bytes % 1024 === 0 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes} ${units[unit]}`;
}
