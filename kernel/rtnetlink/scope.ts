import { Names } from './value.ts';

/** How far an address or route reaches (linux/rtnetlink.h, rt_scope_t); a number for one without a name. */
export type Scope = 'global' | 'site' | 'link' | 'host' | 'nowhere' | number;

const names = new Names({ global: 0, site: 200, link: 253, host: 254, nowhere: 255 });

/** The name of a scope, or the number when it has none. */
export function scopeOf(number: number): Scope {
  return names.name(number) ?? number;
}

/** @throws ValueError */
export function scopeNumber(object: string, scope: Scope): number {
  return typeof scope === 'number' ? scope & 0xff : names.number(object, 'scope', scope);
}
